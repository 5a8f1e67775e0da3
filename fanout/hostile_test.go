package fanout

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/tickwire/tickwire/codec"
)

// opened is how many connections the node has.
func (n *testNode) opened() (conns int64) {
	for _, l := range n.loops {
		conns += int64(l.published[openConns].Load())
	}
	return conns
}

func eventually(t *testing.T, within time.Duration, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(within); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not in %v: %s", within, what)
		}
	}
}

const upgradeHead = "GET " + codec.StreamPath + " HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

func TestTooManyConnectionsAndRequests(t *testing.T) {
	n := startNode(t, func(cfg *Config) { cfg.Loops, cfg.MaxConns = 1, 2 })
	a, _ := dial(t, n.addr), dial(t, n.addr)
	conn, err := net.Dial("tcp", n.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	got := make([]byte, 12)
	conn.SetDeadline(time.Now().Add(3 * time.Second))
	if io.ReadFull(conn, got); string(got) != "HTTP/1.1 503" {
		t.Errorf("the third connection got %q", got)
	}
	a.next(codec.TypeHello)
	for range 100 + 1 {
		a.send(`{"op":"ping","id":1}`)
	}
	if e := a.next(codec.TypeError).Control.(*codec.Error); e.Code != codec.CodeTooManyRequests || !e.Retry {
		t.Errorf("error %+v", e)
	}
	go func() {
		raw := bytes.Repeat(masked(ws.OpText, true, []byte(`{"op":"ping"}`)), 2*floodMax)
		a.conn.Write(raw)
	}()
	if code := a.closedWith(); code != ws.StatusPolicyViolation {
		t.Errorf("a flood closes with %d", code)
	}
}

// Peers that ask for an upgrade and are reset before they are answered: their places
// are free again, and the others get their prices.
func TestResetBehindUpgrade(t *testing.T) {
	n := startNode(t, nil)
	n.publish("sim:A", bid(1))
	honest := dial(t, n.addr)
	honest.next(codec.TypeHello)
	honest.send(`{"op":"subscribe","id":1,"symbols":["sim:*"]}`)
	honest.next(codec.TypeReply)
	var request bytes.Buffer
	wsutil.WriteClientText(&request, []byte(`{"op":"subscribe","symbols":["sim:*"]}`))
	for i := range 300 {
		conn, err := net.Dial("tcp", n.addr)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(conn, upgradeHead)
		if i%2 == 0 {
			conn.Write(request.Bytes())
		}
		conn.(*net.TCPConn).SetLinger(0)
		conn.Close()
	}
	n.publish("sim:A", bid(2))
	for honest.next(codec.TypeData).Updates[0].Quote[codec.Bid] != 2 {
	}
	eventually(t, 5*time.Second, "only the honest peer is open", func() bool { return n.opened() == 1 })
}

// A client that sends a request, and the end of its stream right behind it, is
// answered and gone; it does not stay for want of a further event.
func TestEndBehindRequest(t *testing.T) {
	n := startNode(t, nil)
	for range 50 {
		p := dial(t, n.addr)
		p.next(codec.TypeHello)
		p.send(`{"op":"ping","id":1}`)
		p.conn.(*net.TCPConn).CloseWrite()
		p.next(codec.TypeReply)
	}
	eventually(t, 5*time.Second, "nobody is left", func() bool { return n.opened() == 0 })
}

// Bodies that never come take the places of plain HTTP for a while only, and who finds
// none is told so.
func TestUnsentBodies(t *testing.T) {
	n := startNode(t, func(cfg *Config) { cfg.MaxConns = 2 * httpMax })
	n.publish("sim:A", bid(1))
	for range httpMax {
		conn, err := net.Dial("tcp", n.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n")
	}
	eventually(t, 5*time.Second, "every place is taken", func() bool { return n.http.open.Load() == httpMax })
	res, err := http.Get("http://" + n.addr + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(res.Body)
	res.Body.Close()
	if res.StatusCode != http.StatusServiceUnavailable || !strings.Contains(string(body), "try again") {
		t.Errorf("%d %s", res.StatusCode, body)
	}
	dial(t, n.addr).next(codec.TypeHello) // the stream has places of its own
	eventually(t, 15*time.Second, "the places are free again", func() bool { return n.http.open.Load() == 0 })
}

// The pattern of everything, 4,000 times in a request, has an answer of one board; and
// so have positions of everything.
func TestRepeatedPatterns(t *testing.T) {
	n := startNode(t, nil)
	const symbols = 2000
	n.publishMany(symbols)
	p := dial(t, n.addr, codec.ProtocolJSON)
	p.next(codec.TypeHello)
	p.send(`{"op":"subscribe","id":1,"symbols":["*"` + strings.Repeat(`,"*"`, requestSymbols-1) + `]}`)
	if got := len(p.next(codec.TypeReply).Control.(*codec.Reply).Results); got != requestSymbols+symbols {
		t.Errorf("%d results", got)
	}
	p.send(`{"op":"subscribe","id":2,"symbols":["*"],"resume":[["sim:S00000-USD",1,1]` +
		strings.Repeat(`,["x:y",1,1]`, requestSymbols) + `]}`)
	if e := p.next(codec.TypeError).Control.(*codec.Error); e.Code != codec.CodeTooManySymbols {
		t.Errorf("%+v", e)
	}
}

// publishMany brings so many symbols to the board in one batch.
func (n *testNode) publishMany(symbols int) {
	b := newBatch()
	n.master.mu.Lock()
	for _, symbol := range manySymbols(symbols) {
		u := codec.Update{Seq: 1, History: 1, Flags: codec.Image, Quote: bid(1)}
		u.Mask = u.Quote.Present()
		n.master.merge(b, n.stream, []byte(symbol), &u)
	}
	n.master.publish()
	n.master.mu.Unlock()
	b.refs.Add(1)
	n.post(b)
	b.release()
}

// Frames that cost without asking for anything come out of the same budget: pings,
// pongs that nobody waits for, fragments of nothing. The answers to our pings do not.
func TestFloods(t *testing.T) {
	n := startNode(t, nil)
	n.publish("sim:A", bid(1))
	for name, frames := range map[string][][]byte{
		"pings":     {masked(ws.OpPing, true, nil)},
		"pongs":     {masked(ws.OpPong, true, []byte("nobody asked"))},
		"fragments": {masked(ws.OpText, false, nil), masked(ws.OpContinuation, false, nil)},
	} {
		p := dial(t, n.addr)
		p.next(codec.TypeHello)
		go func() {
			p.conn.Write(frames[0])
			p.conn.Write(bytes.Repeat(frames[len(frames)-1], 2*floodMax))
		}()
		if code := p.closedWith(); code != ws.StatusPolicyViolation {
			t.Errorf("%s: closed with %d", name, code)
		}
	}
	p := dial(t, n.addr)
	p.next(codec.TypeHello)
	p.send(`{"op":"subscribe","id":1,"symbols":["sim:A"]}`)
	p.next(codec.TypeReply)
	for i := range 2 * floodMax { // each of 200 bytes: one ping in 80
		n.publish("sim:A", likely(int64(2+i)))
		p.next(codec.TypeData)
	}
	p.send(`{"op":"ping","id":2}`)
	if r := p.next(codec.TypeReply).Control.(*codec.Reply); r.ID != 2 {
		t.Errorf("%+v", r)
	}
}

// Clients that ask for everything and read nothing, or next to nothing: what waits for
// them is bounded, by their end, and the others are answered. The next ones take what the
// first left behind.
func TestUnreadAnswers(t *testing.T) {
	const symbols, deaf = 20_000, 250
	n := startNode(t, func(cfg *Config) { cfg.Loops, cfg.MaxConns, cfg.MaxSubs = 1, 2*deaf, symbols })
	n.publishMany(symbols)
	honest := dial(t, n.addr)
	honest.next(codec.TypeHello)
	unread := n.events.closed.WithLabelValues("unread")
	before := heapInUse()
	var kept [2]int64
	for wave := range kept {
		shed := testutil.ToFloat64(unread)
		var peers []*peer
		for range deaf {
			p := dial(t, n.addr, codec.ProtocolJSON)
			p.send(`{"op":"subscribe","id":1,"symbols":["*"]}`)
			peers = append(peers, p)
		}
		eventually(t, 30*time.Second, "who keeps the most is given up", func() bool {
			time.Sleep(50 * time.Millisecond)
			for _, p := range peers { // far more than 1,000 bytes a second: none is stalled
				p.conn.SetReadDeadline(time.Now().Add(time.Millisecond))
				p.conn.Read(make([]byte, 2000))
			}
			return testutil.ToFloat64(unread) > shed
		})
		if grown := heapInUse() - before; grown > 3*tailsMax {
			t.Errorf("the heap grew by %d MB", grown>>20)
		}
		eventually(t, 5*time.Second, "a request is answered", func() bool {
			time.Sleep(50 * time.Millisecond)
			r, _ := honest.ask(`{"op":"subscribe","id":7,"symbols":["sim:S00000-USD"]}`)
			return r != nil && r.Results[0].ID != nil
		})
		for _, p := range peers {
			p.conn.Close()
		}
		eventually(t, 5*time.Second, "one is left", func() bool { return n.opened() == 1 })
		kept[wave] = heapInUse() - before
	}
	if most := int64(2 * deaf * symbols * 8); kept[0] > most || kept[1] > kept[0]+8<<20 {
		t.Errorf("%d MB are kept when they are gone", kept)
	}
}

// ask sends a request and returns what answers it; data in between is passed over.
func (p *peer) ask(request string) (*codec.Reply, *codec.Error) {
	p.t.Helper()
	p.send(request)
	for {
		_, payload := p.frame()
		if err := codec.ParseMessage(payload, &p.msg); err != nil {
			p.t.Fatal(err)
		}
		switch m := p.msg.Control.(type) {
		case *codec.Reply:
			return m, nil
		case *codec.Error:
			return nil, m
		}
	}
}
