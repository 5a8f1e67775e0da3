package client

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tickwire/tickwire/codec"
)

// serve answers as a node does that has these symbols, on every connection, and
// gathers what it was asked, one line a request.
func serve(board []string, lines chan<- string, quotes func(p *peer, r *request)) func(p *peer) {
	return func(p *peer) {
		p.hello(time.Minute)
		for {
			r := p.request()
			line := fmt.Sprint(r.Op)
			for _, part := range []string{strings.Join(r.names(), " "), r.fields(), r.positions()} {
				if part != "" {
					line += " | " + part
				}
			}
			if r.HasRate {
				line += fmt.Sprint(" rate ", r.Rate)
			}
			lines <- line
			var results []codec.Result
			for _, name := range r.names() {
				switch at := slices.Index(board, name); {
				case isPattern(name):
					var all []codec.Result
					for id, symbol := range board {
						if matches(name, symbol) {
							all = append(all, is(symbol, uint32(id)))
						}
					}
					results = append(results, takesN(name, len(all)))
					if r.Op == codec.OpSubscribe {
						results = append(results, all...)
					}
				case at < 0:
					results = append(results, is404(name, codec.CodeUnknownSymbol))
				default:
					results = append(results, is(name, uint32(at)))
				}
			}
			p.reply(r, results...)
			if quotes != nil {
				quotes(p, r)
			}
		}
	}
}

func asks(t *testing.T, lines <-chan string, want ...string) {
	t.Helper()
	for _, line := range want {
		select {
		case got := <-lines:
			if got != line {
				t.Fatalf("\ngot  %s\nwant %s", got, line)
			}
		case <-time.After(soon):
			t.Fatalf("does not ask %q", line)
		}
	}
}

// quiet fails when more is asked.
func quiet(t *testing.T, lines <-chan string) {
	t.Helper()
	select {
	case got := <-lines:
		t.Fatalf("asks %s", got)
	case <-time.After(50 * time.Millisecond):
	}
}

// A symbol that the node does not know yet is asked for again, less and less often,
// until it does.
func TestUnknownSymbol(t *testing.T) {
	asked := make(chan time.Time, 100)
	n := newNode(t, func(p *peer) {
		p.hello(time.Minute)
		p.reply(p.request(), is404(btc, codec.CodeUnknownSymbol), is404("nope", codec.CodeBadSymbol), is(eth, 1))
		asked <- time.Now()
		for i := 0; ; i++ {
			r := p.request()
			asked <- time.Now()
			if got := strings.Join(r.names(), " "); got != btc {
				t.Errorf("asks again for %s", got)
			}
			if i == 4 {
				p.reply(r, is(btc, 0))
				p.data(symbols, image(0, 1, 100))
			} else {
				p.reply(r, is404(btc, codec.CodeUnknownSymbol))
			}
		}
	})
	r := start(t, Config{URL: n.url()}, func(c *Client) { c.Subscribe(Terms{}, btc, "nope", eth) })
	if e := r.event(Refused); e.Symbol != btc || e.After <= 0 || !strings.Contains(e.Err.Error(), "unknown_symbol") {
		t.Errorf("%+v", e)
	}
	if e := r.event(Refused); e.Symbol != "nope" || e.After != 0 {
		t.Errorf("%+v", e)
	}
	r.holds(btc, 1, 100)
	last := <-asked
	for _, least := range []time.Duration{32, 64, 128, 128, 128} { // 40 80 160 160 160 ms, less a fifth
		at := <-asked
		if got := at.Sub(last); got < (least-2)*time.Millisecond {
			t.Errorf("asks again after %v, want %v or more", got, least*time.Millisecond)
		}
		last = at
	}
	if n.count() != 1 {
		t.Errorf("%d connections", n.count())
	}
}

// Another node may be behind what is held: it says so, and is asked again.
func TestNodeBehind(t *testing.T) {
	n := newNode(t, func(p *peer) {
		p.hello(time.Minute)
		p.reply(p.request(), is(btc, 0))
		p.data(symbols, image(0, 5, 100))
		time.Sleep(20 * time.Millisecond)
	}, func(p *peer) {
		p.hello(time.Minute)
		p.reply(p.request(), is404(btc, codec.CodeUnavailable))
		r := p.request()
		if got := r.positions(); got != btc+"@0/5" {
			t.Errorf("resumes from %q", got)
		}
		p.reply(r, is(btc, 0))
		p.data(symbols, delta(0, 6, 101))
		p.hang()
	})
	r := start(t, Config{URL: n.url()}, func(c *Client) { c.Subscribe(Terms{}, btc) })
	r.holds(btc, 6, 101)
}

