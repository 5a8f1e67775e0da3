package tapes

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// server is a redis-server of the test's own.
type server struct {
	t    *testing.T
	dir  string
	port string
	args []string
	proc *exec.Cmd
}

// startRedis starts one that keeps nothing; args are more of its own.
func startRedis(t *testing.T, args ...string) *server {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip("redis-server is not installed")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	l.Close()
	s := &server{t: t, dir: t.TempDir(), port: port, args: args}
	t.Cleanup(s.kill)
	s.start()
	return s
}

func (s *server) start() {
	s.t.Helper()
	conf := filepath.Join(s.dir, "redis.conf") // a Sentinel must have one, to write to
	if err := os.WriteFile(conf, fmt.Appendf(nil, "port %s\nbind 127.0.0.1\ndir %s\n", s.port, s.dir), 0o600); err != nil {
		s.t.Fatal(err)
	}
	args := append([]string{conf}, s.args...)
	if !slices.Contains(args, "--sentinel") {
		args = append(args, "--save", "")
	}
	s.proc = exec.Command("redis-server", args...)
	if err := s.proc.Start(); err != nil {
		s.t.Fatal(err)
	}
	rdb := s.client()
	eventually(s.t, "redis-server answers", func() bool {
		err := rdb.Ping(context.Background()).Err()
		return err == nil || redis.IsAuthError(err)
	})
}

// kill is kill -9.
func (s *server) kill() {
	if s.proc != nil {
		s.proc.Process.Kill()
		s.proc.Wait()
		s.proc = nil
	}
}

// hang has it take connections and answer nothing, or go on.
func (s *server) hang(on bool) {
	sig := syscall.SIGCONT
	if on {
		sig = syscall.SIGSTOP
	}
	if err := s.proc.Process.Signal(sig); err != nil {
		s.t.Error(err)
	}
}

func (s *server) addr() string { return "127.0.0.1:" + s.port }
func (s *server) url() string  { return "redis://" + s.addr() }

func (s *server) client() *redis.Client {
	rdb := redis.NewClient(&redis.Options{Addr: s.addr(), MaxRetries: -1, DialerRetries: 1})
	s.t.Cleanup(func() { rdb.Close() })
	return rdb
}

// answered is told of every command that was answered, but of those in pipelines.
type answered func(redis.Cmder)

func (a answered) DialHook(next redis.DialHook) redis.DialHook { return next }

func (a answered) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (a answered) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		a(cmd)
		return err
	}
}

func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within 10 s: %s", what)
		}
	}
}

// open is the way that is under test.
func open(t *testing.T, url string) *Redis {
	t.Helper()
	r, err := Open(url, Role{Name: "test", Conns: 64, Reads: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}
