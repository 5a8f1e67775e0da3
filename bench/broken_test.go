package bench

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/tickwire/tickwire/codec"
)

var built struct {
	path string
	err  error
}

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "bench")
	if err == nil {
		built.path = filepath.Join(dir, "tickwire")
		var text []byte
		if text, err = exec.Command("go", "build", "-o", built.path, "../cmd/tickwire").CombinedOutput(); err != nil {
			built.path = string(text)
		}
	}
	built.err = err
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// small is a run of a few seconds.
func small(t *testing.T) Config {
	t.Helper()
	if built.err != nil {
		t.Fatal(built.err, built.path)
	}
	return Config{
		Scenario: "steady", Load: "sparse", Conns: 40, Subs: 5, Symbols: 20, Updates: 2000, Nodes: 1, Ramp: 500,
		Duration: 2 * time.Second, Seed: 1, Encoding: "msgpack", Burst: 1, Bound: time.Second, Verify: true, Exe: built.path,
	}
}

// spoiler is a server that breaks promises: a node behind a proxy that changes what it
// sends to subscribers.
type spoiler struct {
	node netip.AddrPort
	mu   sync.Mutex // protects seen, and spoil's own
	seen int64
	// spoil changes the n-th update of all connections, or takes it away.
	spoil func(n int64, u *codec.Update) (keep bool)
}

// server is one that serves every connection as it is told.
func server(t *testing.T, serve func(net.Conn)) Endpoint {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go serveEach(ln, serve)
	return at(ln.Addr().(*net.TCPAddr).AddrPort())
}

func serveEach(ln net.Listener, serve func(net.Conn)) {
	for {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			serve(c)
		}()
	}
}

// smallStand is a stand of a small run, and its symbols.
func smallStand(t *testing.T, set func(*Config)) (*stand, []string) {
	t.Helper()
	cfg := small(t)
	set(&cfg)
	s, err := newStand(t.Context(), &cfg, (*stand).begin)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	symbols, err := s.symbols(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s, symbols
}

// A server that leaks is a process of its own: this binary, told so.
func init() {
	if len(os.Args) == 4 && os.Args[1] == "leaky" {
		ln, err := net.Listen("tcp", os.Args[2])
		if err != nil {
			panic(err)
		}
		go leak()
		serveEach(ln, (&spoiler{node: netip.MustParseAddrPort(os.Args[3]), spoil: func(int64, *codec.Update) bool { return true }}).pass)
	}
}

// leak keeps 10 MB more every second.
func leak() {
	type link struct {
		before *link
		bytes  []byte
	}
	for last := new(link); ; time.Sleep(100 * time.Millisecond) {
		last = &link{last, bytes.Repeat([]byte{1}, 1<<20)}
	}
}

// pass goes between a subscriber and the node.
func (s *spoiler) pass(c net.Conn) {
	up, err := net.Dial("tcp", s.node.String())
	if err != nil {
		return
	}
	defer up.Close()
	go func() { io.Copy(up, c); up.Close() }()
	head := make([]byte, 0, 1024)
	for one := make([]byte, 1); !strings.HasSuffix(string(head), "\r\n\r\n"); head = append(head, one...) {
		if _, err := up.Read(one); err != nil {
			return
		}
	}
	c.Write(head)
	for {
		h, err := ws.ReadHeader(up)
		if err != nil || h.Length > messageMax {
			return
		}
		payload := make([]byte, h.Length)
		if _, err := io.ReadFull(up, payload); err != nil {
			return
		}
		if h.OpCode == ws.OpBinary && len(payload) > 1 && payload[1] == byte(codec.TypeData) {
			if payload = s.message(payload); payload == nil {
				continue
			}
		}
		if ws.WriteFrame(c, ws.NewFrame(h.OpCode, true, payload)) != nil {
			return
		}
	}
}

// message spoils a data message; nil when nothing is left of it.
func (s *spoiler) message(payload []byte) []byte {
	var m codec.Message
	if codec.ParseMessage(payload, &m) != nil {
		return payload
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var body []byte
	n := 0
	for i := range m.Updates {
		s.seen++
		if u := &m.Updates[i]; s.spoil(s.seen, u) {
			body = codec.AppendUpdate(body, u)
			n++
		}
	}
	if n == 0 {
		return nil
	}
	return append(codec.AppendDataHeader(nil, m.SentAt, n), body...)
}

// runSpoiled makes a run against a node behind a spoiler; nil spoils nothing.
func runSpoiled(t *testing.T, spoil func(n int64, u *codec.Update) bool) *Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second)
	defer cancel()
	s, symbols := smallStand(t, func(*Config) {})
	nodes := s.endpoints
	if spoil != nil {
		nodes = []Endpoint{server(t, (&spoiler{node: nodes[0].Addr, spoil: spoil}).pass)}
	}
	r, err := newRun(t.Context(), s, &Load{Nodes: nodes, Redis: s.redis, Symbols: symbols}, newTicker(nil))
	if err != nil {
		t.Fatal(err)
	}
	defer r.crew.close()
	if err := r.phases(ctx, nil); err != nil {
		t.Fatal(err)
	}
	r.res.finish(r.crew)
	return r.res
}

