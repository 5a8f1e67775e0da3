package client

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tickwire/tickwire/codec"
)

// Pause, auth, ping and list.
func TestOtherRequests(t *testing.T) {
	waits := make(chan struct{})
	n := newNode(t, func(p *peer) {
		p.hello(time.Minute)
		var seen []string
		for range 7 {
			r := p.request()
			seen = append(seen, string(r.Op)+string(r.Token))
			switch r.Op {
			case codec.OpPing:
				say(p, &codec.Reply{ID: r.ID, Op: r.Op, Time: 5_000_000})
			case codec.OpAuth:
				<-waits
				say(p, codec.NewError(&r.ID, codec.CodeTokenRefused, "none"))
			case codec.OpList:
				p.reply(r, is(btc, 0))
			default:
				p.reply(r)
			}
		}
		if got, want := strings.Join(seen, " "), "pause ping list resume autht2 subscribe list"; got != want {
			t.Errorf("\ngot  %s\nwant %s", got, want)
		}
		p.request()
	}, func(p *peer) { p.hello(time.Minute); p.hang() })
	r := start(t, Config{URL: n.url()}, func(c *Client) { c.Pause() })
	if _, err := New(Config{}).Ping(t.Context()); err != ErrNotConnected {
		t.Error(err)
	}
	r.event(Live)
	if at, err := r.Ping(t.Context()); err != nil || at != 5_000_000 {
		t.Error(at, err)
	}
	if all, err := r.List(t.Context()); err != nil || len(all) != 1 || all[0].Symbol != btc {
		t.Error(all, err)
	}
	r.Resume()
	r.until("resumed", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return !r.session.paused
	})
	r.Auth("t2")
	go func() {
		r.until("list waits", func() bool {
			r.mu.Lock()
			defer r.mu.Unlock()
			return len(r.session.calls) == 1
		})
		r.Subscribe(Terms{}, btc)
		close(waits)
	}()
	if _, err := r.List(t.Context()); err != nil {
		t.Error(err)
	}
	if e := r.event(Refused); !strings.Contains(e.Err.Error(), "token_refused") {
		t.Error(e.Err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := r.List(ctx); !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, ErrNotConnected) {
		t.Error(err)
	}
	r.event(Live)
	if got := n.authorization(1); got != "" {
		t.Errorf("the next connection brings %q, which was refused", got)
	}
}

// A request that is refused as a whole is asked again when that can help. An error
// that names no request is of the oldest.
func TestRefusedRequest(t *testing.T) {
	n := newNode(t, func(p *peer) {
		p.hello(time.Minute)
		r := p.request()
		say(p, codec.NewError(&r.ID, codec.CodeUnavailable, "busy"))
		for _, code := range []codec.Code{codec.CodeUnavailable, codec.CodeTooManyRequests} {
			p.request()
			say(p, codec.NewError(nil, code, ""))
		}
		r = p.request()
		say(p, codec.NewError(&r.ID, codec.CodeBadRate, "0.01"))
		r = p.request() // other terms have mended it
		if r.Rate != 1 || r.Op != codec.OpSubscribe {
			t.Errorf("%s rate %v", r.Op, r.Rate)
		}
		p.reply(r, is(btc, 0))
		p.heartbeat(btc)
		p.hang()
	})
	r := start(t, Config{URL: n.url()}, func(c *Client) { c.Subscribe(Terms{Rate: 0.01}, btc) })
	for range 3 {
		if e := r.event(Refused); e.After <= 0 || e.Symbol != "" {
			t.Errorf("%+v", e)
		}
	}
	if e := r.event(Refused); e.After != 0 {
		t.Errorf("%+v", e)
	}
	r.Subscribe(Terms{Rate: 1}, btc)
	r.event(Subscribed)
}

// What else a node refuses leaves it doing something that we do not want: the next
// connection begins anew.
func TestRefusedPause(t *testing.T) {
	n := newNode(t, func(p *peer) {
		p.hello(time.Minute)
		r := p.request()
		say(p, codec.NewError(nil, codec.CodeTooManyRequests, ""))
		if r.Op != codec.OpPause {
			t.Errorf("asks %s", r.Op)
		}
		p.hang()
	})
	r := start(t, Config{URL: n.url()}, func(c *Client) { c.Pause() })
	for range 2 {
		if e := r.event(Connecting); !strings.Contains(e.Err.Error(), "too_many_requests") {
			t.Error(e.Err)
		}
	}
}
