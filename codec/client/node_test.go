package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/tickwire/tickwire/codec"
)

const (
	btc     = "binance:BTC-USDT"
	eth     = "binance:ETH-USDT"
	history = 1_700_000_000_000
)

// soon is for what must happen; quickly, but not on a machine that is busy.
const soon = 10 * time.Second

// node is the other end: a WebSocket server on loopback. Each connection runs the
// next of its scripts; the last one serves all that follow.
type node struct {
	t       *testing.T
	ln      net.Listener
	scripts []func(p *peer)
	wg      sync.WaitGroup

	mu     sync.Mutex
	conns  []net.Conn
	served int
	heads  []http.Header
	status int // of the answer to the handshake, when not 101
	refuse func(connection int) error
}

func newNode(t *testing.T, scripts ...func(p *peer)) *node {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &node{t: t, ln: ln, scripts: scripts}
	n.wg.Go(n.accept)
	t.Cleanup(func() {
		ln.Close()
		n.mu.Lock()
		for _, conn := range n.conns {
			conn.Close()
		}
		n.mu.Unlock()
		n.wg.Wait()
	})
	return n
}

func (n *node) url() string { return "ws://" + n.ln.Addr().String() }

func (n *node) count() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.served
}

// authorization is what the i-th connection brought.
func (n *node) authorization(i int) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.heads[i].Get("Authorization")
}

func (n *node) accept() {
	for {
		conn, err := n.ln.Accept()
		if err != nil {
			return
		}
		n.mu.Lock()
		n.conns = append(n.conns, conn)
		script := n.scripts[min(n.served, len(n.scripts)-1)]
		n.served++
		n.mu.Unlock()
		n.wg.Go(func() {
			defer conn.Close()
			if p := n.shake(conn); p != nil {
				script(p)
			}
		})
	}
}

func (n *node) shake(conn net.Conn) *peer {
	p := &peer{t: n.t, conn: conn}
	head := make(http.Header)
	up := ws.Upgrader{
		Protocol: func(name []byte) bool {
			p.json = string(name) == codec.ProtocolJSON
			return true
		},
		OnHeader: func(key, value []byte) error {
			head.Add(string(key), string(value))
			return nil
		},
		OnBeforeUpgrade: func() (ws.HandshakeHeader, error) {
			n.mu.Lock()
			n.heads = append(n.heads, head)
			connection := len(n.heads)
			n.mu.Unlock()
			if n.refuse != nil {
				return nil, n.refuse(connection)
			}
			if n.status != 0 {
				return nil, ws.RejectConnectionError(ws.RejectionStatus(n.status), ws.RejectionReason("no\x1b[31m\nentry"))
			}
			return nil, nil
		},
	}
	if _, err := up.Upgrade(conn); err != nil {
		return nil
	}
	return p
}

// peer is one connection as the node has it.
type peer struct {
	t    *testing.T
	conn net.Conn
	json bool
}

// frame reads a frame of the client, which must be masked.
func (p *peer) frame() (ws.Frame, error) {
	p.conn.SetReadDeadline(time.Now().Add(soon))
	f, err := readFrame(p.conn)
	if err != nil {
		return f, err
	}
	if !f.Header.Masked || !f.Header.Fin || f.Header.Rsv != 0 {
		p.t.Errorf("a client's frame with header %+v", f.Header)
	}
	return f, nil
}

// readFrame reads a frame and takes its mask off.
func readFrame(from io.Reader) (f ws.Frame, err error) {
	if f.Header, err = ws.ReadHeader(from); err != nil {
		return f, err
	}
	f.Payload = make([]byte, f.Header.Length)
	_, err = io.ReadFull(from, f.Payload)
	ws.Cipher(f.Payload, f.Header.Mask, 0)
	return f, err
}

// request is a request, and how many bytes it took.
type request struct {
	codec.Request
	Size int
}

func (r *request) names() (names []string) {
	for _, s := range r.Symbols {
		names = append(names, string(s))
	}
	return names
}

func (r *request) fields() string { return string(bytes.Join(r.Fields, []byte(","))) }

