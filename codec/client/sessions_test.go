package client

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tickwire/tickwire/codec"
)

// Every shared session, in both encodings, ends with the quotes its file names.
func TestSharedSessions(t *testing.T) {
	files, err := filepath.Glob("../testdata/sessions/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal("no sessions", err)
	}
	for _, file := range files {
		var s struct {
			About    string
			Messages []struct{ Msgpack, JSON string }
			Quotes   map[string]map[string]any
		}
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(raw, &s); err != nil {
			t.Fatal(err)
		}
		for _, encoding := range []string{"msgpack", "json"} {
			t.Run(strings.TrimSuffix(filepath.Base(file), ".json")+"/"+encoding, func(t *testing.T) {
				c := New(Config{})
				for symbol := range s.Quotes {
					c.wanted[symbol] = Terms{}
				}
				play := session{client: c}
				for i, m := range s.Messages {
					var err error
					if encoding == "json" {
						err = codec.ParseMessageJSON([]byte(m.JSON), &play.msg)
					} else {
						raw, _ := hex.DecodeString(m.Msgpack)
						err = codec.ParseMessage(raw, &play.msg)
					}
					if err == nil {
						err = play.take()
					}
					if err != nil && !strings.Contains(err.Error(), "not connected") {
						t.Fatalf("message %d: %v", i, err)
					}
				}
				for symbol, want := range s.Quotes {
					q, seq, ok := c.Quote(symbol)
					if !ok || seq != int64(want["seq"].(float64)) {
						t.Errorf("%s: seq %d, want %v", symbol, seq, want["seq"])
					}
					for f := codec.Field(0); f < codec.NumFields; f++ {
						got := any(nil)
						if q[f] != codec.Absent {
							json.Unmarshal(codec.AppendFieldJSON(nil, &q, f), &got)
						}
						if got != want[f.String()] {
							t.Errorf("%s: %s is %v, want %v", symbol, f, got, want[f.String()])
						}
					}
				}
			})
		}
	}
}
