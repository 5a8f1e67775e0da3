package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/tickwire/tickwire/codec"
)

func seconds(n int64) *int64 { return &n }

// took answers auth: the new token is good for so long.
func (p *peer) took(r *request, ttl int64, results ...codec.Result) {
	say(p, &codec.Reply{ID: r.ID, Op: codec.OpAuth, TokenTTL: &ttl, Results: results})
}

func slower(symbol string, id uint32, rate float64) codec.Result {
	return codec.Result{Symbol: symbol, ID: &id, Rate: &rate}
}

// refuseUpgrade answers an upgrade as a node does.
func refuseUpgrade(status int, reason string, header http.Header) error {
	return ws.RejectConnectionError(ws.RejectionStatus(status), ws.RejectionHeader(ws.HandshakeHeaderHTTP(header)),
		ws.RejectionReason(fmt.Sprintf(`{"error":"so says the test","reason":%q}`, reason)))
}

// renewals gives t1, t2 and so on.
func renewals(c *Client) *atomic.Int64 {
	n := new(atomic.Int64)
	c.cfg.Renew = func(context.Context) (string, error) { return fmt.Sprint("t", n.Add(1)), nil }
	return n
}

// What a new token ends is told, and counts no more; under the same token it is not asked
// for again, on the next connection neither; under another it is. So is a rate that a token
// has lowered.
func TestAuthNarrows(t *testing.T) {
	encodings(t, func(t *testing.T, encoding string) {
		gone := make(chan bool)
		n := newNode(t, func(p *peer) {
			p.hello(time.Minute)
			r := p.request()
			p.reply(r, is(btc, 0), takesN("binance:*", 2), is(eth, 1), is("sim:A", 2), takesN("okx:*", 0))
			p.data(symbols, image(0, 1, 100), image(1, 1, 100))
			r = p.request()
			if r.Op != codec.OpAuth || string(r.Token) != "t2" {
				t.Errorf("asks %s %s", r.Op, r.Token)
			}
			p.took(r, 60, is404("binance:*", codec.CodeNotAllowed), is404(eth, codec.CodeNotAllowed), is404("sim:A", codec.CodeTooManySubs), slower(btc, 0, 1))
			p.data(symbols, delta(1, 2, 200)) // of what ended
			p.data(symbols, image(0, 2, 200))
			p.heartbeat(btc)
			<-gone
			p.conn.Close()
		}, func(p *peer) {
			p.hello(time.Minute)
			r := p.request()
			if got := strings.Join(r.names(), " "); got != btc+" okx:*" {
				t.Errorf("asks for %s under the token that ended the rest", got)
			}
			p.reply(r, is(btc, 0), takesN("okx:*", 0))
			p.heartbeat(btc)
			p.took(p.request(), 60, slower(btc, 0, 1))
			r = p.request()
			if got := strings.Join(r.names(), " ") + r.positions(); got != "binance:* sim:A"+eth+"@0/1" {
				t.Errorf("asks for %s under another token", got)
			}
			p.reply(r, takesN("binance:*", 2), is(btc, 0), is(eth, 1), is("sim:A", 2))
			p.heartbeat(btc, eth, "sim:A")
			p.took(p.request(), 60)
			r = p.request()
			if got := strings.Join(r.names(), " "); got != btc {
				t.Errorf("asks for %s, of a lower rate, under another token", got)
			}
			p.hang()
		})
		r := start(t, Config{URL: n.url(), Encoding: encoding, Token: "t1"}, func(c *Client) {
			c.Subscribe(Terms{}, btc, "binance:*", "sim:A", "okx:*")
		})
		r.holds(eth, 1, 100)
		r.Auth("t2")
		if e := r.event(Token); e.After != time.Minute || e.Err != nil {
			t.Errorf("%+v", e)
		}
		for _, symbol := range []string{"binance:*", eth, "sim:A"} {
			if e := r.event(Refused); e.Symbol != symbol || e.After != 0 {
				t.Errorf("%+v, want %s", e, symbol)
			}
		}
		if e := r.event(Subscribed); e.Symbol != btc || e.Rate != 1 {
			t.Errorf("%+v", e)
		}
		r.holds(btc, 2, 200)
		r.holds(eth, 1, 100)
		gone <- true
		if e := r.event(Connecting); errors.Is(e.Err, errDistrust) {
			t.Error(e.Err)
		}
		r.event(Subscribed)
		r.Auth("t3")
		for r.event(Subscribed).Symbol != "sim:A" {
		}
		r.Auth("t4")
		r.until("all is asked", func() bool {
			r.mu.Lock()
			defer r.mu.Unlock()
			return r.session != nil && r.wants[btc].state == awaited && r.wants[btc].slowed
		})
	})
}

