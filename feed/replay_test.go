package feed

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/tickwire/tickwire/codec"
)

// recording writes a file of lines.
func recording(t *testing.T, lines ...string) string {
	file := filepath.Join(t.TempDir(), "session.tsv")
	if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

// trade is a line: a Coinbase match of BTC-USD received ms after a second of 2026.
func trade(ms, sequence int) string {
	return fmt.Sprintf("%d\tcoinbase\t%s", 1793620800_000_000_000+int64(ms)*1_000_000, cbMatch("BTC-USD", sequence, fmt.Sprint(sequence)))
}

// audience runs a replay and takes its blocks until it ends or stop says so.
type audience struct {
	blocks []block
	err    error
	took   time.Duration
}

func watch(t *testing.T, r *replay, enough func(a *audience) bool) *audience {
	t.Helper()
	ctx, stop := context.WithTimeout(context.Background(), patience)
	defer stop()
	in, ended := make(chan *block), make(chan error, 1)
	r.log = quiet
	r.badLines = newRefused(nil, "replay")
	r.open = func(name string) (*source, error) {
		return newSource(venues[name], in, newCounts(nil, "x/0")), nil
	}
	began := time.Now()
	go func() { ended <- r.run(ctx) }()
	a := new(audience)
	for {
		select {
		case b := <-in:
			a.blocks = append(a.blocks, *b)
			a.took = time.Since(began)
			if enough != nil && enough(a) {
				stop()
			}
		case a.err = <-ended:
			return a
		}
	}
}

// ticks are those of the recording.
func (a *audience) ticks() (ticks []tick) {
	for _, b := range a.blocks {
		ticks = append(ticks, b.ticks...)
	}
	return slices.DeleteFunc(ticks, func(k tick) bool { return k.channel == chStatus })
}

// last is what was said last.
func (a *audience) last() tick {
	b := a.blocks[len(a.blocks)-1]
	return b.ticks[len(b.ticks)-1]
}

// closed reports whether the replay has said that it is over.
func (a *audience) closed() bool { return a.last().quote[codec.Status] == codec.Closed }

// Ensure that a recording keeps its pace, faster when told so, and at once when told
// that; and that what is due later does not hold back what is due now.
func TestReplayPace(t *testing.T) {
	file := recording(t, trade(0, 1), trade(100, 2), trade(200, 3), trade(300, 4))
	for _, c := range []struct {
		speed       float64
		least, most time.Duration
	}{
		{1, 300 * time.Millisecond, 2 * time.Second},
		{10, 30 * time.Millisecond, 250 * time.Millisecond},
		{0, 0, 200 * time.Millisecond},
	} {
		var first time.Time
		a := watch(t, &replay{file: file, speed: c.speed}, func(a *audience) bool {
			if first.IsZero() {
				first = time.Now()
			}
			return a.closed()
		})
		if a.err != nil || len(a.ticks()) != 4 {
			t.Fatalf("speed %v: %d ticks, %v", c.speed, len(a.ticks()), a.err)
		}
		if a.took < c.least || a.took > c.most {
			t.Errorf("speed %v: took %v", c.speed, a.took)
		}
		if c.speed != 0 && len(a.blocks) != 5 {
			t.Errorf("speed %v: %d blocks", c.speed, len(a.blocks))
		}
	}
}

// Ensure that ticks carry the recorded receive time, or none.
func TestReplayTimes(t *testing.T) {
	a := watch(t, &replay{file: recording(t, trade(0, 1), "0\tcoinbase\t"+cbMatch("BTC-USD", 2, "5"))}, (*audience).closed)
	ticks := a.ticks()
	if len(ticks) != 2 || ticks[0].quote[codec.RecvTime] != 1793620800_000_000 {
		t.Fatalf("%+v", ticks)
	}
	if ticks[1].mask.Has(codec.RecvTime) {
		t.Error("a receive time that nobody knows")
	}
}

// Ensure that a replay that begins again says so: its numbers begin again too.
func TestReplayLoops(t *testing.T) {
	var gaps int
	a := watch(t, &replay{file: recording(t, trade(0, 1), trade(1, 2)), loop: true}, func(a *audience) bool {
		gaps = 0
		for _, b := range a.blocks {
			if t := &b.ticks[0]; t.symbol == "" && t.gap {
				gaps++
			}
		}
		return gaps == 3
	})
	if a.err != nil || len(a.ticks()) != 6 {
		t.Errorf("%d ticks, %v", len(a.ticks()), a.err)
	}
}

// Ensure that lines that are none are counted and passed over, wherever they are.
func TestReplayLines(t *testing.T) {
	st := play(t, recording(t,
		"garbage", "", trade(0, 1), "x\tcoinbase\t{}", "-5\tcoinbase\t{}", "5\tcoinbase", "5\tmoonbase\t{}",
		trade(1, 2)+"\r", "5\tbinance_spot\t"+bnBook("BTCUSDT", 1, "5"),
	), "")
	got := strings.Join(st.frames(t), "\n")
	for _, want := range []string{"coinbase data match 2", "binance data bookTicker 1", "refused replay line 5"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}

// Ensure that what cannot be played at all is an error that says what to do.
func TestReplayRefuses(t *testing.T) {
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	z.Write(bytes.Repeat([]byte(trade(0, 1)+"\n"), 1000))
	z.Close()
	cut := recording(t, string(zipped.Bytes()[:zipped.Len()-20]))
	for _, c := range []struct{ file, venue, want string }{
		{"testdata/none.tsv", "", "no such file"},
		{recording(t, "5\tI\t{}"), "", ":1: a line tagged I or O needs --venue"},
		{recording(t, "no", "line"), "", "not one line can be played"},
		{recording(t), "coinbase", "not one line can be played"},
		{cut, "", "unexpected EOF"},
		{recording(t, trade(0, 1), "5\tcoinbase\t"+strings.Repeat("x", lineMax), trade(0, 2)), "", ":2: a line of more than 16777216 bytes"},
	} {
		a := watch(t, &replay{file: c.file, venue: c.venue}, nil)
		if a.err == nil || !strings.Contains(a.err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", c.file, a.err, c.want)
		}
	}
	sad := errors.New("redis is away")
	r := &replay{file: recording(t, trade(0, 1)), log: quiet, open: func(string) (*source, error) { return nil, sad }}
	if err := r.run(context.Background()); !errors.Is(err, sad) {
		t.Errorf("%v, want %v", err, sad)
	}
}

// Ensure that compressed recordings play as they are, whatever they are called.
func TestReplayCompressed(t *testing.T) {
	plain := trade(0, 1) + "\n" + trade(1, 2) + "\n"
	var gz, zs bytes.Buffer
	g := gzip.NewWriter(&gz)
	g.Write([]byte(plain))
	g.Close()
	z, _ := zstd.NewWriter(&zs)
	z.Write([]byte(plain))
	z.Close()
	want := play(t, recording(t, plain), "").text()
	for _, b := range []*bytes.Buffer{&gz, &zs} {
		if got := play(t, recording(t, b.String()), "").text(); got != want {
			t.Errorf("got %s want %s", got, want)
		}
	}
}

func TestParseSpeed(t *testing.T) {
	for text, want := range map[string]float64{"1": 1, "10": 10, "10x": 10, "0.5": 0.5, "max": 0, "0": -1, "-1": -1, "fast": -1, "NaN": -1, "": -1} {
		got, err := parseSpeed(text)
		if want >= 0 && (err != nil || got != want) || want < 0 && err == nil {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
}
