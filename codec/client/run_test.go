package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/tickwire/tickwire/codec"
)

// whileAway has check called whenever the connection was lost, before the next.
func whileAway(c *Client, check func()) {
	event := c.OnEvent
	c.OnEvent = func(e Event) {
		if e.Kind == Connecting {
			check()
		}
		event(e)
	}
}

// A lost connection is resumed from the seq held, in either encoding, and the quote
// stays meanwhile.
func TestReconnectResumes(t *testing.T) {
	encodings(t, func(t *testing.T, encoding string) {
		n := newNode(t, func(p *peer) {
			p.hello(time.Minute)
			r := p.request()
			if len(r.Resume) != 0 {
				t.Errorf("first request %+v", r)
				return
			}
			p.reply(r, is(btc, 0))
			p.data(symbols, image(0, 10, 100))
			p.data(symbols, delta(0, 11, 101))
			time.Sleep(20 * time.Millisecond)
			p.conn.(*net.TCPConn).SetLinger(0) // a reset
		}, func(p *peer) {
			p.hello(time.Minute)
			r := p.request()
			if got := r.positions(); got != btc+"@0/11" {
				t.Errorf("resumes from %q", got)
			}
			p.reply(r, is(btc, 0))
			u := delta(0, 15, 105)
			u.Flags = codec.Conflated | codec.ReasonCatchUp
			p.data(symbols, u)
			p.hang()
		})
		var conflated int64
		r := start(t, Config{URL: n.url(), Encoding: encoding}, func(c *Client) {
			c.OnUpdate = func(u *Update) { conflated += u.Conflated }
			whileAway(c, func() {
				if q, seq, ok := c.Quote(btc); !ok || seq != history+11 || q[codec.Bid] != 101 {
					t.Errorf("while away: %v %d %v", q, seq, ok)
				}
			})
			c.Subscribe(Terms{}, btc)
		})
		r.event(Connecting)
		r.holds(btc, 15, 105)
		if q, _, _ := r.Quote(btc); q[codec.Last] != 7 || q[codec.PriceScale] != 2 {
			t.Errorf("the rest of the quote was lost: %v", q)
		}
		r.stop()
		if err := r.wait(); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if conflated != 3 {
			t.Errorf("conflated %d, want 3", conflated)
		}
	})
}

// The wait before the next attempt grows until data or a reply comes; a connection
// and a hello prove nothing.
func TestBackoff(t *testing.T) {
	n := newNode(t, func(p *peer) { p.hello(time.Minute) })
	r := start(t, Config{URL: n.url()}, nil)
	var most time.Duration
	for range 8 {
		e := r.event(Connecting)
		if e.After >= hasty.backoffMost {
			t.Errorf("waits %v", e.After)
		}
		most = max(most, e.After)
	}
	if most < hasty.backoffFirst {
		t.Errorf("waited %v at the most: a hello has reset it", most)
	}
	r.stop()
	r.wait()

	n = newNode(t, func(p *peer) {
		p.hello(time.Minute)
		p.reply(p.request(), is(btc, 0))
	})
	r = start(t, Config{URL: n.url()}, func(c *Client) { c.Subscribe(Terms{}, btc) })
	for range 8 {
		r.event(Subscribed)
		if e := r.event(Connecting); e.After >= hasty.backoffFirst {
			t.Errorf("waits %v after a reply", e.After)
		}
	}
}

// Nothing heard for two and a half heartbeats: the node is given up; what is held
// is resumed.
func TestStale(t *testing.T) {
	n := newNode(t, func(p *peer) {
		p.hello(200 * time.Millisecond)
		p.reply(p.request(), is(btc, 0))
		p.data(symbols, image(0, 1, 100))
		for range 5 { // alive so far
			time.Sleep(100 * time.Millisecond)
			p.heartbeat(btc)
		}
		p.hang()
	}, func(p *peer) {
		p.hello(time.Minute)
		if got := p.request().positions(); got != btc+"@0/1" {
			t.Errorf("resumes from %q", got)
		}
		p.hang()
	})
	began := time.Now()
	r := start(t, Config{URL: n.url()}, func(c *Client) { c.Subscribe(Terms{}, btc) })
	e := r.event(Stale)
	if after := time.Since(began); after < time.Second {
		t.Errorf("given up after %v", after)
	}
	if want := "nothing heard for 500ms"; e.Err.Error() != want {
		t.Errorf("%v, want %s", e.Err, want)
	}
	r.event(Live)
}

// Other subscriptions than ours, or a seq that goes back: nothing held is trusted,
// and the next connection begins with images.
func TestDistrust(t *testing.T) {
	for name, lie := range map[string]func(p *peer){
		"hash":  func(p *peer) { p.heartbeat(eth) },
		"count": func(p *peer) { p.heartbeat() },
		"seq":   func(p *peer) { p.data(symbols, delta(0, 9, 99)) },
		"image": func(p *peer) { p.data(symbols, image(0, 9, 99)) },
	} {
		t.Run(name, func(t *testing.T) {
			closes := make(chan ws.StatusCode, 1)
			n := newNode(t, func(p *peer) {
				p.hello(time.Minute)
				p.reply(p.request(), is(btc, 0))
				p.data(symbols, image(0, 10, 100))
				p.heartbeat(btc)
				p.data(symbols, delta(0, 10, 100)) // the same seq again is harmless
				lie(p)
				f, _ := p.frame()
				code, _ := ws.ParseCloseFrameData(f.Payload)
				closes <- code
			}, func(p *peer) {
				p.hello(time.Minute)
				r := p.request()
				if len(r.Resume) != 0 {
					t.Errorf("resumes from %s", r.positions())
				}
				p.reply(r, is(btc, 0))
				p.data(symbols, image(0, 5, 50)) // another node, behind: no matter now
				p.hang()
			})
			r := start(t, Config{URL: n.url()}, func(c *Client) {
				c.Subscribe(Terms{}, btc)
				whileAway(c, func() {
					if q, _, ok := c.Quote(btc); !ok || q[codec.Bid] != 100 && q[codec.Bid] != 50 {
						t.Errorf("held %v %v", q, ok)
					}
				})
			})
			if e := r.event(Connecting); !errors.Is(e.Err, errDistrust) {
				t.Error(e.Err)
			}
			r.holds(btc, 5, 50)
			if code := <-closes; code != ws.StatusProtocolError {
				t.Errorf("closed with %d", code)
			}
		})
	}
}

