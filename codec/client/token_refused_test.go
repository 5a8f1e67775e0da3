package client

import (
	"testing"
	"time"

	"github.com/tickwire/tickwire/codec"
)

// One that Auth brings and the node refuses changes nothing: it is told, and the one that
// the node took last is what later connections bring.
func TestAuthIsRefused(t *testing.T) {
	twice := make(chan bool)
	refuse := func(p *peer, want string) {
		r := p.request()
		if string(r.Token) != want {
			t.Errorf("%s %s, want %s", r.Op, r.Token, want)
		}
		if want == "t2" {
			<-twice
		}
		say(p, codec.NewError(&r.ID, codec.CodeTokenRefused, "the aud is another"))
	}
	n := newNode(t, func(p *peer) {
		p.hello(time.Minute)
		refuse(p, "t2")
		if r := p.request(); r.Op != codec.OpSubscribe {
			t.Errorf("asks %s %s", r.Op, r.Token)
		}
		p.bye(1012, "")
	}, func(p *peer) {
		p.hello(time.Minute)
		p.reply(p.request(), is(btc, 0))
		p.took(p.request(), 60)
		refuse(p, "t4")
		p.bye(1012, "")
	}, func(p *peer) {
		p.hello(time.Minute)
		p.hang()
	})
	r := start(t, Config{URL: n.url(), Token: "t1"}, nil)
	r.event(Live)
	r.Auth("t2")
	r.until("asked", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.session != nil && r.session.authing
	})
	r.Auth("t2") // again: neither it nor the one before is told once more
	r.Subscribe(Terms{}, btc)
	twice <- true
	if e := r.event(Refused); e.Symbol != "" || e.After != 0 {
		t.Errorf("%+v", e)
	}
	r.event(Subscribed)
	r.Auth("t3")
	r.event(Token)
	r.Auth("t4")
	r.event(Refused)
	r.event(Live)
	for i, want := range []string{"t1", "t1", "t3"} {
		if got := n.authorization(i); got != "Bearer "+want {
			t.Errorf("connection %d brings %s, want %s", i, got, want)
		}
	}
}
