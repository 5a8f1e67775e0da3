package fanout

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/alicebob/miniredis/v2"
	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/tickwire/tickwire/codec"
)

// testNode is a node on loopback whose board the test writes itself.
type testNode struct {
	*Node
	t      *testing.T
	stream *stream
	addr   string
	seqs   map[string]int64
	stop   context.CancelCauseFunc
	done   chan error
	said   logs
}

// logs is what was logged.
type logs struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// count is how often something was.
func (l *logs) count(what string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), what)
}

// usual are the limits that a node comes with.
func usual(t testing.TB) (l Limits) {
	t.Helper()
	if err := kong.ApplyDefaults(&l); err != nil {
		t.Fatal(err)
	}
	return l
}

func startNode(t *testing.T, change func(*Config)) *testNode {
	t.Helper()
	memory := miniredis.RunT(t)
	cfg := Config{
		Listen: "127.0.0.1:0", Loops: 2,
		Heartbeat: 5 * time.Second, Drain: time.Second, Redis: "redis://" + memory.Addr(), Limits: usual(t),
	}
	cfg.MaxConns, cfg.HostConns = 100, 0 // all tests have one address
	if change != nil {
		change(&cfg)
	}
	ctx, stop := context.WithCancelCause(context.Background())
	tn := &testNode{t: t, seqs: map[string]int64{}, stop: stop, done: make(chan error, 1)}
	n, err := New(t.Context(), cfg, prometheus.NewRegistry(), slog.New(slog.NewTextHandler(&tn.said, nil)))
	if err != nil {
		t.Fatal(err)
	}
	tn.Node, tn.addr, tn.stream = n, n.addr.String(), &stream{tape: n.tape, name: "test/0"}
	go func() { tn.done <- n.Run(ctx) }()
	if n.auth != nil && cfg.Redis == "redis://"+memory.Addr() {
		eventually(t, 10*time.Second, "it knows what is revoked", n.auth.revoked.known.Load)
	}
	t.Cleanup(func() {
		stop(ErrNow)
		select {
		case err := <-tn.done:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(5 * time.Second):
			t.Error("the node does not end")
		}
	})
	return tn
}

// publish brings updates of a symbol to the board, one batch for all of them.
func (n *testNode) publish(symbol string, quotes ...codec.Quote) {
	b := newBatch()
	n.master.mu.Lock()
	for _, q := range quotes {
		u := codec.Update{Seq: n.seqs[symbol] + 1, History: 1, Mask: q.Present(), Quote: q}
		if n.seqs[symbol] == 0 {
			u.Flags = codec.Image
		}
		n.seqs[symbol] = u.Seq
		n.master.merge(b, n.stream, []byte(symbol), &u)
	}
	n.master.publish()
	n.master.mu.Unlock()
	b.refs.Add(1)
	n.post(b)
	b.release()
}

func bid(v int64) codec.Quote {
	q := codec.Empty
	q[codec.Bid], q[codec.PriceScale] = v, 2
	return q
}

// peer is a client by hand.
type peer struct {
	t    *testing.T
	conn net.Conn
	from io.Reader
	msg  codec.Message
}

func dial(t *testing.T, addr string, protocols ...string) *peer {
	t.Helper()
	return dialBy(t, ws.Dialer{Protocols: protocols}, "ws://"+addr+codec.StreamPath)
}