// While a new token is verified nothing else is asked: it would be refused under the old.
func TestAuthGoesFirst(t *testing.T) {
	n := newNode(t, func(p *peer) {
		p.hello(time.Minute)
		r := p.request()
		p.conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		if _, err := p.conn.Read(make([]byte, 1)); err == nil {
			t.Error("something is asked before the answer")
		}
		say(p, codec.NewError(&r.ID, codec.CodeUnavailable, "the issuer is away"))
		if r = p.request(); r.Op != codec.OpSubscribe {
			t.Errorf("asks %s", r.Op)
		}
		p.reply(r, is404(btc, codec.CodeNotAllowed))
		if r = p.request(); r.Op != codec.OpAuth || string(r.Token) != "t2" {
			t.Errorf("asks %s %s, not to take the token again", r.Op, r.Token)
		}
		p.took(r, 60)
		if r = p.request(); r.Op != codec.OpSubscribe {
			t.Errorf("asks %s", r.Op)
		}
		p.reply(r, is(btc, 0))
		p.heartbeat(btc)
		p.hang()
	})
	r := start(t, Config{URL: n.url(), Token: "t1"}, nil)
	r.event(Live)
	r.Auth("t2")
	r.Subscribe(Terms{}, btc)
	if e := r.event(Refused); e.After <= 0 || e.Symbol != "" {
		t.Errorf("%+v", e)
	}
	if e := r.event(Refused); e.Symbol != btc {
		t.Errorf("%+v", e)
	}
	r.event(Subscribed)
}

// Renew is asked for the first token, before one ends, and when a node says that it has.
func TestRenew(t *testing.T) {
	n := newNode(t, func(p *peer) {
		p.helloFor(time.Minute, seconds(2))
		if r := p.request(); string(r.Token) != "t2" {
			t.Errorf("%s %s", r.Op, r.Token)
		} else {
			p.took(r, 253402300799) // the end of the year 9999
		}
		p.bye(codec.CloseExpired, "the token has expired")
	}, nil, func(p *peer) {
		p.helloFor(time.Minute, seconds(3600))
		p.hang()
	})
	n.refuse = func(connection int) error {
		if connection == 2 {
			return refuseUpgrade(http.StatusUnauthorized, "expired", nil)
		}
		return nil
	}
	began := time.Now()
	r := start(t, Config{URL: n.url()}, func(c *Client) { renewals(c) })
	if e := r.event(Token); e.After != 365*24*time.Hour || time.Since(began) < 500*time.Millisecond {
		t.Errorf("%+v after %v", e, time.Since(began))
	}
	r.event(Live)
	for i, want := range []string{"t1", "t3", "t4"} {
		if got := n.authorization(i); got != "Bearer "+want {
			t.Errorf("connection %d brings %s", i, got)
		}
	}
}

// A token that cannot be had is asked for again, and told; one that is refused for another
// reason than its time ends Run.
func TestRenewFails(t *testing.T) {
	n := newNode(t, func(p *peer) {
		p.helloFor(100*time.Millisecond, seconds(1))
		for range 20 {
			p.heartbeat()
			time.Sleep(100 * time.Millisecond)
		}
		p.bye(4001, "revoked")
	})
	var asked atomic.Int64
	r := start(t, Config{URL: n.url(), Renew: func(context.Context) (string, error) {
		switch n := asked.Add(1); n {
		case 2, 4:
			return "t1", nil // the same is none
		case 3:
			return "t1", nil
		default:
			return "", fmt.Errorf("closed at %d", n)
		}
	}}, nil)
	if e := r.event(Connecting); e.Err.Error() != "no new token: closed at 1" {
		t.Error(e.Err)
	}
	if e := r.event(Token); e.Err == nil || e.After <= 0 || !strings.HasPrefix(e.String(), "no new token: closed at 5; again in ") {
		t.Errorf("%s", e)
	}
	var final *FinalError
	if err := r.wait(); !errors.As(err, &final) || final.Code != 4001 {
		t.Error(err)
	}
	bad := start(t, Config{URL: n.url(), Renew: func(context.Context) (string, error) { return "a\nb", nil }}, nil)
	if e := bad.event(Connecting); !strings.Contains(e.Err.Error(), "a blank, a newline or the like") {
		t.Error(e.Err)
	}
}

