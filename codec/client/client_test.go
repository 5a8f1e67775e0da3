package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
	"go.uber.org/goleak"

	"github.com/tickwire/tickwire/codec"
)

const (
	symbol    = "sim:A"
	heartbeat = 800 // ms: two seconds of silence end a connection
)

// node is a peer on loopback that speaks the protocol by hand: serve is called with
// each connection in turn, and the last one's again.
type node struct {
	t   *testing.T
	url string
}

type wire struct {
	t    *testing.T
	conn net.Conn
	req  codec.Request
}

func startNode(t *testing.T, serve ...func(*wire)) *node {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var open sync.WaitGroup
	t.Cleanup(func() { l.Close(); open.Wait() })
	open.Go(func() {
		for i := 0; ; i++ {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			open.Go(func() {
				defer conn.Close()
				if _, err := ws.Upgrade(conn); err != nil {
					return
				}
				w := &wire{t: t, conn: conn}
				w.say(codec.AppendHello(nil, &codec.Hello{Protocol: 1, Node: "test", Heartbeat: heartbeat}))
				serve[min(i, len(serve)-1)](w)
			})
		}
	})
	return &node{t, "ws://" + l.Addr().String()}
}

func (w *wire) say(message []byte) { wsutil.WriteServerBinary(w.conn, message) }

// asked reads the next request; nil when the client has gone.
func (w *wire) asked() *codec.Request {
	w.conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	raw, op, err := wsutil.ReadClientData(w.conn)
	if err != nil {
		return nil
	}
	parse := codec.ParseRequest
	if op == ws.OpText {
		parse = codec.ParseRequestJSON
	}
	if err := parse(raw, &w.req); err != nil {
		w.t.Errorf("a request that nobody can read: %v", err)
	}
	return &w.req
}

// confirm answers a subscribe.
func (w *wire) confirm(r *codec.Request) {
	if r == nil {
		w.t.Error("the client has gone, and should have asked")
		return
	}
	id := uint32(7)
	w.say(codec.AppendReply(nil, &codec.Reply{ID: r.ID, Op: r.Op, Results: []codec.Result{{Symbol: symbol, ID: &id}}}))
}

func (w *wire) update(seq int64, flags codec.Flags, bid int64) {
	u := codec.Update{ID: 7, Seq: seq, Flags: flags, History: 1, Mask: 1<<codec.Bid | 1<<codec.PriceScale, Quote: codec.Empty}
	u.Quote[codec.Bid], u.Quote[codec.PriceScale] = bid, 2
	w.say(codec.AppendUpdate(codec.AppendDataHeader(nil, 1, 1), &u))
}

// drained reads until the client goes.
func (w *wire) drained() {
	for w.asked() != nil {
	}
}

// run runs a client until a test has seen enough.
type run struct {
	*Client
	updates chan Update
	events  chan Event
	done    chan error
	stop    context.CancelFunc
}

func startClient(t *testing.T, n *node, symbols ...string) *run {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	r := &run{Client: New(Config{URL: n.url}), updates: make(chan Update, 100), events: make(chan Event, 100), done: make(chan error, 1), stop: stop}
	r.OnUpdate = func(u *Update) { r.updates <- *u }
	r.OnEvent = func(e Event) { r.events <- e }
	r.Subscribe(Terms{}, symbols...)
	go func() { r.done <- r.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		select {
		case <-r.done:
		case <-time.After(3 * time.Second):
			t.Error("Run does not end")
		}
	})
	return r
}

func (r *run) update(t *testing.T) Update {
	t.Helper()
	select {
	case u := <-r.updates:
		return u
	case <-time.After(5 * time.Second):
		t.Fatal("no update")
	}
	panic("unreachable")
}

func (r *run) event(t *testing.T, kind EventKind) Event {
	t.Helper()
	for end := time.After(5 * time.Second); ; {
		select {
		case e := <-r.events:
			if e.Kind == kind {
				return e
			}
		case <-end:
			t.Fatalf("no event %s", kind)
		}
	}
}

// A lost connection is resumed from the seq held; what was skipped is counted.
func TestResume(t *testing.T) {
	defer goleak.VerifyNone(t)
	t.Run("", func(t *testing.T) {
		n := startNode(t, func(w *wire) {
			w.confirm(w.asked())
			w.update(10, codec.Image, 100)
		}, func(w *wire) {
			r := w.asked()
			if len(r.Resume) != 1 || string(r.Resume[0].Symbol) != symbol || r.Resume[0].History != 1 || r.Resume[0].Seq != 10 {
				t.Errorf("resume %+v", r.Resume)
			}
			w.confirm(r)
			w.update(15, codec.Conflated|codec.ReasonCatchUp, 105)
			w.drained()
		})
		r := startClient(t, n, symbol)
		if u := r.update(t); u.Seq != 10 || u.Quote[codec.Bid] != 100 || u.Skipped != 0 {
			t.Errorf("%+v", u)
		}
		r.event(t, Disconnected)
		if u := r.update(t); u.Seq != 15 || u.Skipped != 4 {
			t.Errorf("%+v", u)
		}
		if q, seq, ok := r.Quote(symbol); !ok || seq != 15 || q[codec.Bid] != 105 {
			t.Errorf("%v %d", q, seq)
		}
	})
}