// Many calls become few requests, each within the node's limits; positions that do
// not fit are left out. All are told again after a reconnect.
func TestManySymbols(t *testing.T) {
	const total = 10_000
	name := func(i int) string { return fmt.Sprintf("venue:%s-%05d", strings.Repeat("A", 40), i) }
	serve := func(p *peer) {
		p.hello(time.Minute)
		requests, symbols := 0, 0
		for symbols < total {
			r := p.request()
			requests++
			if r.Size > 64<<10 || len(r.Symbols) > 4096 {
				t.Errorf("a request of %d symbols and %d bytes", len(r.Symbols), r.Size)
			}
			var results []codec.Result
			for _, s := range r.names() {
				results = append(results, is(s, uint32(symbols)))
				symbols++
			}
			p.reply(r, results...)
			for i := range results {
				p.data(map[uint32]string{*results[i].ID: results[i].Symbol}, image(*results[i].ID, 1, 1))
			}
		}
		if requests > 40 {
			t.Errorf("%d requests", requests)
		}
		p.heartbeat(func() (all []string) {
			for i := range total {
				all = append(all, name(i))
			}
			return all
		}()...)
		time.Sleep(50 * time.Millisecond) // a mismatch would show
	}
	for _, encoding := range []string{"msgpack", "json"} {
		n := newNode(t, serve)
		r := start(t, Config{URL: n.url(), Encoding: encoding}, nil)
		r.event(Live)
		for i := range total {
			r.Subscribe(Terms{}, name(i))
		}
		for range 2 {
			if e := r.event(Connecting); errors.Is(e.Err, errPromise) {
				t.Fatal(e.Err)
			}
		}
		r.stop()
		r.wait()
	}
}

// Patterns bring what they take, resume it, and leave behind what other names take.
func TestPatterns(t *testing.T) {
	board := []string{"sim:A", "sim:B", "okx:A"}
	lines := make(chan string, 100)
	drop := make(chan bool)
	few := Terms{Fields: []string{"bid", "last"}}
	n := newNode(t, serve(board, lines, func(p *peer, r *request) {
		switch {
		case r.Op == codec.OpSubscribe && len(r.Resume) == 0 && slices.Contains(r.names(), "sim:*"):
			p.data(map[uint32]string{0: "sim:A", 1: "sim:B"}, image(0, 1, 100), image(1, 2, 200))
		case r.Op == codec.OpPing:
			<-drop
			p.conn.Close()
		}
	}))
	r := start(t, Config{URL: n.url()}, func(c *Client) { c.Subscribe(few, "okx:A", "sim:*") })
	asks(t, lines, "subscribe | okx:A sim:* | bid,last")
	r.holds("sim:B", 2, 200)

	// One symbol cannot be taken out of a pattern.
	r.Unsubscribe("sim:B")
	r.holds("sim:B", 2, 200)
	go r.Ping(t.Context())
	asks(t, lines, "ping")
	drop <- true
	asks(t, lines, "subscribe | okx:A sim:* | bid,last | sim:A@0/1 sim:B@0/2")

	// By name it has terms of its own; of two names that take it none is resumed.
	r.Subscribe(few, "sim:B")
	asks(t, lines, "subscribe | sim:B | bid,last")
	r.Subscribe(Terms{Rate: 2}, "sim:A")
	asks(t, lines, "subscribe | sim:A rate 2")
	r.Subscribe(Terms{Rate: 3}, "sim:A", "sim:*")
	asks(t, lines, "subscribe | sim:A sim:* rate 3")
	go r.Ping(t.Context())
	asks(t, lines, "ping")
	drop <- true
	asks(t, lines, "subscribe | okx:A sim:B | bid,last", "subscribe | sim:A sim:* rate 3")
	r.holds("sim:B", 2, 200)

	// The pattern goes: what was subscribed to by name stays.
	r.Unsubscribe("sim:A", "sim:*")
	if _, _, ok := r.Quote("sim:A"); ok {
		t.Error("sim:A is still there")
	}
	asks(t, lines, "unsubscribe | sim:A sim:*")
	r.holds("sim:B", 2, 200)
	r.Unsubscribe("sim:A", "sim:B", "okx:A")
	asks(t, lines, "unsubscribe | sim:B okx:A")
	quiet(t, lines)
	r.mu.Lock()
	defer r.mu.Unlock()
	if b := r.board; len(b.rows)+len(b.byID)+int(b.hash)+b.subs+len(r.wants)+len(r.patterns) > 0 {
		t.Errorf("%+v is held", b)
	}
}