// Bytes that are no message took nothing from what is held: it is resumed.
func TestNoMessage(t *testing.T) {
	n := newNode(t, func(p *peer) {
		p.hello(time.Minute)
		p.reply(p.request(), is(btc, 0))
		p.data(symbols, image(0, 10, 100))
		p.write(ws.OpBinary, []byte{0x93, 0x00})
		p.hang()
	}, func(p *peer) {
		p.hello(time.Minute)
		r := p.request()
		if got := r.positions(); got != btc+"@0/10" {
			t.Errorf("resumes from %q", got)
		}
		p.reply(r, is(btc, 0))
		p.data(symbols, delta(0, 11, 101))
		p.hang()
	})
	r := start(t, Config{URL: n.url()}, func(c *Client) { c.Subscribe(Terms{}, btc) })
	if e := r.event(Connecting); !errors.Is(e.Err, errPromise) {
		t.Error(e.Err)
	}
	r.holds(btc, 11, 101)
}

// Whom a node that drains sends away is back at once; who is not goes when the time is up; and
// where it dies before, all of its clients come spread over what is left.
func TestDrain(t *testing.T) {
	for name, c := range map[string]struct {
		within time.Duration
		after  func(p *peer)
		waits  func(wait time.Duration) bool
	}{
		"sends away": {time.Hour, func(p *peer) { p.bye(1012, "the node restarts") }, func(wait time.Duration) bool { return wait == 0 }},
		"stays":      {300 * time.Millisecond, func(p *peer) { p.hang() }, func(wait time.Duration) bool { return wait == 0 }},
		"dies":       {time.Hour, func(p *peer) {}, func(wait time.Duration) bool { return wait > hasty.backoffMost && wait < time.Hour }},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t, func(p *peer) {
				p.hello(time.Minute)
				p.reply(p.request(), is(btc, 0))
				p.data(symbols, image(0, 1, 100))
				say(p, &codec.Drain{WithinMS: c.within.Milliseconds()})
				c.after(p)
			}, func(p *peer) {
				p.hello(time.Minute)
				p.reply(p.request(), is(btc, 0))
				p.data(symbols, delta(0, 2, 200))
				p.hang()
			})
			r := start(t, Config{URL: n.url()}, func(c *Client) { c.Subscribe(Terms{}, btc) })
			told, began := r.event(Drain), time.Now()
			left := r.event(Connecting)
			if told.After != c.within || !c.waits(left.After) {
				t.Errorf("within %v: again in %v", told.After, left.After)
			}
			if took := time.Since(began); name == "stays" && took < c.within-10*time.Millisecond {
				t.Errorf("it left after %v", took)
			}
			if name != "dies" {
				r.event(Live)
				r.holds(btc, 2, 200)
			}
		})
	}
}

// Run ends at once with its context, and says goodbye, also when the node takes
// nothing any more.
func TestRunEnds(t *testing.T) {
	goodbyes := make(chan ws.Frame, 1)
	n := newNode(t, func(p *peer) {
		p.hello(time.Minute)
		f, _ := p.frame()
		goodbyes <- f
	})
	r := start(t, Config{URL: n.url()}, nil)
	r.event(Live)
	r.stop()
	if err := r.wait(); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if f := <-goodbyes; f.Header.OpCode != ws.OpClose {
		t.Errorf("%+v", f)
	}

	full := newNode(t, func(p *peer) {
		p.hello(time.Minute)
		<-t.Context().Done()
	})
	r = start(t, Config{URL: full.url()}, nil)
	r.event(Live)
	r.mu.Lock()
	w := r.session.wire
	r.mu.Unlock()
	go w.write(ws.OpBinary, make([]byte, 32<<20), time.Minute) // more than any socket takes
	time.Sleep(50 * time.Millisecond)
	began := time.Now()
	r.stop()
	r.wait()
	if took := time.Since(began); took > soon/2 {
		t.Errorf("Run ends after %v", took)
	}
}

// A message ends after its last update that anyone is told of, whatever follows it.
func TestOnMessage(t *testing.T) {
	n := newNode(t, func(p *peer) {
		p.hello(time.Minute)
		p.reply(p.request(), is(btc, 0))
		for seq := range int64(3) {
			p.data(symbols, image(0, seq, seq), image(1, seq, seq)) // nobody wants the second
		}
		p.data(symbols, image(1, 4, 4))
		p.data(symbols, delta(0, 5, 5))
		p.hang()
	})
	var calls []string
	r := start(t, Config{URL: n.url()}, func(c *Client) {
		c.OnUpdate = func(u *Update) { calls = append(calls, fmt.Sprint(u.Quote[codec.Bid])) }
		c.OnMessage = func() { calls = append(calls, "end") }
		c.Subscribe(Terms{}, btc)
	})
	r.holds(btc, 5, 5)
	r.stop()
	r.wait()
	if got := strings.Join(calls, " "); got != "0 end 1 end 2 end 5 end" {
		t.Error(got)
	}
}