// positions are what the request resumes from, as symbol@history/seq, sorted.
func (r *request) positions() string {
	var all []string
	for _, p := range r.Resume {
		all = append(all, fmt.Sprintf("%s@%d/%d", p.Symbol, p.History-history, p.Seq-history))
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

// request reads the next request; when the client has gone the script ends.
func (p *peer) request() *request {
	f, err := p.frame()
	if err != nil || f.Header.OpCode == ws.OpClose {
		p.conn.Close()
		runtime.Goexit()
	}
	r := &request{Size: len(f.Payload)}
	parse, want := codec.ParseRequest, ws.OpBinary
	if p.json {
		parse, want = codec.ParseRequestJSON, ws.OpText
	}
	if f.Header.OpCode != want {
		p.t.Errorf("op code %d, want %d", f.Header.OpCode, want)
	}
	if err := parse(f.Payload, &r.Request); err != nil {
		p.t.Errorf("request %q: %v", f.Payload, err)
	}
	return r
}

// hang keeps the connection until the client goes.
func (p *peer) hang() {
	for {
		p.conn.SetReadDeadline(time.Now().Add(soon))
		if _, err := io.CopyN(io.Discard, p.conn, 1); err != nil {
			return
		}
	}
}

func (p *peer) write(op ws.OpCode, payload []byte) {
	p.conn.SetWriteDeadline(time.Now().Add(soon))
	ws.WriteFrame(p.conn, ws.NewFrame(op, true, payload))
}

// say sends a message in the connection's encoding.
func say(p *peer, m codec.Control) {
	if p.json {
		p.write(ws.OpText, codec.AppendControlJSON(nil, m))
		return
	}
	p.write(ws.OpBinary, codec.AppendControl(nil, m))
}

func (p *peer) hello(heartbeat time.Duration) { p.helloFor(heartbeat, nil) }

// helloFor is a hello to whoever came with a token that is good for so many seconds.
func (p *peer) helloFor(heartbeat time.Duration, ttl *int64) {
	say(p, &codec.Hello{
		Protocol: codec.Version, Node: "n1", Fields: codec.FieldNames[:], Heartbeat: heartbeat.Milliseconds(), TokenTTL: ttl,
		Limits: codec.Limits{RequestBytes: 64 << 10, RequestSymbols: 4096, Subs: 10000, RequestsPerSecond: 50},
	})
}

// reply confirms a subscription to symbols, numbered from 0.
func (p *peer) reply(r *request, results ...codec.Result) {
	rate, view := r.Rate, codec.Mask(0)
	for _, name := range r.Fields {
		f, _ := codec.FieldByName(string(name))
		view |= 1 << f
	}
	if view = view.WithScales(); view == codec.AllFields {
		view = 0
	}
	say(p, &codec.Reply{ID: r.ID, Op: r.Op, Rate: &rate, Fields: view, Results: results})
}

func is(symbol string, id uint32) codec.Result { return codec.Result{Symbol: symbol, ID: &id} }

func is404(symbol string, code codec.Code) codec.Result {
	return codec.Result{Symbol: symbol, Error: codec.NewError(nil, code, "")}
}

func takesN(pattern string, n int) codec.Result { return codec.Result{Symbol: pattern, Matched: &n} }

// data sends updates; names are those of the ids.
func (p *peer) data(names map[uint32]string, updates ...codec.Update) {
	if p.json {
		out := codec.AppendDataHeaderJSON(nil, 1)
		for i := range updates {
			if i > 0 {
				out = append(out, ',')
			}
			out = codec.AppendUpdateJSON(out, names[updates[i].ID], &updates[i])
		}
		p.write(ws.OpText, codec.AppendDataEndJSON(out))
		return
	}
	out := codec.AppendDataHeader(nil, 1, len(updates))
	for i := range updates {
		out = codec.AppendUpdate(out, &updates[i])
	}
	p.write(ws.OpBinary, out)
}

var symbols = map[uint32]string{0: btc, 1: eth}

// image is an image of symbol id with a bid, as bid/100.
func image(id uint32, seq, bid int64) codec.Update {
	q := codec.Empty
	q[codec.Bid], q[codec.Last], q[codec.PriceScale] = bid, 7, 2
	return codec.Update{ID: id, Seq: history + seq, Flags: codec.Image, History: history, Mask: q.Present(), Quote: q}
}

// delta is a new bid.
func delta(id uint32, seq, bid int64) codec.Update {
	u := image(id, seq, bid)
	u.Flags, u.Mask = 0, 1<<codec.Bid
	return u
}

func (p *peer) heartbeat(names ...string) {
	h := &codec.Heartbeat{Subs: len(names)}
	for _, name := range names {
		h.Hash ^= codec.SymbolHash(name)
	}
	say(p, h)
}

func (p *peer) bye(code ws.StatusCode, reason string) {
	p.write(ws.OpClose, ws.NewCloseFrameBody(code, reason))
	p.hang()
}

// run starts a client against a node, with little patience, until the test ends.
type run struct {
	*Client
	t      *testing.T
	events chan Event
	done   chan error
	stop   context.CancelFunc
}

var hasty = pace{backoffFirst: 2 * time.Millisecond, backoffMost: 20 * time.Millisecond, askFirst: 40 * time.Millisecond, askMost: 160 * time.Millisecond}

func start(t *testing.T, cfg Config, prepare func(c *Client)) *run {
	ctx, stop := context.WithCancel(t.Context())
	r := &run{Client: New(cfg), t: t, events: make(chan Event, 100_000), done: make(chan error, 1), stop: stop}
	r.pace = hasty
	r.OnEvent = func(e Event) { r.events <- e }
	if prepare != nil {
		prepare(r.Client)
	}
	go func() { r.done <- r.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := r.wait(); err != nil && !errors.Is(err, context.Canceled) {
			t.Log("Run:", err)
		}
	})
	return r
}

// wait is how Run ended.
func (r *run) wait() error {
	select {
	case err := <-r.done:
		r.done <- err
		return err
	case <-time.After(soon):
		r.t.Error("Run does not end")
		return nil
	}
}

// event waits for the next event of a kind.
func (r *run) event(kind EventKind) Event {
	r.t.Helper()
	for {
		select {
		case e := <-r.events:
			if e.Kind == kind {
				return e
			}
		case <-time.After(soon):
			r.t.Fatalf("no event %q", kind)
		}
	}
}

// until waits for something to be true.
func (r *run) until(what string, ok func() bool) {
	r.t.Helper()
	for end := time.Now().Add(soon); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			r.t.Fatalf("not within %v: %s", soon, what)
		}
	}
}

// holds waits for a symbol's seq and bid.
func (r *run) holds(symbol string, seq, bid int64) {
	r.t.Helper()
	r.until(fmt.Sprintf("%s has seq %d and bid %d", symbol, seq, bid), func() bool {
		q, s, ok := r.Quote(symbol)
		return ok && s == history+seq && q[codec.Bid] == bid
	})
}

// encodings runs a test for both.
func encodings(t *testing.T, test func(t *testing.T, encoding string)) {
	for _, encoding := range []string{"msgpack", "json"} {
		t.Run(encoding, func(t *testing.T) { test(t, encoding) })
	}
}
