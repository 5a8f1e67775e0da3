package bench

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/google/go-cmp/cmp"
	"github.com/vmihailenco/msgpack/v5"
	"google.golang.org/protobuf/encoding/protowire"
)

// A harness forks workers: of a test, too.
func init() {
	if len(os.Args) > 1 && os.Args[1] == "bench-worker" {
		if err := RunWorker(context.Background(), os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
}

func peerUpdateOf(symbol uint32, seq int64) []byte {
	bid, ask := peerQuote(symbol, seq)
	p := binary.BigEndian.AppendUint32(nil, symbol)
	for _, v := range []int64{seq, time.Now().UnixMicro(), bid, ask} {
		p = binary.BigEndian.AppendUint64(p, uint64(v))
	}
	return p
}

// fakePeer is a server of one family of protocols.
type fakePeer struct {
	protocol string
	// greet takes a subscriber up to where updates begin, and returns what it asked for.
	greet func(s *socket) []string
	send  func(s *socket, updates ...[]byte)
	pings func(s *socket)
}

// socket is the server's end of a connection.
type socket struct {
	t *testing.T
	net.Conn
}

func (s *socket) write(op ws.OpCode, p []byte) {
	if err := ws.WriteFrame(s, ws.NewFrame(op, true, p)); err != nil {
		s.t.Error(err)
	}
}

func (s *socket) read() []byte {
	s.SetReadDeadline(time.Now().Add(5 * time.Second))
	h, err := ws.ReadHeader(s)
	if err != nil || h.Length > messageMax {
		s.t.Error(h, err)
		return nil
	}
	payload := make([]byte, h.Length)
	if _, err := io.ReadFull(s, payload); err != nil {
		s.t.Error(err)
	}
	ws.Cipher(payload, h.Mask, 0)
	return payload
}

func (s *socket) expect(text string) {
	if got := s.read(); string(got) != text {
		s.t.Errorf("the subscriber says %q instead of %q", got, text)
	}
}

var fakePeers = []fakePeer{
	{
		protocol: "plain",
		greet: func(s *socket) []string {
			var r struct{ Subscribe []string }
			if err := json.Unmarshal(s.read(), &r); err != nil {
				s.t.Error(err)
			}
			return r.Subscribe
		},
		send:  func(s *socket, updates ...[]byte) { s.write(ws.OpBinary, bytes.Join(updates, nil)) },
		pings: func(*socket) {},
	},
	{
		protocol: "centrifuge",
		greet: func(s *socket) (asked []string) {
			var reply []byte
			p := s.read()
			for id := byte(1); len(p) > 0; id++ {
				command, size := protowire.ConsumeBytes(p)
				if size < 0 || len(command) < 2 || command[1] != id {
					s.t.Fatalf("command %x", p)
				}
				p = p[size:]
				if subscribe, ok := field(command, cfCommandSubscribe); ok {
					channel, _ := field(subscribe, cfSubscribeChannel)
					asked = append(asked, string(channel))
				}
				reply = protowire.AppendBytes(reply, appendBytesField([]byte{8, id}, 5, nil))
			}
			s.write(ws.OpBinary, reply)
			return asked
		},
		send: func(s *socket, updates ...[]byte) {
			var p []byte
			for _, u := range updates {
				push := appendBytesField(appendBytesField(nil, 2, []byte("s0")), cfPushPub, appendBytesField(nil, cfPublicationRaw, u))
				p = protowire.AppendBytes(p, appendBytesField(nil, cfReplyPush, push))
			}
			s.write(ws.OpBinary, p)
		},
		pings: func(s *socket) {
			s.write(ws.OpBinary, []byte{0})
			s.expect("\x00")
		},
	},
	{
		protocol: "socketio",
		greet: func(s *socket) []string {
			s.write(ws.OpText, []byte(`0{"sid":"a","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}`))
			s.expect("\x82\xa4type\x00\xa3nsp\xa1/")
			s.write(ws.OpBinary, []byte("\x83\xa4type\x00\xa4data\x82\xa3sid\xa1b\xa3pid\xd4\x00\x00\xa3nsp\xa1/"))
			var asked struct {
				Data []any `msgpack:"data"`
			}
			var symbols []string
			if msgpack.Unmarshal(s.read(), &asked) != nil || len(asked.Data) != 2 || asked.Data[0] != "subscribe" {
				s.t.Errorf("the subscriber asks %v", asked)
				return nil
			}
			for _, symbol := range asked.Data[1].([]any) {
				symbols = append(symbols, symbol.(string))
			}
			return symbols
		},
		send: func(s *socket, updates ...[]byte) {
			for _, u := range updates {
				s.write(ws.OpBinary, slices.Concat(socketioBefore, u, socketioAfter))
			}
		},
		pings: func(s *socket) {
			s.write(ws.OpText, []byte("2"))
			s.expect("3")
		},
	},
}

// serve has one subscriber after another go through a script.
func (p *fakePeer) serve(t *testing.T, scripts ...func(s *socket)) netip.AddrPort {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for _, script := range scripts {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			u := ws.Upgrader{Protocol: func(p []byte) bool { return string(p) == "centrifuge-protobuf" }}
			if _, err := u.Upgrade(c); err != nil {
				t.Error(err)
			}
			script(&socket{t, c})
			c.Close()
		}
	}()
	return ln.Addr().(*net.TCPAddr).AddrPort()
}

// Each adapter speaks its protocol, answers pings, and tells apart what is right, lost,
// repeated and wrong; over a reconnect, too.
func TestPeerAdapters(t *testing.T) {
	for _, peer := range fakePeers {
		t.Run(peer.protocol, func(t *testing.T) {
			first := func(s *socket) {
				if asked := peer.greet(s); !slices.Equal(asked, []string{"s0", "s1"}) {
					t.Errorf("asked for %v", asked)
				}
				peer.pings(s)
				peer.send(s, peerUpdateOf(0, 5))
				peer.send(s, peerUpdateOf(0, 6))
				peer.send(s, peerUpdateOf(1, 1))
				peer.send(s, peerUpdateOf(0, 9))
				peer.send(s, peerUpdateOf(0, 9))
				forged := peerUpdateOf(0, 10)
				forged[35]++
				peer.send(s, forged)
				peer.send(s, peerUpdateOf(0, 10))
			}
			done := make(chan bool)
			again := func(s *socket) {
				peer.greet(s)
				peer.send(s, peerUpdateOf(1, 2), peerUpdateOf(0, 12))
				peer.send(s, peerUpdateOf(2, 1))
				<-done
			}
			addr := peer.serve(t, first, again)
			w, err := newWorker(&Load{Peer: peer.protocol, Nodes: []Endpoint{at(addr)}, Symbols: []string{"s0", "s1"}, Conns: 1, Subs: 2, Ramp: 1000})
			if err != nil {
				t.Fatal(err)
			}
			defer w.poll.Close()
			defer close(done)
			for end := time.Now().Add(10 * time.Second); w.count.Wrong["not subscribed to"] == 0; {
				if err := w.cycle(); err != nil || time.Now().After(end) {
					t.Fatalf("%v, %+v", err, w.count)
				}
			}
			want := newCounts()
			want.Updates, want.Checked, want.Missed, want.Connects, want.Messages = 7, 7, 3, 2, 9
			if peer.protocol == "socketio" {
				want.Messages++ // each update is one
			}
			want.Wrong = map[string]int64{"seq went back, or came twice": 1, "a value that was not published": 1, "not subscribed to": 1}
			want.Lost, want.Bytes, want.Examples = map[string]int64{"closed by the server": 1}, w.count.Bytes, w.count.Examples
			if diff := cmp.Diff(want, w.count); diff != "" {
				t.Error(diff)
			}
			if w.ready != 1 || w.second.TotalCount() != 7 {
				t.Errorf("ready %d, latencies %d", w.ready, w.second.TotalCount())
			}
		})
	}
}

// In the end every subscriber must have what the publisher ended with, and it must have
// said so.
func TestPeersEnd(t *testing.T) {
	for name, c := range map[string]struct {
		last  map[string]string
		wrong map[string]int64
	}{
		"right":         {map[string]string{"0": "7", "1": "2"}, map[string]int64{}},
		"behind":        {map[string]string{"0": "8", "1": "2"}, map[string]int64{"an old state in the end": 1}},
		"nothing said":  {nil, map[string]int64{"no last word of the feed": 2}},
		"not of one":    {map[string]string{"0": "7"}, map[string]int64{"no last word of the feed": 1}},
		"not a number":  {map[string]string{"0": "7", "1": "x"}, map[string]int64{"no last word of the feed": 1}},
		"ahead of that": {map[string]string{"0": "6", "1": "2"}, map[string]int64{}},
	} {
		t.Run(name, func(t *testing.T) {
			w, err := newWorker(&Load{Peer: "plain", Redis: "redis://none", Symbols: []string{"s0", "s1"}, Conns: 1, Subs: 2, Nodes: make([]Endpoint, 1)})
			if err != nil {
				t.Fatal(err)
			}
			defer w.poll.Close()
			w.conns[0].fd = 0
			w.conns[0].subs = []sub{{id: 0, sym: 0, seq: 7}, {id: 1, sym: 1, seq: 2}}
			w.truth.endAt(c.last)
			n := w.final()
			if wrong := w.count.wrongs(); n != 2-int(wrong) || !maps.Equal(w.count.Wrong, c.wrong) {
				t.Errorf("%d subscriptions, wrong: %v", n, w.count.Wrong)
			}
		})
	}
}

// fuzzPeer gives an adapter any message: it counts what is right and returns an error
// for what is not of its protocol.
func fuzzPeer(f *testing.F, protocol string, seeds ...[]byte) {
	for _, p := range seeds {
		f.Add(p, true)
		f.Add(p, false)
	}
	w, err := newWorker(&Load{Peer: protocol, Symbols: []string{"s0", "s1"}, Conns: 1, Subs: 2, Nodes: make([]Endpoint, 1)})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, p []byte, text bool) {
		c := &w.conns[0]
		w.count, *c = newCounts(), conn{fd: -1}
		op := ws.OpBinary
		if text {
			op = ws.OpText
		}
		w.wantOfPeer(c)
		err := w.speak.message(w, c, op, p)
		most := int64(len(p) / peerUpdateBytes)
		if n := &w.count; n.Updates > most || n.Checked != n.Updates || n.Messages > 1 || err == nil && n.Messages == 0 && protocol == "plain" {
			t.Errorf("%x: %+v, %v", p, w.count, err)
		}
	})
}