// dialBy is dial by a dialer.
func dialBy(t *testing.T, d ws.Dialer, url string) *peer {
	t.Helper()
	d.Timeout = 5 * time.Second
	conn, early, _, err := d.Dial(context.Background(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	p := &peer{t: t, conn: conn, from: conn}
	if early != nil {
		p.from = io.MultiReader(io.LimitReader(early, int64(early.Buffered())), conn)
	}
	return p
}

// frame reads the next frame; pings it answers, as a client must.
func (p *peer) frame() (ws.Header, []byte) {
	p.t.Helper()
	for {
		h, payload := p.rawFrame()
		if h.OpCode != ws.OpPing {
			return h, payload
		}
		p.conn.Write(masked(ws.OpPong, true, payload)) // at once: a test may write beside it
	}
}

func (p *peer) rawFrame() (ws.Header, []byte) {
	p.t.Helper()
	p.conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	h, err := ws.ReadHeader(p.from)
	if err != nil {
		p.t.Fatal(err)
	}
	payload := make([]byte, h.Length)
	if _, err := io.ReadFull(p.from, payload); err != nil {
		p.t.Fatal(err)
	}
	return h, payload
}

// read reads the next message.
func (p *peer) read() *codec.Message {
	p.t.Helper()
	h, payload := p.frame()
	if h.OpCode == ws.OpClose {
		code, reason := ws.ParseCloseFrameData(payload)
		p.t.Fatalf("closed with %d %s, waiting for a message", code, reason)
	}
	parse := codec.ParseMessage
	if h.OpCode == ws.OpText {
		parse = codec.ParseMessageJSON
	}
	if err := parse(payload, &p.msg); err != nil {
		p.t.Fatal(err)
	}
	return &p.msg
}

// next reads the next message of a type, passing over others.
func (p *peer) next(want codec.Type) *codec.Message {
	p.t.Helper()
	for p.read().Type != want {
	}
	return &p.msg
}

func (p *peer) send(text string) {
	p.t.Helper()
	if err := wsutil.WriteClientText(p.conn, []byte(text)); err != nil {
		p.t.Fatal(err)
	}
}

// closedWith waits for a close frame.
func (p *peer) closedWith() ws.StatusCode {
	p.t.Helper()
	for {
		if h, payload := p.frame(); h.OpCode == ws.OpClose {
			code, _ := ws.ParseCloseFrameData(payload)
			return code
		}
	}
}

func TestBothEncodingsOverSockets(t *testing.T) {
	n := startNode(t, nil)
	n.publish("sim:A", bid(100))
	for _, protocol := range []string{codec.ProtocolMsgpack, codec.ProtocolJSON} {
		p := dial(t, n.addr, protocol)
		if h := p.next(codec.TypeHello).Control.(*codec.Hello); h.Protocol != 1 || len(h.Fields) != codec.NumFields || h.Heartbeat != 5000 {
			t.Errorf("hello %+v", h)
		}
		// Either op code is fine on either subprotocol.
		r := codec.Request{Op: codec.OpSubscribe, ID: 3, Symbols: [][]byte{[]byte("sim:A")}}
		wsutil.WriteClientBinary(p.conn, codec.AppendRequest(nil, &r))
		if reply := p.next(codec.TypeReply).Control.(*codec.Reply); reply.ID != 3 || len(reply.Results) != 1 || reply.Results[0].ID == nil {
			t.Errorf("reply %+v", reply)
		}
		u := p.next(codec.TypeData).Updates[0]
		if u.Flags != codec.Image || u.Quote[codec.Bid] != 100 {
			t.Errorf("%s: image %+v", protocol, u)
		}
	}
	n.publish("sim:A", bid(101))
}

// Requests in pieces: byte by byte, in fragments with a ping between, several in one
// segment.
func TestRequestsInPieces(t *testing.T) {
	n := startNode(t, nil)
	n.publish("sim:A", bid(100))
	p := dial(t, n.addr)
	p.next(codec.TypeHello)
	for _, b := range masked(ws.OpText, true, []byte(`{"op":"ping","id":1}`)) {
		p.conn.Write([]byte{b})
		time.Sleep(time.Millisecond)
	}
	if r := p.next(codec.TypeReply).Control.(*codec.Reply); r.ID != 1 || r.Time == 0 {
		t.Errorf("byte by byte: %+v", r)
	}
	raw := masked(ws.OpText, false, []byte(`{"op":"pi`))
	raw = append(raw, masked(ws.OpPing, true, []byte("are you there"))...)
	raw = append(raw, masked(ws.OpContinuation, false, []byte(`ng","id`))...)
	raw = append(raw, masked(ws.OpContinuation, true, []byte(`":2}`))...)
	p.conn.Write(raw)
	if h, payload := p.frame(); h.OpCode != ws.OpPong || string(payload) != "are you there" {
		t.Errorf("pong %v %q", h, payload)
	}
	if r := p.next(codec.TypeReply).Control.(*codec.Reply); r.ID != 2 {
		t.Errorf("fragments: %+v", r)
	}
	raw = nil
	for id := range 20 {
		raw = append(raw, masked(ws.OpText, true, fmt.Appendf(nil, `{"op":"ping","id":%d}`, 10+id))...)
	}
	p.conn.Write(raw)
	for id := range 20 {
		if r := p.next(codec.TypeReply).Control.(*codec.Reply); r.ID != int64(10+id) {
			t.Errorf("at once: %+v", r)
		}
	}
}

// The same port answers plain HTTP, and refuses upgrades that it cannot serve.
func TestHandshakes(t *testing.T) {
	n := startNode(t, nil)
	n.publish("sim:A", bid(12345))
	for path, want := range map[string]int{
		"/healthz": 200, "/v1/symbols": 200, "/v1/snapshot": 200, "/v1/snapshot?symbols=sim:A": 200, "/v1/snapshot?symbols=x:y": 404,
		"/readyz": 503, "/v1/stream": 426, "/nothing": 404,
	} {
		res, err := http.Get("http://" + n.addr + path)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("%s: %d %s, want %d", path, res.StatusCode, body, want)
		}
	}
	head := "GET %s HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n%s\r\n"
	for name, c := range map[string]struct{ raw, want string }{
		"other path":         {fmt.Sprintf(head, "/other", ""), "HTTP/1.1 404"},
		"other subprotocols": {fmt.Sprintf(head, codec.StreamPath, "Sec-WebSocket-Protocol: chat, soup\r\n"), "HTTP/1.1 400"},
		"long head":          {"GET / HTTP/1.1\r\nX: " + string(bytes.Repeat([]byte("x"), 9000)), "HTTP/1.1 431"},
		"not HTTP":           {"hello\r\n\r\n", "HTTP/1.1 400"},
		"no version":         {"GET /v1/stream HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", "HTTP/1.1 4"},
		"ours among others":  {fmt.Sprintf(head, codec.StreamPath, "Sec-WebSocket-Protocol: chat, tickwire.v1.json\r\n"), "HTTP/1.1 101"},
	} {
		conn, err := net.Dial("tcp", n.addr)
		if err != nil {
			t.Fatal(err)
		}
		conn.SetDeadline(time.Now().Add(3 * time.Second))
		for i := 0; i < len(c.raw); i += 700 { // in pieces
			conn.Write([]byte(c.raw[i:min(i+700, len(c.raw))]))
		}
		got := make([]byte, len(c.want))
		io.ReadFull(conn, got)
		if string(got) != c.want {
			t.Errorf("%s: %q, want %s", name, got, c.want)
		}
		conn.Close()
	}
}

// On SIGTERM clients are told, sent away within the window, and the node ends.
func TestDrain(t *testing.T) {
	n := startNode(t, nil)
	p := dial(t, n.addr)
	p.next(codec.TypeHello)
	began := time.Now()
	n.stop(context.Canceled)
	if d := p.next(codec.TypeDrain).Control.(*codec.Drain); d.WithinMS != 1000 {
		t.Errorf("drain %+v", d)
	}
	if code := p.closedWith(); code != codec.CloseRestart {
		t.Errorf("closed with %d", code)
	}
	p.conn.Close()
	if err := <-n.done; err != nil {
		t.Error(err)
	}
	n.done <- nil
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("the drain took %v", took)
	}
	if _, err := net.DialTimeout("tcp", n.addr, time.Second); err == nil {
		t.Error("the port still answers")
	}
}

