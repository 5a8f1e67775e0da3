package feed

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tickwire/tickwire/codec"
)

var update = flag.Bool("update", false, "write the golden files anew")

// playback is a recording played: sequencers in place of streams.
type playback struct {
	reg    *prometheus.Registry
	quotes map[string]*sequencer
}

// play plays a file at full speed into sequencers, without a tape.
func play(t testing.TB, file, venue string) *playback {
	t.Helper()
	st := &playback{reg: prometheus.NewPedanticRegistry(), quotes: make(map[string]*sequencer)}
	var ins []chan *block
	done := make(chan struct{})
	r := &replay{file: file, venue: venue, log: quiet, streams: make(map[string]*source), tagged: make(map[string]*source)}
	r.badLines = newRefused(st.reg, "replay")
	r.open = func(name string) (*source, error) {
		c, in, spent := newCounts(st.reg, name), make(chan *block), new(batch)
		s := &stream{seq: newSequencer(c)}
		st.quotes[name] = s.seq
		ins = append(ins, in)
		go func() {
			for b := range in {
				s.sequence(b)
				spent = s.seq.cut(spent)
			}
			done <- struct{}{}
		}()
		return newSource(venues[name], in, c), nil
	}
	err := r.play(context.Background())
	for _, in := range ins {
		close(in)
		<-done
	}
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// frames lists what frames were: "binance data bookTicker 12".
func (st *playback) frames(t testing.TB) (lines []string) {
	t.Helper()
	families, err := st.reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		name, ok := map[string]string{
			"tickwire_feed_frames_total": "", "tickwire_feed_frames_refused_total": "refused",
		}[family.GetName()]
		if !ok {
			continue
		}
		for _, m := range family.GetMetric() {
			of := make(map[string]string)
			for _, l := range m.GetLabel() {
				of[l.GetName()] = l.GetValue()
			}
			lines = append(lines, strings.Join(strings.Fields(fmt.Sprint(name, " ", of["stream"], " ", of["kind"], " ",
				of["name"], of["reason"], " ", m.GetCounter().GetValue())), " "))
		}
	}
	slices.Sort(lines)
	return lines
}

// text is every quote, a field a word, as a client reads it.
func (st *playback) text() string {
	var lines []string
	for _, seq := range st.quotes {
		for _, s := range seq.states {
			q := &s.update.Quote
			line := fmt.Appendf(nil, "%s seq=%d", s.symbol, s.update.Seq)
			for f := range codec.Field(codec.NumFields) {
				if q.Present().Has(f) {
					line = codec.AppendText(fmt.Appendf(line, " %s=", f), q, f)
				}
			}
			lines = append(lines, string(line))
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n") + "\n"
}

// golden compares with a file, or writes it.
func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs (go test -run %s -update writes it anew); got:\n%s", file, t.Name(), got)
	}
}

// Ensure that every venue has a recording, and that it ends in the quotes we know. A
// new venue fails this test until it has one.
func TestVenues(t *testing.T) {
	for name, v := range venues {
		t.Run(name, func(t *testing.T) {
			if v.name != name || v.native == nil || v.canonical == nil || v.parts == nil || v.subscribe == nil || v.parse == nil ||
				v.url == "" || v.symbols == nil || v.symbolsMax*v.batchMax == 0 || v.requestGap*v.dialGap == 0 {
				t.Errorf("a fact is missing of %+v", v)
			}
			dir := filepath.Join("testdata", name)
			st := play(t, filepath.Join(dir, "session.tsv"), name)
			golden(t, filepath.Join(dir, "session.golden"), strings.Join(st.frames(t), "\n")+"\n\n"+st.text())
		})
	}
}

// Ensure that what is refused leaves nothing behind, whatever of it was read before,
// and takes nothing with it that stands beside it.
func TestRefusedWhole(t *testing.T) {
	in := newSource(&kraken, nil, newCounts(nil, "x/0"))
	good := `{"symbol":"BTC/USD","price":1,"qty":1,"trade_id":1}`
	bad := `{"symbol":"ETH/USD","price":1,"qty":"1..","trade_id":2}`
	for _, c := range []struct {
		data           string
		ticks, refused int
	}{
		{good, 1, 0}, {bad, 0, 1}, {bad + "," + good, 1, 1}, {good + "," + bad, 1, 1}, {bad + "," + bad, 0, 2}, {good, 1, 0},
	} {
		in.refused, in.block = 0, newBlock()
		ticks, err := in.parse([]byte(`{"channel":"trade","data":[`+c.data+`]}`), 1)
		if len(ticks) != c.ticks || len(in.block.ticks) != c.ticks || in.refused != c.refused || err != nil != (c.ticks == 0) {
			t.Errorf("%s: %d ticks, %d refused, err %v", c.data, len(ticks), in.refused, err)
		}
	}
}

// Ensure that symbols survive the way to the venue and back.
func TestSymbolNames(t *testing.T) {
	for _, c := range []struct{ venue, symbol, native string }{
		{"coinbase", "BTC-USD", "BTC-USD"},
		{"kraken", "BTC-USD", "BTC/USD"},
		{"kraken", "ANETx-USD", "ANETx/USD"},
		{"binance", "BTC-USDT", "BTCUSDT"},
		{"binance", "BTCST-USDT", "BTCSTUSDT"},
		{"binance", "T-USDT", "TUSDT"},
		{"binance", "FDUSD-USDT", "FDUSDUSDT"},
		{"binance", "BTC-FDUSD", "BTCFDUSD"},
		{"binance", "USDT", "USDT"},
		{"binance", "ODDFOO", "ODDFOO"},
		{"binance-usdm", "BTC-USDT-261225", "BTCUSDT_261225"},
		{"binance-coinm", "BTC-USD-PERP", "BTCUSD_PERP"},
	} {
		v := venues[c.venue]
		if got := v.native(c.symbol); got != c.native {
			t.Errorf("%s: %s is asked for as %s, not %s", c.venue, c.symbol, got, c.native)
		}
		if got := v.canonical(c.native); got != c.symbol {
			t.Errorf("%s: %s is %s, not %s", c.venue, c.native, got, c.symbol)
		}
	}
	for name, v := range venues {
		for _, symbol := range v.symbols {
			if back := v.canonical(v.native(symbol)); back != symbol {
				t.Errorf("%s: %s comes back as %s", name, symbol, back)
			}
		}
	}
}

// Ensure that the names a venue makes up are counted one by one only up to a limit.
func TestIgnoredNamesBounded(t *testing.T) {
	f := newFrame(&coinbase)
	seen := make(map[string]bool)
	for i := range 10 * namesMax {
		if err := coinbaseParse(f, fmt.Appendf(nil, `{"type":"new%d"}`, i)); err != nil || f.kind != kindIgnored {
			t.Fatal(err, f.kind)
		}
		seen[f.name] = true
	}
	if len(seen) != namesMax-len(coinbase.messages)+1 || !seen["other"] {
		t.Errorf("%d names", len(seen))
	}
}

// Ensure that what a session asks for is JSON the venue documents.
func TestSubscribe(t *testing.T) {
	var got bytes.Buffer
	for _, name := range []string{"binance", "binance-usdm", "coinbase", "kraken"} {
		v := venues[name]
		for _, p := range v.parts {
			for i, ch := range p.channels {
				fmt.Fprintf(&got, "%s%s %s\n", v.url, p.path, v.subscribe(i+1, ch, []string{v.native("BTC-USD"), v.native("ETH-USD")}))
			}
		}
	}
	golden(t, "testdata/subscribe.golden", got.String())
}
