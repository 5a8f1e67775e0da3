package main

import (
	"cmp"
	"errors"
	"net"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
	"github.com/rs/zerolog"

	"github.com/tickwire/tickwire/codec"
	"github.com/tickwire/tickwire/codec/tapes/tapetest"
)

// scene is a node, or what passes for one, and the three clients at it.
type scene struct {
	*testing.T
	port string
	from string // what clients connect to, if not that
	args []string
	up   *process
	all  []*speaker
}

func newScene(t *testing.T, args ...string) *scene {
	s := &scene{T: t, port: tapetest.Port(t)}
	s.args = append([]string{"up", "--listen", "127.0.0.1:" + s.port, "--metrics", "off", "--heartbeat", "1s", "--drain", "1s", "--sim-symbols", "3", "--sim-rate", "20"}, args...)
	return s
}

// begin begins a node at the scene's port.
func (s *scene) begin() {
	s.Helper()
	s.up = tickwire(s.T, s.args...)
	within(s.T, 20*time.Second, "the node is up", func() bool { return strings.Contains(s.up.text(), "is up: ") })
}

// come has the clients come.
func (s *scene) come(symbols []string, tokens func(name string) (token, file string)) {
	s.Helper()
	s.all = speakers(s.T, visitorConfig{URL: "ws://127.0.0.1:" + cmp.Or(s.from, s.port) + "/v1/stream", Encoding: "msgpack", Symbols: symbols}, tokens)
}

// say waits until all clients have said so much, from the beginning.
func (s *scene) say(lines string) {
	s.Helper()
	want := strings.Split(lines, ", ")
	for _, one := range s.all {
		for end := time.Now().Add(30 * time.Second); !reflect.DeepEqual(one.said(), want); time.Sleep(20 * time.Millisecond) {
			if time.Now().After(end) {
				s.Fatalf("%s said %q, not %q", one.name, one.said(), want)
			}
		}
	}
}

// agree waits until all clients hold what the node does.
func (s *scene) agree() {
	s.Helper()
	var node struct{ Symbols map[string]map[string]any }
	for _, one := range s.all {
		var held map[string]map[string]any
		for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
			get("http://127.0.0.1:"+s.port+"/v1/snapshot", &node)
			for _, quote := range node.Symbols {
				for key := range quote {
					if key != "seq" && key != "bid" && key != "ask" && key != "last" && key != "status" {
						delete(quote, key)
					}
				}
			}
			held = nil
			if err := one.ask("quotes", &held); err != nil {
				s.Fatalf("%s: %v", one.name, err)
			}
			if len(held) > 0 && reflect.DeepEqual(held, node.Symbols) {
				break
			}
			if time.Now().After(end) {
				s.Fatalf("%s holds %v, the node %v", one.name, held, node.Symbols)
			}
		}
	}
}

// names are the symbols of scenes.
func (s *scene) names() []string {
	var list struct{ Symbols []string }
	get("http://127.0.0.1:"+s.port+"/v1/symbols", &list)
	return list.Symbols
}

// pretend is a node of another making at the scene's port; it counts who comes.
func (s *scene) pretend(serve func(c net.Conn)) (came *atomic.Int64) {
	came = new(atomic.Int64)
	pretend(s, s.port, func(c net.Conn) {
		came.Add(1)
		serve(c)
	})
	return came
}

// pretend serves whoever connects to a port and asks for an upgrade, until the test ends.
func pretend(t testing.TB, port string, serve func(c net.Conn)) {
	ln, err := net.Listen("tcp", "127.0.0.1:"+port)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				up := ws.Upgrader{Protocol: func([]byte) bool { return true }}
				if _, err := up.Upgrade(c); err == nil {
					serve(c)
				}
			}()
		}
	}()
}

func hello(c net.Conn, version int) {
	wsutil.WriteServerBinary(c, codec.AppendControl(nil, helloOf(version)))
}

func helloOf(version int) *codec.Hello {
	return &codec.Hello{
		Protocol: version, Node: "another", Fields: codec.FieldNames[:], Heartbeat: 60_000, Periods: []int64{0},
		Limits: codec.Limits{RequestBytes: 1 << 16, RequestSymbols: 4096, Subs: 1000, RequestsPerSecond: 50},
	}
}

// closeOf reads until a client closes, and gives the code.
func closeOf(c net.Conn) ws.StatusCode {
	for {
		_, err := wsutil.ReadClientBinary(c)
		if closed := (wsutil.ClosedError{}); errors.As(err, &closed) {
			return closed.Code
		}
		if err != nil {
			return 0
		}
	}
}

// closed waits until clients have closed with 1002, and the one that may be in a browser,
// which has no such code, with 1000.
func (s *scene) closed(codes <-chan ws.StatusCode) {
	s.Helper()
	had := map[ws.StatusCode]int{}
	for end := time.After(10 * time.Second); had[ws.StatusProtocolError] < 2 || had[ws.StatusNormalClosure] < 1; {
		select {
		case code := <-codes:
			if had[code]++; code != ws.StatusProtocolError && code != ws.StatusNormalClosure {
				s.Errorf("closed with %d", code)
			}
		case <-end:
			s.Fatalf("closed with %v", had)
		}
	}
}

// few is how often somebody may come within some seconds who does not spin.
func (s *scene) few(came *atomic.Int64, during time.Duration) {
	s.Helper()
	before := came.Load()
	time.Sleep(during)
	if n := came.Load() - before; n < 3 || n > 3*20 {
		s.Errorf("three clients came %d times in %v", n, during)
	}
}

// slow has clients come over a line of so many KB a second, until it is fast again.
func (s *scene) slow(rate string) (fast func()) {
	s.Helper()
	s.from = tapetest.Port(s.T)
	zerolog.SetGlobalLevel(zerolog.Disabled) // the proxy's toxics ask nobody else
	p := toxiproxy.NewProxy(toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop()), "line", "127.0.0.1:"+s.from, "127.0.0.1:"+s.port)
	if err := p.Start(); err != nil {
		s.Fatal(err)
	}
	s.Cleanup(p.Stop)
	if _, err := p.Toxics.AddToxicJson(strings.NewReader(`{"name":"slow","type":"bandwidth","stream":"downstream","attributes":{"rate":` + rate + `}}`)); err != nil {
		s.Fatal(err)
	}
	return func() { p.Toxics.RemoveToxic(s.Context(), "slow") }
}