func TestPortInUse(t *testing.T) {
	n := startNode(t, nil)
	cfg := *n.cfg
	cfg.Listen = n.addr
	_, err := New(t.Context(), cfg, prometheus.NewRegistry(), slog.Default())
	if err == nil || !strings.Contains(err.Error(), "choose another") {
		t.Errorf("a second node on the port: %v", err)
	}
	before := descriptors(t) // after the runtime has what it needs for sockets
	for range 20 {
		New(t.Context(), cfg, prometheus.NewRegistry(), slog.Default())
	}
	// The first node's readers dial meanwhile: a few come and go.
	eventually(t, 3*time.Second, "no descriptor is left open", func() bool { return descriptors(t) < before+10 })
}

// A node that never runs leaves nothing open either.
func TestNewAndClose(t *testing.T) {
	cfg := Config{Listen: "127.0.0.1:0", Loops: 3, Heartbeat: time.Second, Redis: "redis://127.0.0.1:1", Limits: usual(t)}
	before := descriptors(t)
	n, err := New(t.Context(), cfg, prometheus.NewRegistry(), slog.Default())
	if err != nil {
		t.Fatal(err)
	}
	n.Close()
	if after := descriptors(t); after > before {
		t.Errorf("%d descriptors are left open", after-before)
	}
}

// descriptors counts what the process has open.
func descriptors(t *testing.T) int {
	t.Helper()
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip(err)
	}
	return len(open)
}
