// Package tapetest has a redis-server for tests that break it. It is of no use outside of tests.
package tapetest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// Server is a redis-server of the test's own, on a free port. It ends with the test.
type Server struct {
	Port string
	Addr string // with its port
	URL  string
	Dir  string // what it stores

	t    testing.TB
	args []string
	proc *exec.Cmd
}

// Start starts one. args are more of its own, as --appendonly yes is: without any it stores
// nothing. The test is skipped, by CI failed, if there is no redis-server.
func Start(t testing.TB, args ...string) *Server {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip("redis-server is not installed")
	}
	port := Port(t)
	addr := net.JoinHostPort("127.0.0.1", port)
	s := &Server{Port: port, Addr: addr, URL: "redis://" + addr, Dir: t.TempDir(), t: t, args: args}
	t.Cleanup(s.Kill)
	s.Start()
	return s
}

// Start starts it again, if it was killed, with what it has stored, and waits until it
// answers.
func (s *Server) Start() {
	s.t.Helper()
	if s.proc != nil {
		return
	}
	conf := filepath.Join(s.Dir, "redis.conf") // a Sentinel must have one, to write to
	if err := os.WriteFile(conf, fmt.Appendf(nil, "port %s\nbind 127.0.0.1\ndir %s\n", s.Port, s.Dir), 0o600); err != nil {
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
	rdb := redis.NewClient(s.options())
	defer rdb.Close()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		err := rdb.Ping(context.Background()).Err()
		if err == nil || redis.IsAuthError(err) {
			return
		}
		if time.Now().After(end) {
			s.t.Fatal("redis-server does not answer: ", err)
		}
	}
}

// Kill is kill -9.
func (s *Server) Kill() {
	if s.proc != nil {
		s.proc.Process.Kill()
		s.proc.Wait()
		s.proc = nil
	}
}

// Hang has it take connections and answer nothing, or go on.
func (s *Server) Hang(on bool) {
	sig := syscall.SIGCONT
	if on {
		sig = syscall.SIGSTOP
	}
	if err := s.proc.Process.Signal(sig); err != nil {
		s.t.Error(err)
	}
}

// Wipe has a killed one forget all that it has stored.
func (s *Server) Wipe() {
	files, _ := filepath.Glob(s.Dir + "/*")
	for _, f := range files {
		if err := os.RemoveAll(f); err != nil {
			s.t.Fatal(err)
		}
	}
}

// Client is a client that retries nothing, until the test ends.
func (s *Server) Client() *redis.Client {
	rdb := redis.NewClient(s.options())
	s.t.Cleanup(func() { rdb.Close() })
	return rdb
}

func (s *Server) options() *redis.Options {
	return &redis.Options{Addr: s.Addr, MaxRetries: -1, DialerRetries: 1, ReadTimeout: 5 * time.Second} // a disk may stand still for a second
}

// ports is how many were looked at, from anywhere.
var ports atomic.Uint32

func init() { ports.Store(rand.Uint32()) }

// Port is a port of 127.0.0.1 that nobody listens on, and that is given once. It is below
// those that the system gives to sockets that connect: one of these may have it meanwhile,
// and whoever connects to it then may be connected to himself. A Redis of a Cluster has
// another, 10,000 above.
func Port(t testing.TB) string {
	t.Helper()
	for range 1000 {
		port := strconv.Itoa(int(10_000 + ports.Add(1)%10_000))
		if l, err := net.Listen("tcp", "127.0.0.1:"+port); err == nil {
			l.Close()
			return port
		}
	}
	t.Fatal("no port is free from 10000 to 20000")
	return ""
}
