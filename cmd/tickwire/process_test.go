package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tickwire/tickwire/codec/tapes/tapetest"
)

// binary is the program under test, built once.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "tickwire")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "tickwire")
	out, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	if cfg := os.Getenv("TICKWIRE_ALIKE"); cfg != "" {
		aliken(cfg)
		return
	}
	code := m.Run()
	if path, err := binary(); err == nil {
		os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

// need is the path of a program that is not ours; without it the test is skipped, and
// fails where CI promises it.
func need(t testing.TB, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("%s is not installed", program)
		}
		t.Skipf("%s is not installed", program)
	}
	return path
}

// process is a program under way; its output goes to the test's log when it fails.
type process struct {
	t    *testing.T
	cmd  *exec.Cmd
	name string

	mu  sync.Mutex
	log bytes.Buffer
}

func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.Write(b)
}

func (p *process) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

// start runs a program until the test ends.
func start(t *testing.T, name, path string, args ...string) *process {
	t.Helper()
	p := &process{t: t, name: name, cmd: exec.Command(path, args...)}
	p.cmd.Stdout, p.cmd.Stderr = p, p
	p.begin()
	return p
}

func (p *process) begin() {
	p.t.Helper()
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() {
		p.kill()
		if p.t.Failed() {
			p.t.Logf("--- %s\n%.40000s", p.name, p.text())
		}
	})
}

// tickwire runs our own program.
func tickwire(t *testing.T, args ...string) *process {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	return start(t, "tickwire "+args[0], path, args...)
}

// kill is kill -9.
func (p *process) kill() {
	p.cmd.Process.Kill()
	p.cmd.Wait()
}

// interrupt is ctrl-C; it returns the exit code and how long that took.
func (p *process) stop(sig os.Signal) (code int, took time.Duration) {
	began := time.Now()
	p.cmd.Process.Signal(sig)
	p.cmd.Wait()
	return p.cmd.ProcessState.ExitCode(), time.Since(began)
}

// redisServer is a Redis of the test's own, which can be killed and begun again.
type redisServer struct {
	*process
	port, dir string
}

func startRedis(t *testing.T) *redisServer {
	t.Helper()
	r := &redisServer{port: tapetest.Port(t), dir: t.TempDir()}
	r.start(t)
	return r
}

func (r *redisServer) start(t *testing.T) {
	t.Helper()
	r.process = start(t, "redis-server", need(t, "redis-server"), "--port", r.port, "--dir", r.dir, "--appendonly", "yes", "--save", "")
	within(t, 5*time.Second, "redis answers", func() bool {
		c, err := net.Dial("tcp", "127.0.0.1:"+r.port)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
}

func (r *redisServer) url() string { return "redis://127.0.0.1:" + r.port }

// wipe forgets everything on disk.
func (r *redisServer) wipe(t *testing.T) {
	t.Helper()
	os.RemoveAll(r.dir)
	if err := os.MkdirAll(r.dir, 0o755); err != nil {
		t.Fatal(err)
	}
}

// within waits for something to become true.
func within(t *testing.T, limit time.Duration, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if is() {
			return
		}
	}
	t.Fatalf("not within %v: %s", limit, what)
}

// get reads a URL of a node as JSON; false when it does not answer 200.
func get(url string, into any) bool {
	res, err := http.Get(url)
	if err != nil {
		return false
	}
	defer res.Body.Close()
	return res.StatusCode == 200 && json.NewDecoder(res.Body).Decode(into) == nil
}

// watcher is `tickwire watch --json`, and what its lines add up to.
type watcher struct {
	*process
	mu     sync.Mutex
	quotes map[string]map[string]any
	seqs   map[string]float64
	lines  int
	flags  map[string]int
	back   []string // lines whose seq was lower than one before
	last   time.Time
	pause  time.Duration // the longest between two lines
}

func startWatch(t *testing.T, port string, args ...string) *watcher {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	w := &watcher{quotes: map[string]map[string]any{}, seqs: map[string]float64{}, flags: map[string]int{}}
	args = append([]string{"watch", "--json", "--url=ws://127.0.0.1:" + port + "/v1/stream"}, args...)
	w.process = &process{t: t, name: "tickwire watch", cmd: exec.Command(path, args...)}
	w.cmd.Stderr = w.process
	out, err := w.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	w.begin()
	go func() {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			w.take(lines.Bytes())
		}
	}()
	return w
}

func (w *watcher) take(line []byte) {
	var u struct {
		Symbol  string
		Seq     float64
		Flags   []string
		Changed map[string]any
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := json.Unmarshal(line, &u); err != nil {
		w.back = append(w.back, "not JSON: "+string(line))
		return
	}
	w.lines++
	now := time.Now()
	if w.lines > 1 {
		w.pause = max(w.pause, now.Sub(w.last))
	}
	w.last = now
	if u.Seq < w.seqs[u.Symbol] {
		w.back = append(w.back, fmt.Sprintf("after %.0f: %s", w.seqs[u.Symbol], line))
	}
	w.seqs[u.Symbol] = u.Seq
	q := w.quotes[u.Symbol]
	for _, flag := range u.Flags {
		w.flags[flag]++
		if flag == "image" {
			q = nil
		}
	}
	if q == nil {
		q = map[string]any{}
		w.quotes[u.Symbol] = q
	}
	for name, v := range u.Changed {
		if q[name] = v; v == nil {
			delete(q, name)
		}
	}
}

// differs says in what the watcher's quotes are not those of want; "" when in nothing.
// Status is the node's own to say while the tape is silent.
func (w *watcher) differs(want map[string]map[string]any) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	for symbol, quote := range want {
		for name, v := range quote {
			if name == "seq" || name == "status" {
				continue
			}
			if got := w.quotes[symbol][name]; got != v {
				return fmt.Sprintf("%s %s is %v, want %v", symbol, name, got, v)
			}
		}
	}
	if len(want) == 0 || len(w.quotes) != len(want) {
		return fmt.Sprintf("%d symbols, want %d", len(w.quotes), len(want))
	}
	return ""
}

var interrupt os.Signal = syscall.SIGINT