// A final close code ends Run, and says why.
func TestFinalCodes(t *testing.T) {
	n := startNode(t, func(w *wire) {
		wsutil.WriteServerMessage(w.conn, ws.OpClose, ws.NewCloseFrameBody(4001, "token refused"))
		w.drained()
	})
	r := startClient(t, n, symbol)
	err := <-r.done
	r.done <- err
	var final *FinalError
	if !errors.As(err, &final) || final.Code != 4001 || !strings.Contains(err.Error(), "token refused") {
		t.Errorf("Run ended with %v", err)
	}
}

// A symbol that is not there yet is asked for again until it is.
func TestUnknownSymbol(t *testing.T) {
	n := startNode(t, func(w *wire) {
		r := w.asked()
		w.say(codec.AppendReply(nil, &codec.Reply{ID: r.ID, Op: r.Op, Results: []codec.Result{
			{Symbol: symbol, Error: codec.NewError(nil, codec.CodeUnknownSymbol, "not yet")},
		}}))
		w.confirm(w.asked())
		w.update(1, codec.Image, 1)
		w.drained()
	})
	r := startClient(t, n, symbol)
	if e := r.event(t, Refused); e.Symbol != symbol {
		t.Errorf("%+v", e)
	}
	r.update(t)
}

// Silence, a heartbeat of other subscriptions and a seq that goes back give the
// connection up; after the latter two nothing is resumed.
func TestBrokenPromises(t *testing.T) {
	for name, c := range map[string]struct {
		then   func(*wire)
		want   string
		resume bool
	}{
		"silence":        {func(w *wire) { w.drained() }, "nothing heard", true},
		"other hash":     {func(w *wire) { w.say(codec.AppendHeartbeat(nil, &codec.Heartbeat{Subs: 2, Hash: 1})); w.drained() }, "subscriptions", false},
		"seq goes back":  {func(w *wire) { w.update(9, 0, 1); w.drained() }, "went back", false},
		"not a message":  {func(w *wire) { w.say([]byte{1}); w.drained() }, "protocol", true},
		"drain, restart": {func(w *wire) { w.say(codec.AppendDrain(nil, &codec.Drain{WithinMS: 1})) }, "EOF", true},
	} {
		t.Run(name, func(t *testing.T) {
			resumed := make(chan bool, 1)
			n := startNode(t, func(w *wire) {
				w.confirm(w.asked())
				w.update(10, codec.Image, 100)
				c.then(w)
			}, func(w *wire) {
				if r := w.asked(); r != nil {
					resumed <- len(r.Resume) > 0
					w.drained()
				}
			})
			r := startClient(t, n, symbol)
			r.update(t)
			if e := r.event(t, Disconnected); !strings.Contains(e.Err.Error(), c.want) {
				t.Errorf("disconnected for %v, want %s", e.Err, c.want)
			}
			if got := <-resumed; got != c.resume {
				t.Errorf("resumes: %v", got)
			}
		})
	}
}

// Requests of the other methods arrive, and their replies.
func TestRequests(t *testing.T) {
	ops := make(chan string, 100)
	n := startNode(t, func(w *wire) {
		for {
			r := w.asked()
			if r == nil {
				return
			}
			ops <- fmt.Sprintf("%s %s %v", r.Op, r.Symbols, r.Rate)
			if r.Op == codec.OpSubscribe {
				w.confirm(r)
				continue
			}
			w.say(codec.AppendReply(nil, &codec.Reply{ID: r.ID, Op: r.Op, Time: 42, Results: []codec.Result{{Symbol: symbol}}}))
		}
	})
	r := startClient(t, n, symbol)
	r.event(t, Connected)
	within, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	var now int64
	for now == 0 { // connected is said before the first request can be made
		now, _ = r.Ping(within)
	}
	if list, err := r.List(within); err != nil || len(list) != 1 || now != 42 {
		t.Errorf("%v, %v, %d", list, err, now)
	}
	r.Set(Terms{Rate: 2}, symbol)
	r.Pause()
	r.Resume()
	r.Unsubscribe(symbol)
	want := []string{"subscribe [sim:A] 0", "ping [] 0", "list [] 0", "set [sim:A] 2", "pause [] 0", "resume [] 0", "unsubscribe [sim:A] 0"}
	var got []string
	for len(got) < len(want) {
		op := <-ops
		op = strings.ReplaceAll(op, fmt.Sprint([]byte(symbol)), symbol)
		got = append(got, op)
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q\nwant %q", got, want)
	}
	if _, _, ok := r.Quote(symbol); ok {
		t.Error("an unsubscribed symbol is still held")
	}
}