// Ensure that an honest node is verified, and that every way of breaking a promise is
// found out.
func TestVerification(t *testing.T) {
	for _, test := range []struct {
		name  string
		spoil func(n int64, u *codec.Update) bool
		want  string // in the problems; "": verified
	}{
		{"honest", nil, ""},
		{"drops one update in a thousand", func(n int64, u *codec.Update) bool { return u.Flags&codec.Image != 0 || n%1000 != 0 }, verdictNames[missing]},
		{"a wrong image", func(n int64, u *codec.Update) bool {
			if u.Flags&codec.Image != 0 && n%50 == 0 {
				u.Quote[codec.Bid]++
			}
			return true
		}, verdictNames[invented]},
		{"the value before, under the new seq", func() func(int64, *codec.Update) bool {
			before := make(map[uint32]int64)
			return func(n int64, u *codec.Update) bool {
				if u.Mask.Has(codec.Bid) {
					if old, ok := before[u.ID]; ok && n%1000 < 20 {
						u.Quote[codec.Bid] = old
						return true
					}
					before[u.ID] = u.Quote[codec.Bid]
				}
				return true
			}
		}(), verdictNames[invented]},
		{"a wrong price", func(n int64, u *codec.Update) bool {
			if n%1000 == 0 && u.Mask.Has(codec.Bid) {
				u.Quote[codec.Bid]++
			}
			return true
		}, verdictNames[invented]},
		{"an update that never was", func(n int64, u *codec.Update) bool {
			if n%5000 == 0 {
				u.Seq += 1_000_000
			}
			return true
		}, "seq went back"},
		{"a number that was not asked for", func(n int64, u *codec.Update) bool {
			if n%5000 == 0 {
				u.ID += 1000
			}
			return true
		}, errServer.Error()},
	} {
		t.Run(test.name, func(t *testing.T) {
			res := runSpoiled(t, test.spoil)
			problems := strings.Join(res.Problems, "\n")
			if res.Verified != (test.want == "") || !strings.Contains(problems, test.want) {
				t.Errorf("verified %v: %s; want %q", res.Verified, problems, test.want)
			}
			if res.Checked < 300 {
				t.Errorf("only %d updates were checked", res.Checked)
			}
		})
	}
}

// Ensure that a server whose memory grows is found out, though all it says is right.
func TestLeak(t *testing.T) {
	s, symbols := smallStand(t, func(c *Config) { c.Scenario, c.Duration = "soak", 9*time.Second })
	addr, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	leaky, err := s.start("leaky", nil, os.Args[0], "leaky", addr.String(), s.endpoints[0].Host)
	if err != nil {
		t.Fatal(err)
	}
	if err := wait(t.Context(), "leaky", []*proc{leaky}, func() bool { return listens(addr) }); err != nil {
		t.Fatal(err)
	}
	s.nodes, s.endpoints = []*proc{leaky}, []Endpoint{at(addr)}
	r, err := newRun(t.Context(), s, &Load{Nodes: s.endpoints, Redis: s.redis, Symbols: symbols}, newTicker(nil))
	if err != nil {
		t.Fatal(err)
	}
	defer r.crew.close()
	if err := r.phases(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	r.res.finish(r.crew)
	if r.res.Verified || len(r.res.Problems) != 1 || !strings.Contains(r.res.Problems[0], "memory grows") {
		t.Errorf("%+v", r.res)
	}
}
