package feed

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/tickwire/tickwire/codec"
)

// patience is how long a test waits for what must happen.
const patience = 5 * time.Second

// exchange is a WebSocket server on loopback that a test plays the venue with.
type exchange struct {
	t        *testing.T
	url      string
	listener net.Listener
	peers    chan *peer // connections, as they come
	done     sync.WaitGroup
}

// peer is the exchange's end of a session's connection.
type peer struct {
	t      *testing.T
	conn   net.Conn
	path   string
	asked  chan string // text messages
	pings  chan string
	pongs  chan string
	closed chan struct{}
	mute   bool // answers no pings
}

func newExchange(t *testing.T) *exchange {
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e := &exchange{t: t, url: "ws://" + listener.Addr().String(), listener: listener, peers: make(chan *peer, 16)}
	e.done.Add(1)
	go func() {
		defer e.done.Done()
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			e.done.Add(1)
			go e.serve(conn)
		}
	}()
	t.Cleanup(func() { listener.Close(); e.done.Wait() })
	return e
}

func (e *exchange) serve(conn net.Conn) {
	defer e.done.Done()
	defer conn.Close()
	p := &peer{
		t: e.t, conn: conn, asked: make(chan string, 100), pings: make(chan string, 100), pongs: make(chan string, 100),
		closed: make(chan struct{}),
	}
	up := ws.Upgrader{OnRequest: func(uri []byte) error { p.path = string(uri); return nil }}
	if _, err := up.Upgrade(conn); err != nil {
		return
	}
	e.peers <- p
	defer close(p.closed)
	for {
		h, err := ws.ReadHeader(conn)
		if err != nil {
			return
		}
		if !h.Masked || h.Length > readBytes {
			e.t.Errorf("a client's frame of %d bytes, masked: %v", h.Length, h.Masked)
			return
		}
		raw := make([]byte, h.Length)
		if _, err := io.ReadFull(conn, raw); err != nil {
			return
		}
		ws.Cipher(raw, h.Mask, 0)
		payload := string(raw)
		switch h.OpCode {
		case ws.OpText:
			p.asked <- payload
		case ws.OpPing:
			p.pings <- payload
			if !p.mute {
				p.frame(ws.NewPongFrame([]byte(payload)))
			}
		case ws.OpPong:
			p.pongs <- payload
		case ws.OpClose:
			return
		}
	}
}

// frame sends; a connection that the session has left is no failure.
func (p *peer) frame(f ws.Frame) {
	var b bytes.Buffer
	ws.WriteFrame(&b, f)
	p.conn.Write(b.Bytes())
}

func (p *peer) say(text string) { p.frame(ws.NewTextFrame([]byte(text))) }

// next is the next connection.
func (e *exchange) next() *peer {
	e.t.Helper()
	return await(e.t, e.peers, "a connection")
}

// depart ends the exchange for who is connected, and for good.
func (e *exchange) depart(p *peer) {
	e.listener.Close()
	p.conn.Close()
}

// await takes from a channel what must come.
func await[T any](t *testing.T, from <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		t.Fatalf("no %s within %v", what, patience)
		panic("unreachable")
	}
}

// asks expects a request with some words in it, and without others, marked by !.
func (p *peer) asks(words ...string) {
	p.t.Helper()
	got := await(p.t, p.asked, "request with "+strings.Join(words, " "))
	for _, w := range words {
		without, not := strings.CutPrefix(w, "!")
		if strings.Contains(got, without) == not {
			p.t.Fatalf("asked %s; want %v", got, words)
		}
	}
}

// gone waits until the session has left.
func (p *peer) gone() {
	p.t.Helper()
	await(p.t, p.closed, "end of a connection")
}

// quick is livePace for a test.
var quick = pace{
	clock: 2 * time.Millisecond, dial: time.Second, ping: 40 * time.Millisecond, silence: 150 * time.Millisecond,
	ack: 40 * time.Millisecond, backoff: 2 * time.Millisecond, backoffMax: 10 * time.Millisecond,
	linger: 20 * time.Millisecond, overlap: time.Second, again: 300 * time.Millisecond,
}

// trial is a session under test, and what it says.
type trial struct {
	t      *testing.T
	counts *counts
	said   chan tick
	ended  chan error
	stop   context.CancelFunc
}

// hasty is a row of the table that waits for nothing.
func hasty(v venue) *venue {
	v.requestGap, v.dialGap = time.Millisecond, time.Millisecond
	return &v
}

func newTrial(t *testing.T, v *venue, url string, p pace, symbols ...string) *trial {
	ctx, stop := context.WithCancel(context.Background())
	r := &trial{t: t, counts: newCounts(nil, "x/0"), said: make(chan tick, 1000), ended: make(chan error, 1), stop: stop}
	blocks := make(chan *block, 4)
	s := &session{
		venue: v, url: url, symbols: symbols, log: quiet, pace: p,
		in: newSource(v, blocks, r.counts),
	}
	go func() {
		r.ended <- s.run(ctx)
		close(blocks)
	}()
	go func() {
		for b := range blocks {
			for _, t := range b.ticks {
				r.said <- t
			}
		}
		close(r.said)
	}()
	t.Cleanup(func() {
		stop()
		if err := await(t, r.ended, "end of the session"); err != nil {
			t.Error(err)
		}
		for range r.said {
		}
	})
	return r
}

// says expects the next tick, as "coinbase:BTC-USD last=5 gap" has it.
func (r *trial) says(want string) tick {
	r.t.Helper()
	k := await(r.t, r.said, "tick: "+want)
	if got := tickText(&k); got != want {
		r.t.Fatalf("said %q, want %q", got, want)
	}
	return k
}

// tickText is a tick without its times.
func tickText(k *tick) string {
	line := []byte(k.symbol)
	for f := range codec.Field(codec.NumFields) {
		if k.mask.Has(f) && f != codec.EventTime && f != codec.RecvTime {
			line = codec.AppendText(fmt.Appendf(line, " %s=", f), &k.quote, f)
		}
	}
	if k.gap {
		line = append(line, " gap"...)
	}
	return string(line)
}

// silent expects that nothing is said for a while.
func (r *trial) silent(d time.Duration) {
	r.t.Helper()
	select {
	case k := <-r.said:
		r.t.Fatalf("said %q, want nothing", tickText(&k))
	case <-time.After(d):
	}
}

// events is how often something happened to the session.
func (r *trial) events(name string) int { return int(value(r.counts.events.WithLabelValues(name))) }

// value is what a counter or a gauge has come to.
func value(c prometheus.Collector) (n int64) {
	reg := prometheus.NewPedanticRegistry()
	reg.MustRegister(c)
	all, _ := reg.Gather()
	for _, m := range all[0].GetMetric() {
		n += int64(m.GetCounter().GetValue() + m.GetGauge().GetValue())
	}
	return n
}