func FuzzPlain(f *testing.F) {
	fuzzPeer(f, "plain", nil, peerUpdateOf(0, 1), append(peerUpdateOf(0, 1), peerUpdateOf(1, 7)...), peerUpdateOf(0, 1)[1:])
}

func FuzzCentrifuge(f *testing.F) {
	push := appendBytesField(appendBytesField(nil, 2, []byte("s0")), cfPushPub, appendBytesField(nil, cfPublicationRaw, peerUpdateOf(0, 1)))
	refusal := appendBytesField([]byte{8, 2}, cfReplyError, appendBytesField([]byte{8, 103}, cfErrorMessage, []byte("permission denied")))
	fuzzPeer(f, "centrifuge", nil, []byte{0}, protowire.AppendBytes(nil, appendBytesField(nil, cfReplyPush, push)), protowire.AppendBytes([]byte{0}, refusal),
		[]byte{4, 8, 2, 58, 0}, []byte{2, 0x22, 0xff}, []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f})
}

func FuzzSocketio(f *testing.F) {
	fuzzPeer(f, "socketio", slices.Concat(socketioBefore, peerUpdateOf(0, 1), socketioAfter), []byte(`0{"sid":"a"}`), []byte("2"), peerUpdateOf(0, 1),
		[]byte("\x83\xa4type\x00\xa4data\x82\xa3sid\xa1b\xa3pid\xd4\x00\x00\xa3nsp\xa1/"), []byte("\x83\xa4type\x04\xa4data\xa1x\xa3nsp\xa1/"))
}

// The real thing, small: gorilla's peer, built, beside a real Redis.
func TestPeersGorilla(t *testing.T) {
	for _, program := range []string{"redis-server", "go"} {
		if _, err := exec.LookPath(program); err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatal(err)
			}
			t.Skip(err)
		}
	}
	cfg := Config{Scenario: "peers", Load: "sparse", Conns: 20, Subs: 3, Symbols: 10, Updates: 500, Nodes: 1, Ramp: 1000, Duration: time.Second, Seed: 1, Bound: 1, Verify: true, Exe: os.Args[0]}
	peers := PeersConfig{Only: []string{"gorilla"}, Runs: 1, Dir: "peers"}
	if err := cfg.Complete(); err != nil {
		t.Fatal(err)
	}
	c, err := RunPeers(t.Context(), cfg, peers, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	var table bytes.Buffer
	c.Print(&table)
	if !c.Verified("gorilla") {
		t.Fatalf("%s\n%+v", &table, c.Systems[0].Runs)
	}
	if r := c.Systems[0].Runs[0]; r.UpdatesPS < 500 || r.Ended != 60 || r.CPUPerUpdUS <= 0 || r.LatencyUS.P50 < 1 {
		t.Errorf("%+v", r)
	}
}
