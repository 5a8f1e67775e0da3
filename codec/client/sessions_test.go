package client

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/tickwire/tickwire/codec"
)

// Every shared session, in both encodings: the messages of a node bring the client
// to the quotes that the session promises; one that must be refused leaves them there.
func TestSessions(t *testing.T) {
	paths, _ := filepath.Glob("../testdata/[sr]e*/*.json")
	if len(paths) == 0 {
		t.Fatal("no sessions")
	}
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			encodings(t, func(t *testing.T, encoding string) { testSession(t, path, encoding) })
		})
	}
}

func testSession(t *testing.T, path, encoding string) {
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var session struct {
		Error    string
		Messages []struct{ Msgpack, JSON string }
		Quotes   map[string]map[string]any
	}
	if err := json.Unmarshal(text, &session); err != nil {
		t.Fatal(err)
	}
	if encoding == "msgpack" && session.Messages[len(session.Messages)-1].Msgpack == "" {
		return // it cannot be said
	}
	n := newNode(t, func(p *peer) {
		for i, m := range session.Messages {
			if i == 1 {
				p.request()
			}
			if p.json {
				p.write(ws.OpText, []byte(m.JSON))
				continue
			}
			raw, err := hex.DecodeString(m.Msgpack)
			if err != nil {
				t.Error(err)
			}
			p.write(ws.OpBinary, raw)
		}
		say(p, &codec.Drain{WithinMS: time.Hour.Milliseconds()}) // the end
		p.hang()
	})
	r := start(t, Config{URL: n.url(), Encoding: encoding}, func(c *Client) {
		c.OnUpdate = func(u *Update) {
			if u.Mask&^u.Quote.Present() != 0 && u.Flags&codec.Image != 0 {
				t.Errorf("an image of %s says that it has fields that it has not", u.Symbol)
			}
		}
		for symbol := range session.Quotes {
			c.Subscribe(Terms{}, symbol)
		}
	})
	if session.Error == "" {
		r.event(Drain)
	} else if e := r.event(Connecting); !errors.Is(e.Err, errDistrust) {
		t.Error(e.Err)
	}
	for symbol, want := range session.Quotes {
		q, seq, ok := r.Quote(symbol)
		if !ok {
			t.Fatalf("no quote of %s", symbol)
		}
		var got map[string]any
		if err := json.Unmarshal(codec.AppendQuoteJSON(nil, seq, &q), &got); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s\ngot  %v\nwant %v", symbol, got, want)
		}
	}
	if n.count() != 1 && session.Error == "" {
		t.Errorf("%d connections", n.count())
	}
}