// One that Renew gives and the node refuses is not connected with; the next one is told.
func TestRenewIsRefused(t *testing.T) {
	n := newNode(t, func(p *peer) {
		p.helloFor(time.Minute, seconds(1))
		r := p.request()
		say(p, codec.NewError(&r.ID, codec.CodeTokenRefused, "the aud is another"))
		if r = p.request(); string(r.Token) != "t3" {
			t.Errorf("%s %s", r.Op, r.Token)
		}
		say(p, codec.NewError(&r.ID, codec.CodeTokenRefused, "the aud is another"))
		p.bye(1012, "")
	}, func(p *peer) {
		p.helloFor(time.Minute, seconds(3600))
		p.hang()
	})
	r := start(t, Config{URL: n.url()}, func(c *Client) {
		renewals(c)
		c.pace.backoffMost = 2 * time.Second
	})
	r.event(Live)
	r.event(Live)
	if got := n.authorization(1); got != "Bearer t1" {
		t.Errorf("the next connection brings %s", got)
	}
}

// A connection that ends while Renew runs takes the renewal with it: the next one begins
// with a token of its own, and Run ends when it is told to.
func TestConnectionEndsAmidRenew(t *testing.T) {
	asks := make(chan bool)
	n := newNode(t, func(p *peer) {
		p.helloFor(time.Minute, seconds(1))
		<-asks
	}, func(p *peer) {
		p.helloFor(time.Minute, seconds(3600))
		p.hang()
	})
	var asked atomic.Int64
	r := start(t, Config{URL: n.url(), Token: "t1", Renew: func(ctx context.Context) (string, error) {
		i := asked.Add(1)
		if i == 1 {
			close(asks)
			<-ctx.Done()
			return "", ctx.Err()
		}
		return fmt.Sprint("t", i), nil
	}}, nil)
	r.event(Live)
	r.event(Live)
	if got := n.authorization(1); got != "Bearer t2" {
		t.Errorf("the next connection brings %s", got)
	}
	r.stop()
	if err := r.wait(); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if got := asked.Load(); got != 2 {
		t.Errorf("Renew was asked %d times, want 2", got)
	}
}

// A token that came while we dialed is told; a new one that is refused leaves all as it is.
func TestAuthWhileDialing(t *testing.T) {
	ready := make(chan bool)
	n := newNode(t, func(p *peer) {
		<-ready
		p.hello(time.Minute)
		r := p.request()
		if string(r.Token) != "t2" {
			t.Errorf("%s %s", r.Op, r.Token)
		}
		say(p, codec.NewError(&r.ID, codec.CodeTokenRefused, "expired"))
		p.reply(p.request(), is(btc, 0))
		p.hang()
	})
	r := start(t, Config{URL: n.url(), Token: "t1"}, func(c *Client) { c.Subscribe(Terms{}, btc) })
	r.until("dialed", func() bool { return n.count() == 1 })
	time.Sleep(20 * time.Millisecond)
	r.Auth("t2")
	ready <- true
	if e := r.event(Refused); e.Symbol != "" || e.After != 0 {
		t.Errorf("%+v", e)
	}
	r.event(Subscribed)
	r.stop()
	r.wait()
	wrong := start(t, Config{URL: n.url()}, func(c *Client) { c.Auth("a b") })
	if err := wrong.wait(); !errors.Is(err, ErrConfig) {
		t.Error(err)
	}
}

// Why an upgrade is refused is told in the node's words, and how long it wants to be left
// alone is kept to, within reason.
func TestRefusedUpgrade(t *testing.T) {
	for _, status := range []int{http.StatusUnauthorized, http.StatusForbidden} {
		n := newNode(t, nil)
		n.refuse = func(int) error { return refuseUpgrade(status, "revoked", nil) }
		var final *FinalError
		if err := start(t, Config{URL: n.url()}, func(c *Client) { renewals(c) }).wait(); !errors.As(err, &final) || final.Reason != "revoked" || final.Text != "so says the test" {
			t.Error(err)
		}
	}
	for after, least := range map[string]time.Duration{"30": 30 * time.Second, "9999999": time.Minute, "99999999999999999999": time.Minute, "-1": 0, "soon": 0} {
		n := newNode(t, nil)
		n.refuse = func(int) error {
			return refuseUpgrade(http.StatusTooManyRequests, "conns", http.Header{"Retry-After": {after}})
		}
		e := start(t, Config{URL: n.url()}, nil).event(Connecting)
		if e.After < least || e.After > least+time.Second || !strings.Contains(e.Err.Error(), "429 Too Many Requests: so says the test") {
			t.Errorf("%s: %s", after, e)
		}
	}
}

// A token is left alone for two thirds of its time, but renewed some seconds before its end,
// and never without a pause.
func TestRenewAfter(t *testing.T) {
	for left, want := range map[time.Duration]time.Duration{
		time.Hour: 40 * time.Minute, 15 * time.Second: 10 * time.Second, 9 * time.Second: 4 * time.Second,
		6 * time.Second: 2 * time.Second, time.Second: time.Second, 0: time.Second,
	} {
		for range 100 {
			if got := renewAfter(left); got > want || got < want*9/10 {
				t.Errorf("%v: %v, want %v", left, got, want)
			}
		}
	}
}
