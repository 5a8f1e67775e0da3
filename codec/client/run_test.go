package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
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
		if e.Kind == Disconnected {
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
		var skipped int64
		r := start(t, Config{URL: n.url(), Encoding: encoding}, func(c *Client) {
			c.OnUpdate = func(u *Update) { skipped += u.Skipped }
			whileAway(c, func() {
				if q, seq, ok := c.Quote(btc); !ok || seq != history+11 || q[codec.Bid] != 101 {
					t.Errorf("while away: %v %d %v", q, seq, ok)
				}
			})
			c.Subscribe(Terms{}, btc)
		})
		r.event(Disconnected)
		r.holds(btc, 15, 105)
		if q, _, _ := r.Quote(btc); q[codec.Last] != 7 || q[codec.PriceScale] != 2 {
			t.Errorf("the rest of the quote was lost: %v", q)
		}
		r.stop()
		if err := r.wait(); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if skipped != 3 {
			t.Errorf("skipped %d, want 3", skipped)
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
		e := r.event(Disconnected)
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
		if e := r.event(Disconnected); e.After >= hasty.backoffFirst {
			t.Errorf("waits %v after a reply", e.After)
		}
	}
}

// Nothing heard for two and a half heartbeats: the node is given up; what is held
// is resumed.
func TestStale(t *testing.T) {
	n := newNode(t, func(p *peer) {
		p.hello(40 * time.Millisecond)
		p.reply(p.request(), is(btc, 0))
		p.data(symbols, image(0, 1, 100))
		for range 5 { // alive so far
			time.Sleep(40 * time.Millisecond)
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
	e := r.event(Disconnected)
	if after := time.Since(began); after < 300*time.Millisecond {
		t.Errorf("given up after %v", after)
	}
	if want := "nothing heard for 100ms"; e.Err.Error() != want {
		t.Errorf("%v, want %s", e.Err, want)
	}
	r.event(Connected)
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
			if e := r.event(Disconnected); !errors.Is(e.Err, errDistrust) {
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
	if e := r.event(Disconnected); !errors.Is(e.Err, errPromise) {
		t.Error(e.Err)
	}
	r.holds(btc, 11, 101)
}

// A new history may begin with any seq above its number.
func TestNewHistory(t *testing.T) {
	n := newNode(t, func(p *peer) {
		p.hello(time.Minute)
		p.reply(p.request(), is(btc, 0))
		p.data(symbols, image(0, 10, 100))
		u := image(0, 2, 90)
		u.History++
		p.data(symbols, u)
		p.hang()
	})
	var skipped int64
	r := start(t, Config{URL: n.url()}, func(c *Client) {
		c.OnUpdate = func(u *Update) { skipped += u.Skipped }
		c.Subscribe(Terms{}, btc)
	})
	r.holds(btc, 2, 90)
	r.stop()
	r.wait()
	if skipped != 0 {
		t.Errorf("skipped %d", skipped)
	}
}

// A node that drains is left at a random moment within, not before; also when it
// closes at once.
func TestDrain(t *testing.T) {
	const within = 300 * time.Millisecond
	for name, after := range map[string]func(p *peer){
		"stays":  func(p *peer) { p.hang() },
		"closes": func(p *peer) { p.bye(1012, "the node restarts") },
		"dies":   func(p *peer) {},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t, func(p *peer) {
				p.hello(time.Minute)
				p.reply(p.request(), is(btc, 0))
				p.data(symbols, image(0, 1, 100))
				say(p, &codec.Drain{WithinMS: within.Milliseconds()}, codec.AppendDrain, codec.AppendDrainJSON)
				after(p)
			}, func(p *peer) {
				p.hello(time.Minute)
				p.reply(p.request(), is(btc, 0))
				p.data(symbols, delta(0, 2, 200))
				p.hang()
			})
			r := start(t, Config{URL: n.url()}, func(c *Client) { c.Subscribe(Terms{}, btc) })
			e, began := r.event(Draining), time.Now()
			if e.After < 0 || e.After > within {
				t.Errorf("leaves after %v", e.After)
			}
			r.event(Connected)
			r.holds(btc, 2, 200)
			if took := time.Since(began); took < e.After-10*time.Millisecond {
				t.Errorf("back after %v, want %v", took, e.After)
			}
		})
	}
}

// Final codes end Run with an error that says what to do; others do not.
func TestFinal(t *testing.T) {
	for _, code := range []ws.StatusCode{1002, 1003, 1007, 1008, 1009, 4001, 4002, 4050} {
		n := newNode(t, func(p *peer) {
			p.hello(time.Minute)
			p.write(ws.OpClose, ws.NewCloseFrameBody(code, "because\n\x1b[2J"))
		}) // which goes without reading what is asked
		err := start(t, Config{URL: n.url()}, func(c *Client) { c.Subscribe(Terms{}, btc) }).wait()
		var final *FinalError
		if !errors.As(err, &final) || final.Code != int(code) {
			t.Errorf("%d: %v", code, err)
			continue
		}
		if text := err.Error(); !strings.HasPrefix(text, fmt.Sprintf("client: refused with %d: because [2J: ", code)) || len(text) < 60 {
			t.Errorf("%d: %q", code, text)
		}
	}
	for _, code := range []ws.StatusCode{1000, 1001, 1011, 1012, 1013, 3000, 4100, 4101} {
		n := newNode(t, func(p *peer) {
			p.hello(time.Minute)
			p.bye(code, "")
		})
		r := start(t, Config{URL: n.url()}, nil)
		for range 2 {
			if e := r.event(Disconnected); !strings.Contains(e.Err.Error(), fmt.Sprint(int(code))) {
				t.Errorf("%d: %v", code, e.Err)
			}
		}
	}
}

// Who refuses the handshake may let us in later, unless it is about who we are.
func TestRefusedHandshake(t *testing.T) {
	for _, status := range []int{http.StatusUnauthorized, http.StatusForbidden} {
		n := newNode(t, nil)
		n.status = status
		err := start(t, Config{URL: n.url(), Token: "a.b.c"}, nil).wait()
		var final *FinalError
		if !errors.As(err, &final) || final.Code != status || final.Reason != "no [31m entry" {
			t.Errorf("%d: %v", status, err)
		}
		if got := n.authorization(0); got != "Bearer a.b.c" {
			t.Errorf("authorization %q", got)
		}
	}
	for _, status := range []int{http.StatusNotFound, http.StatusTooManyRequests, http.StatusServiceUnavailable} {
		n := newNode(t, nil)
		n.status = status
		r := start(t, Config{URL: n.url()}, nil)
		for range 2 {
			if e := r.event(Disconnected); !strings.Contains(e.Err.Error(), fmt.Sprint(status)) {
				t.Errorf("%d: %v", status, e.Err)
			}
		}
	}
}

// Nobody there: Run says so and goes on trying.
func TestNobodyThere(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := "ws://" + ln.Addr().String()
	ln.Close()
	r := start(t, Config{URL: url}, nil)
	for range 3 {
		if e := r.event(Disconnected); !strings.Contains(e.Err.Error(), "refused") {
			t.Error(e.Err)
		}
	}
}

func TestConfig(t *testing.T) {
	for want, cfg := range map[string]Config{
		"URL":      {URL: "http://127.0.0.1:1/v1/stream"},
		"HOST":     {URL: "127.0.0.1:8080"},
		"wss":      {URL: "ws:///v1/stream"},
		"encoding": {URL: "ws://h", Encoding: "xml"},
		"token":    {URL: "ws://h", Token: "a\r\nb: c"},
	} {
		if err := New(cfg).Run(t.Context()); !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	cfg := Config{URL: "wss://example.com:1"}
	if err := cfg.check(); err != nil || cfg.URL != "wss://example.com:1/v1/stream" {
		t.Error(cfg.URL, err)
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
	r.event(Connected)
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
	r.event(Connected)
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
