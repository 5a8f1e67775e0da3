package client

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tickwire/tickwire/codec"
)

// Who is sent away by one node after the other, each time at once, does not come faster
// and faster.
func TestDrainedAgainAndAgain(t *testing.T) {
	n := newNode(t, func(p *peer) {
		p.hello(time.Minute)
		p.reply(p.request(), is(btc, 0))
		p.data(symbols, image(0, 1, 100))
		say(p, &codec.Drain{})
		p.hang()
	})
	start(t, Config{URL: n.url()}, func(c *Client) {
		c.pace = defaultPace
		c.Subscribe(Terms{}, btc)
	})
	time.Sleep(2 * time.Second)
	if came := n.count(); came < 2 || came > 20 {
		t.Errorf("came %d times in 2 s", came)
	}
}

// More subscriptions than hello allows are no node's.
func TestTooManySubs(t *testing.T) {
	limits := codec.Limits{RequestBytes: 65536, RequestSymbols: 4096, RequestsPerSecond: 50, Subs: 1}
	n := newNode(t, func(p *peer) {
		say(p, &codec.Hello{Protocol: codec.Version, Node: "n", Fields: codec.FieldNames[:], Heartbeat: 60_000, Limits: limits})
		p.reply(p.request(), is(btc, 0), is("sim:OTHER", 1))
		p.hang()
	})
	r := start(t, Config{URL: n.url()}, func(c *Client) { c.Subscribe(Terms{}, "*") })
	if e := r.event(Connecting); !errors.Is(e.Err, errDistrust) || !strings.Contains(e.Err.Error(), "2 symbols, of 1 at the most") {
		t.Error(e.Err)
	}
}

// A hello that bounds nothing is no node's.
func TestHelloWithoutLimits(t *testing.T) {
	for _, subs := range []int{0, codec.LimitMax + 1} {
		limits := codec.Limits{RequestBytes: 65536, RequestSymbols: 4096, RequestsPerSecond: 50, Subs: subs}
		n := newNode(t, func(p *peer) {
			say(p, &codec.Hello{Protocol: codec.Version, Node: "n", Fields: codec.FieldNames[:], Heartbeat: 60_000, Limits: limits})
			p.hang()
		})
		r := start(t, Config{URL: n.url()}, nil)
		if e := r.event(Connecting); !errors.Is(e.Err, errPromise) || !strings.Contains(e.Err.Error(), "in hello") {
			t.Errorf("%d subs: %v", subs, e.Err)
		}
	}
}

// A node that never has too many symbols, but others on each connection, is not remembered
// for ever.
func TestOthersEachTime(t *testing.T) {
	limits, named := codec.Limits{RequestBytes: 65536, RequestSymbols: 4096, RequestsPerSecond: 50, Subs: 10}, atomic.Int64{}
	n := newNode(t, func(p *peer) {
		say(p, &codec.Hello{Protocol: codec.Version, Node: "n", Fields: codec.FieldNames[:], Heartbeat: 60_000, Limits: limits})
		var results []codec.Result
		for id := range uint32(limits.Subs) {
			results = append(results, is(fmt.Sprintf("sim:%d", named.Add(1)), id))
		}
		p.reply(p.request(), results...)
	})
	r := start(t, Config{URL: n.url()}, func(c *Client) { c.Subscribe(Terms{}, "*") })
	r.until("many were named", func() bool { return named.Load() > 100 })
	r.mu.Lock()
	defer r.mu.Unlock()
	if held := len(r.board.rows); held > 3*limits.Subs {
		t.Errorf("%d rows are held", held)
	}
}

// A refusal without end is read for so far.
func TestEndlessRefusal(t *testing.T) {
	for _, forever := range []string{"X-Filler: " + strings.Repeat("x", 1000) + "\r\n", strings.Repeat("x", 1000)} {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { ln.Close() })
		written := make(chan int, 1)
		go func() {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			defer c.Close()
			n, err := c.Write([]byte("HTTP/1.1 401 Unauthorized\r\nA: b\r\nC: "))
			for sum := n; ; sum += n {
				if err != nil {
					written <- sum
					return
				}
				n, err = c.Write([]byte(forever))
			}
		}()
		var final *FinalError
		if err := start(t, Config{URL: "ws://" + ln.Addr().String()}, nil).wait(); !errors.As(err, &final) || final.Code != http.StatusUnauthorized {
			t.Error(err)
		}
		if n := <-written; n > 32<<20 { // sockets hold some
			t.Errorf("it took %d bytes", n)
		}
	}
}
