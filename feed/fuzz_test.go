package feed

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tickwire/tickwire/codec"
)

// fuzz parses anything as a venue's frame: no panic, and what is not refused holds.
func fuzz(f *testing.F, venues ...*venue) {
	for _, v := range venues {
		text, err := os.ReadFile(filepath.Join("testdata", v.name, "session.tsv"))
		if err != nil {
			f.Fatal(err)
		}
		for line := range bytes.Lines(text) {
			if part := bytes.SplitN(bytes.TrimSpace(line), []byte("\t"), 3); len(part) == 3 {
				f.Add(part[2])
			}
		}
	}
	for _, c := range parseFrames {
		f.Add([]byte(c.raw))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, v := range venues {
			fr := newFrame(v)
			if err := v.parse(fr, raw); err != nil {
				if _, ok := err.(refusal); !ok {
					t.Fatalf("%T is no refusal: %v", err, err)
				}
				continue
			}
			clear(raw) // a parse keeps none of it
			holds(t, v, fr)
		}
	})
}

func holds(t *testing.T, v *venue, fr *frame) {
	if n := len(fr.name); n == 0 || n > nameBytes {
		t.Fatalf("name %q", fr.name)
	}
	for _, k := range fr.ticks {
		if !strings.HasPrefix(k.symbol, v.name+":") || !codec.ValidSymbol([]byte(k.symbol)) {
			t.Fatalf("symbol %q", k.symbol)
		}
		for f := range codec.Field(codec.NumFields) {
			n := k.quote[f]
			if n == codec.Absent {
				continue
			}
			if n > codec.MaxInt || n < -codec.MaxInt {
				t.Fatalf("%s is %d", f, n)
			}
			if n < 0 && !codec.Prices.Has(f) {
				t.Fatalf("%s is %d", f, n)
			}
		}
		q := codec.Empty
		if _, err := q.Apply(&k.quote, k.mask); err != nil {
			t.Fatalf("a tick that nobody can apply: %v", err)
		}
	}
}

func FuzzParseCoinbase(f *testing.F) { fuzz(f, &coinbase) }
func FuzzParseKraken(f *testing.F)   { fuzz(f, &kraken) }
func FuzzParseBinance(f *testing.F)  { fuzz(f, &binance, &binanceUSDM, &binanceCoinM) }
