package client

import (
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
		if text := err.Error(); !strings.HasPrefix(text, fmt.Sprintf("client: refused with %d: because [2J: ", code)) || len(text) < 50 {
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
			if e := r.event(Connecting); !strings.Contains(e.Err.Error(), fmt.Sprint(int(code))) {
				t.Errorf("%d: %v", code, e.Err)
			}
		}
	}
}

// An answer of 4xx to the upgrade says that coming back cannot help, but for those
// that are about the moment.
func TestRefusedHandshake(t *testing.T) {
	for _, status := range []int{http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound} {
		n := newNode(t, nil)
		n.status = status
		err := start(t, Config{URL: n.url(), Token: "a.b.c"}, nil).wait()
		var final *FinalError
		if !errors.As(err, &final) || final.Code != status || final.Text != "no [31m entry" {
			t.Errorf("%d: %v", status, err)
		}
		if got := n.authorization(0); got != "Bearer a.b.c" {
			t.Errorf("authorization %q", got)
		}
	}
	for _, status := range []int{http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusServiceUnavailable} {
		n := newNode(t, nil)
		n.status = status
		r := start(t, Config{URL: n.url()}, nil)
		for range 2 {
			if e := r.event(Connecting); !strings.Contains(e.Err.Error(), fmt.Sprint(status)) {
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
		if e := r.event(Connecting); !strings.Contains(e.Err.Error(), "refused") {
			t.Error(e.Err)
		}
	}
}

func TestConfig(t *testing.T) {
	for want, cfg := range map[string]Config{
		"take ws://":                     {URL: "http://127.0.0.1:1/v1/stream"},
		"take wss://":                    {URL: "https://h/v1/stream"},
		"a name and a password":          {URL: "ws://me:secret@h"},
		"cannot be read":                 {URL: "ws://me:secret@h:x"},
		"a token is never taken from it": {URL: "ws://h?token=secret"},
		"HOST":                           {URL: "127.0.0.1:8080"},
		"wss":                            {URL: "ws:///v1/stream"},
		"encoding":                       {URL: "ws://h", Encoding: "xml"},
		"token":                          {URL: "ws://h", Token: "a\r\nb: c"},
	} {
		if err := New(cfg).Run(t.Context()); !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", want, err)
		}
	}
	cfg := Config{URL: "wss://example.com:1"}
	if err := cfg.check(); err != nil || cfg.URL != "wss://example.com:1/v1/stream" {
		t.Error(cfg.URL, err)
	}
}

// What a pattern takes may be refused too, and the pattern when it takes too much.
func TestRefusedUnderPattern(t *testing.T) {
	n := newNode(t, func(p *peer) {
		p.hello(time.Minute)
		r := p.request()
		p.reply(r, takesN("binance:*", 2), is(btc, 0), is404(eth, codec.CodeTooManySubs))
		p.reply(r, is404("binance:*", codec.CodeTooManySubs))
		p.hang()
	})
	r := start(t, Config{URL: n.url()}, func(c *Client) { c.Subscribe(Terms{}, "binance:*") })
	for _, symbol := range []string{eth, "binance:*"} {
		e := r.event(Refused)
		var why *codec.Error
		if e.Symbol != symbol || e.After != 0 || !errors.As(e.Err, &why) || why.Code != codec.CodeTooManySubs {
			t.Errorf("%+v", e)
		}
	}
}

// Who speaks another version, or numbers fields otherwise, is no node for this client: it
// says so and ends, instead of coming back for ever.
func TestAnotherVersion(t *testing.T) {
	for why, hello := range map[string]codec.Hello{
		"version 2 of the protocol": {Protocol: 2, Fields: codec.FieldNames[:]},
		`its field 1 is "size"`:     {Protocol: codec.Version, Fields: []string{"bid", "size"}},
	} {
		n := newNode(t, func(p *peer) {
			hello.Limits = codec.Limits{RequestBytes: 1, RequestSymbols: 1, Subs: 1, RequestsPerSecond: 1}
			say(p, &hello)
		})
		err := start(t, Config{URL: n.url()}, nil).wait()
		if final := new(FinalError); !errors.As(err, &final) || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v", why, err)
		}
	}
}