// What was unsubscribed is forgotten at once, whatever is still under way; heartbeats
// count again when all is answered.
func TestUnsubscribe(t *testing.T) {
	encodings(t, func(t *testing.T, encoding string) {
		n := newNode(t, func(p *peer) {
			p.hello(time.Minute)
			first := p.request()
			p.heartbeat("sim:A") // while something is asked
			p.reply(first, is(btc, 0))
			p.reply(first, is(eth, 1))
			p.data(symbols, image(0, 1, 100), image(1, 1, 100))
			r := p.request() // unsubscribes
			p.heartbeat(btc, eth)
			p.data(symbols, delta(0, 2, 101), delta(1, 2, 101))
			p.reply(first, is(eth, 1)) // a pattern's, which is gone
			p.reply(r, takesN("binance:*", 2))
			p.heartbeat()
			r = p.request()
			p.reply(r, is(eth, 1))
			p.data(symbols, delta(0, 3, 102), image(1, 3, 102))
			p.heartbeat(eth)
			p.hang()
		})
		var got []string
		r := start(t, Config{URL: n.url(), Encoding: encoding}, func(c *Client) {
			c.OnUpdate = func(u *Update) { got = append(got, fmt.Sprint(u.Symbol, u.Seq-history)) }
			c.Subscribe(Terms{}, "binance:*")
		})
		r.holds(eth, 1, 100)
		r.Unsubscribe("binance:*")
		for _, symbol := range symbols {
			if _, _, ok := r.Quote(symbol); ok {
				t.Errorf("%s is still there", symbol)
			}
		}
		time.Sleep(50 * time.Millisecond)
		r.Subscribe(Terms{}, eth)
		r.holds(eth, 3, 102)
		time.Sleep(20 * time.Millisecond) // a mismatch would show
		r.stop()
		r.wait()
		if want := []string{btc + "1", eth + "1", eth + "3"}; !slices.Equal(got, want) || n.count() != 1 {
			t.Errorf("%d connections, %q", n.count(), got)
		}
	})
}

// A symbol that appears later comes with a reply that has the pattern's id.
func TestPatternTakesLater(t *testing.T) {
	n := newNode(t, func(p *peer) {
		p.hello(time.Minute)
		r := p.request()
		p.reply(r, takesN("binance:*", 1), is(btc, 0))
		p.heartbeat(btc)
		p.reply(r, is(eth, 1))
		p.data(symbols, image(1, 1, 100))
		p.heartbeat(btc, eth)
		p.data(symbols, delta(1, 2, 200))
		p.hang()
	})
	r := start(t, Config{URL: n.url()}, func(c *Client) { c.Subscribe(Terms{}, "binance:*") })
	r.holds(eth, 2, 200)
}

// What was held under other fields is not resumed from; under the same, at whatever
// rate, it is.
func TestOtherTermsWhileAway(t *testing.T) {
	lines := make(chan string, 100)
	n := newNode(t, serve([]string{btc, eth}, lines, func(p *peer, r *request) {
		if len(r.Resume) == 0 && len(r.Symbols) == 2 {
			p.data(symbols, image(0, 1, 100), image(1, 2, 100))
			time.Sleep(20 * time.Millisecond)
			p.conn.Close()
		}
	}))
	r := start(t, Config{URL: n.url()}, func(c *Client) {
		c.Subscribe(Terms{Fields: []string{"bid", "ask"}}, btc, eth)
		c.OnEvent = func(e Event) {
			if e.Kind == Connecting {
				c.Subscribe(Terms{Fields: []string{"bid", "ask", "last"}}, btc)
				c.Subscribe(Terms{Fields: []string{"ask", "bid", "price_scale"}, Rate: 1}, eth)
			}
		}
	})
	asks(t, lines, "subscribe | "+btc+" "+eth+" | bid,ask",
		"subscribe | "+btc+" | bid,ask,last", "subscribe | "+eth+" | ask,bid,price_scale | "+eth+"@0/2 rate 1")
	r.stop()
}

// What is wanted and no more wanted before anyone was told is told as it is.
func TestCallsCoalesce(t *testing.T) {
	lines := make(chan string, 100)
	n := newNode(t, serve([]string{btc, eth}, lines, nil))
	r := start(t, Config{URL: n.url()}, func(c *Client) {
		c.Subscribe(Terms{}, btc, eth)
		c.Unsubscribe(btc)
		c.Pause()
		c.Resume()
		c.Subscribe(Terms{Rate: 5, Fields: []string{"bid"}}, eth)
	})
	asks(t, lines, "subscribe | "+eth+" | bid rate 5")
	r.event(Subscribed)
	r.Unsubscribe(eth)
	r.Subscribe(Terms{}, eth)
	asks(t, lines, "unsubscribe | "+eth, "subscribe | "+eth)
	r.event(Subscribed)
	r.Subscribe(Terms{Rate: 1}, eth) // again, with other terms
	asks(t, lines, "subscribe | "+eth+" rate 1")
	r.Subscribe(Terms{Rate: 1}, eth) // again, with the same
	quiet(t, lines)
}
