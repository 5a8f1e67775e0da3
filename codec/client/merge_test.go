package client

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/tickwire/tickwire/codec"
)

// Decimals of another scale than the one held, which JSON would name if it had
// changed, move no point: the next connection begins with images.
func TestOtherScale(t *testing.T) {
	n := newNode(t, func(p *peer) {
		p.hello(time.Minute)
		p.reply(p.request(), is(btc, 0))
		p.data(symbols, image(0, 10, 100))
		u := delta(0, 11, 1000)
		u.Quote[codec.PriceScale] = 3
		named := u
		named.Mask |= 1 << codec.PriceScale
		if p.data(symbols, named); p.json {
			u.Quote[codec.PriceScale] = 2
		}
		p.data(symbols, u)
		p.hang()
	}, func(p *peer) {
		p.hello(time.Minute)
		r := p.request()
		if len(r.Resume) != 0 {
			t.Errorf("resumes from %s", r.positions())
		}
		p.hang()
	})
	r := start(t, Config{URL: n.url(), Encoding: "json"}, func(c *Client) { c.Subscribe(Terms{}, btc) })
	if e := r.event(Connecting); !errors.Is(e.Err, errDistrust) {
		t.Error(e.Err)
	}
	if q, _, ok := r.Quote(btc); !ok || q[codec.Bid] != 1000 || q[codec.PriceScale] != 3 {
		t.Errorf("held %v %v", q, ok)
	}
	r.event(Live)
}

// A node that says what no node says is left.
func TestBrokenPromises(t *testing.T) {
	for name, lie := range map[string]func(p *peer){
		"no limits": func(p *peer) { say(p, &codec.Hello{Protocol: codec.Version, Fields: codec.FieldNames[:]}) },
		"no symbol": func(p *peer) {
			p.hello(time.Minute)
			p.reply(&request{Request: codec.Request{Op: codec.OpSubscribe}}, is("sim:\x1b[2J", 3))
		},
	} {
		n := newNode(t, func(p *peer) {
			lie(p)
			p.hang()
		})
		r := start(t, Config{URL: n.url()}, func(c *Client) { c.Subscribe(Terms{}, "*") })
		if e := r.event(Connecting); !errors.Is(e.Err, errPromise) {
			t.Errorf("%s: %v", name, e.Err)
		}
	}
}

// What came before a gap is not counted as conflated.
func TestGap(t *testing.T) {
	n := newNode(t, func(p *peer) {
		p.hello(time.Minute)
		p.reply(p.request(), is(btc, 0))
		gap := delta(0, 5000, 101)
		gap.Flags = codec.Gap
		p.data(symbols, image(0, 10, 100), gap, delta(0, 5003, 102))
		p.hang()
	})
	var conflated []int64
	r := start(t, Config{URL: n.url()}, func(c *Client) {
		c.OnUpdate = func(u *Update) { conflated = append(conflated, u.Conflated) }
		c.Subscribe(Terms{}, btc)
	})
	r.holds(btc, 5003, 102)
	r.stop()
	r.wait()
	if !slices.Equal(conflated, []int64{0, 0, 2}) {
		t.Error(conflated)
	}
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
	var conflated int64
	r := start(t, Config{URL: n.url()}, func(c *Client) {
		c.OnUpdate = func(u *Update) { conflated += u.Conflated }
		c.Subscribe(Terms{}, btc)
	})
	r.holds(btc, 2, 90)
	r.stop()
	r.wait()
	if conflated != 0 {
		t.Errorf("conflated %d", conflated)
	}
}
