package feed

import (
	"bufio"
	"bytes"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/tickwire/tickwire/codec"
)

// shared is where recordings of others lie, which are not part of this repository.
const shared = "../../shared/data"

// sharedFiles finds recordings of one kind, or skips.
func sharedFiles(t testing.TB, kind string) []string {
	files, _ := filepath.Glob(filepath.Join(shared, kind, "*.frames.tsv*"))
	if len(files) == 0 {
		t.Skipf("no recordings in %s/%s", shared, kind)
	}
	slices.Sort(files)
	return files
}

// sharedVenue is the venue of a file whose lines are tagged I.
func sharedVenue(file string) string {
	switch name := filepath.Base(file); {
	case strings.Contains(file, "/kraken/"):
		return "kraken"
	case strings.Contains(file, "/coinbase/"):
		return "coinbase"
	case strings.HasPrefix(name, "coinm"):
		return "binance-coinm"
	case strings.HasPrefix(name, "usdm"):
		return "binance-usdm"
	}
	return "binance"
}

// Ensure that every frame that was ever recorded is explained: data, control or
// ignored by name, and none refused.
func TestSharedFrames(t *testing.T) {
	var all strings.Builder
	for _, kind := range []string{"binance", "coinbase", "kraken"} {
		for _, file := range sharedFiles(t, kind) {
			st := play(t, file, sharedVenue(file))
			sane(t, file, st)
			fmt.Fprintf(&all, "%s/%s\n", kind, filepath.Base(file))
			explained := 0
			for _, line := range st.frames(t) {
				fmt.Fprintf(&all, "\t%s\n", line)
				var n int
				fmt.Sscan(line[strings.LastIndexByte(line, ' ')+1:], &n)
				explained += n
				if strings.HasPrefix(line, "refused") {
					t.Errorf("%s: %s", file, line)
				}
			}
			if n := linesOf(t, file); n != explained {
				t.Errorf("%s: %d frames, %d explained", file, n, explained)
			}
		}
	}
	golden(t, "testdata/shared.golden", all.String())
}

// Ensure the same of six streams of three markets in one file.
func TestSharedReplay(t *testing.T) {
	var all strings.Builder
	for _, file := range sharedFiles(t, "replay") {
		st := play(t, file, "")
		sane(t, file, st)
		fmt.Fprintf(&all, "%s\n\t%s\n", filepath.Base(file), strings.Join(st.frames(t), "\n\t"))
		if len(st.quotes) != 3 {
			t.Errorf("%s: %d streams", file, len(st.quotes))
		}
		endsIn(t, file, st)
		if testing.Short() {
			return
		}
	}
	golden(t, "testdata/shared_replay.golden", all.String())
}

// sane checks what holds of any quote.
func sane(t *testing.T, file string, st *playback) {
	for name, seq := range st.quotes {
		for _, s := range seq.states {
			q := &s.update.Quote
			if !strings.HasPrefix(s.symbol, strings.TrimSuffix(name, "/0")+":") {
				t.Errorf("%s: %s in the stream %s", file, s.symbol, name)
			}
			if has := q.Present(); has.Has(codec.Bid) && has.Has(codec.Ask) && q[codec.Bid] > q[codec.Ask] {
				t.Errorf("%s: %s is crossed", file, s.symbol)
			}
			if q[codec.High] != codec.Absent && q[codec.High] < q[codec.Low] {
				t.Errorf("%s: %s: high below low", file, s.symbol)
			}
			for f := range codec.Field(codec.NumFields) {
				if v := q[f]; v != codec.Absent && (v > codec.MaxInt || v < 0) {
					t.Errorf("%s: %s: %s is %d", file, s.symbol, f, v)
				}
			}
		}
	}
}

var (
	bookOf  = regexp.MustCompile(`"s":"(\w+)",(?:"ps":"\w+",)?"b":"([\d.]+)","B":"([\d.]+)","a":"([\d.]+)","A":"([\d.]+)"`)
	tradeOf = regexp.MustCompile(`"e":"trade".*"s":"(\w+)".*"p":"([\d.]+)","q":"([\d.]+)"`)
)

// endsIn reads a recording in another way, text for text, and compares how it ends.
func endsIn(t *testing.T, name string, st *playback) {
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	text, err := decompress(file)
	if err != nil {
		t.Fatal(err)
	}
	defer text.Close()
	last := make(map[string][]byte) // the last line of a tag, a symbol and a kind
	for r := bufio.NewScanner(text); r.Scan(); {
		_, line, _ := bytes.Cut(r.Bytes(), []byte("\t"))
		tag, frame, _ := bytes.Cut(line, []byte("\t"))
		_, rest, _ := bytes.Cut(frame, []byte(`"s":"`))
		symbol, _, _ := bytes.Cut(rest, []byte(`"`))
		key := fmt.Sprintf("%s %s %v", tag, symbol, bytes.Contains(frame, []byte(`"trade"`)))
		last[key] = append(last[key][:0], frame...)
	}
	ends := make(map[string]map[codec.Field]string)
	for key, frame := range last {
		tag, _, _ := strings.Cut(key, " ")
		fields, found := []codec.Field{codec.Last, codec.LastSize}, tradeOf.FindSubmatch(frame)
		if found == nil {
			fields, found = []codec.Field{codec.Bid, codec.BidSize, codec.Ask, codec.AskSize}, bookOf.FindSubmatch(frame)
		}
		v := venueTagged(tag)
		symbol := v.name + ":" + v.canonical(string(found[1]))
		if ends[symbol] == nil {
			ends[symbol] = make(map[codec.Field]string)
		}
		for i, f := range fields {
			ends[symbol][f] = string(found[2+i])
		}
	}
	for _, seq := range st.quotes {
		for _, s := range seq.states {
			for f, want := range ends[s.symbol] {
				got := string(codec.AppendText(nil, &s.update.Quote, f))
				a, _ := new(big.Rat).SetString(got)
				b, _ := new(big.Rat).SetString(want)
				if a == nil || a.Cmp(b) != 0 {
					t.Errorf("%s: %s ends with %s %s, said was %s", name, s.symbol, f, got, want)
				}
			}
			delete(ends, s.symbol)
		}
	}
	if len(ends) > 0 {
		t.Errorf("%s: never said: %v", name, ends)
	}
}

func linesOf(t *testing.T, name string) (n int) {
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	text, err := decompress(file)
	if err != nil {
		t.Fatal(err)
	}
	defer text.Close()
	for r := bufio.NewReader(text); ; n++ {
		if _, err := r.ReadBytes('\n'); err != nil {
			return n
		}
	}
}
