package tapes

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/tickwire/tickwire/codec"
	"github.com/tickwire/tickwire/codec/tapes/tapetest"
)

// verify checks one stream for as long as a run spoils something in it.
func verify(t *testing.T, r *Redis, stream string) Report {
	t.Helper()
	all, err := r.Verify(t.Context(), []string{stream}, 500*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	return all[0]
}

// wrong are the ways in which a stream may be: while it is written; in every checkpoint; or
// before anyone looks.
var wrong = []struct {
	name   string
	find   string // "": nothing
	do     func(*writer)
	spoil  func(*codec.Entry, map[string]*codec.Update)
	before func(*writer)
	breaks int
}{
	{name: "nothing"},
	{name: "a hole", find: "hole: entry 1700000000000-", do: func(w *writer) { w.next(); w.next() }},
	{name: "a hole in what is retained", find: "1700000000000-4 comes after 1700000000000-2: 1 are missing", before: func(w *writer) { w.next() }},
	{name: "another prev", find: "adds to 1700000000000-1, and comes after", do: func(w *writer) {
		e := w.next()
		e.Prev = codec.ID{Epoch: epoch0, N: 1}
		w.entry(e, nil)
	}},
	{name: "another id in the entry", find: "it is another", do: func(w *writer) {
		e := w.next()
		id := e.ID.String()
		e.ID.N += 5
		w.raw(id, codec.AppendEntry(nil, &e, nil))
	}},
	{name: "rubbish", find: "-3: codec:", before: func(w *writer) { w.raw(w.next().ID.String(), []byte("rubbish")) }},
	{name: "an entry cut short", find: "the bytes end too early", do: func(w *writer) {
		e := w.next()
		e.Count = 1
		w.entry(e, nil)
	}},
	{name: "a seq that went back", find: "has x:A at seq 17000000000000", do: func(w *writer) { w.state["x:A"].Seq -= 3 }},
	{name: "a seq twice", find: "has x:A at seq 17000000000000", do: func(w *writer) { w.state["x:A"].Seq-- }},
	{name: "another venue's symbol", find: "y:A is another venue's", do: func(w *writer) { w.tick(5, "y:A"); delete(w.state, "y:A") }},
	{name: "a symbol without an image", find: "changes x:C, of which there is no image", do: func(w *writer) {
		w.tick(5, "x:C")
		w.state["x:C"].Flags = 0
	}, before: func(w *writer) {
		w.set(nil, "x:C", 1) // not written
	}, spoil: func(_ *codec.Entry, images map[string]*codec.Update) { delete(images, "x:C") }},
	{name: "an entry of another history", find: "of history 1700000000005, the one before it of 1700000000000", do: func(w *writer) {
		e := w.next()
		e.History = epoch0 + 5
		w.entry(e, nil)
	}},
	{name: "a reign that goes on", do: func(w *writer) { w.reign(epoch0+1000, w.id) }},
	{name: "a reign after a break", breaks: 1, do: func(w *writer) { w.reign(epoch0+1000, codec.ID{Epoch: epoch0, N: 2}) }},
	{name: "a reign that says so in its first entry", breaks: 1, do: func(w *writer) {
		last := w.id
		w.reign(epoch0+1000, last)
		e := w.next()
		e.Prev = last
		w.entry(e, nil)
	}},
	{name: "a reign without a fence", find: "the beginning of its reign, and 1 entries, are missing", do: func(w *writer) {
		e := codec.Entry{ID: codec.ID{Epoch: epoch0 + 1000, N: 1}, Prev: w.id}
		w.id = e.ID
		w.entry(e, nil)
	}},
	{name: "a fence with updates", find: "a fence has none", do: func(w *writer) {
		e := codec.Entry{ID: codec.ID{Epoch: epoch0 + 1000}, Prev: w.id, Count: 1}
		w.id = e.ID
		w.entry(e, w.set(nil, "x:A", 3))
	}},
	{name: "an id that is no feed's", find: "no feed can write after it", do: func(w *writer) {
		w.raw("18446744073709551615-1", nil)
		w.over = true
	}},
	{name: "a checkpoint that lacks a symbol", find: "lacks x:A, which the entries up to it have", spoil: func(_ *codec.Entry, images map[string]*codec.Update) { delete(images, "x:A") }},
	{name: "one that lacks a silent one", find: "lacks x:B, which the entries up to it have", spoil: func(_ *codec.Entry, images map[string]*codec.Update) { delete(images, "x:B") }},
	{name: "a price that is wrong", find: "bid is 0.07 in the checkpoint, the entries add up to", spoil: func(_ *codec.Entry, images map[string]*codec.Update) { images["x:A"].Quote[codec.Bid] = 7 }},
	{name: "that of a silent one", find: "x:B at seq 1700000000000001: bid is 0.07 in the checkpoint, the entries add up to 0.01", spoil: func(_ *codec.Entry, images map[string]*codec.Update) { images["x:B"].Quote[codec.Bid] = 7 }},
	{name: "a field too many", find: "ask is 0.09 in the checkpoint, the entries add up to null", spoil: func(_ *codec.Entry, images map[string]*codec.Update) {
		images["x:A"].Quote[codec.Ask] = 9
		images["x:A"].Mask |= 1 << codec.Ask
	}},
	{name: "a seq behind", find: "the entries up to it at", spoil: func(_ *codec.Entry, images map[string]*codec.Update) { images["x:A"].Seq-- }},
	{name: "a seq ahead that comes", spoil: ahead},
	{name: "one with a price that is wrong", find: "bid is 0.07 in the checkpoint, the entries add up to", spoil: func(e *codec.Entry, images map[string]*codec.Update) {
		ahead(e, images)
		images["x:A"].Quote[codec.Bid] = 7
	}},
	{name: "a seq ahead that does not", find: "at seq 1700000000000005, which no entry has brought", spoil: func(_ *codec.Entry, images map[string]*codec.Update) {
		if images["x:A"].Seq > epoch0*1000+50 { // the first is right
			images["x:B"].Seq += 4
		}
	}},
	{name: "a symbol that does not come", find: "has x:Z at seq", spoil: func(e *codec.Entry, images map[string]*codec.Update) {
		if images["x:A"].Seq > epoch0*1000+50 {
			images["x:Z"] = images["x:B"]
		}
	}},
	{name: "a checkpoint of another history", find: "is of history 1700000000005, the entry of 1700000000000", spoil: func(e *codec.Entry, _ map[string]*codec.Update) { e.History += 5 }},
	{name: "an image of another history", find: "x:B in it is no image of that", spoil: func(_ *codec.Entry, images map[string]*codec.Update) { images["x:B"].History++ }},
	{name: "a checkpoint of no entry", find: "as of 1700000000001-5, and no entry has that id", spoil: func(e *codec.Entry, _ map[string]*codec.Update) {
		e.ID = codec.ID{Epoch: epoch0 + 1, N: 5}
	}},
	{name: "another venue's symbol in it", find: "the checkpoint cannot be read: y:A is another venue's", spoil: func(_ *codec.Entry, images map[string]*codec.Update) { images["y:A"] = images["x:A"] }},
	{name: "no other checkpoint", find: "for 3s there was no other", spoil: func(e *codec.Entry, _ map[string]*codec.Update) { e.ID = codec.ID{Epoch: epoch0, N: 2} }},
}

// ahead has x:A one update further than the entries, which is what comes next.
func ahead(_ *codec.Entry, images map[string]*codec.Update) {
	images["x:A"].Seq++
	images["x:A"].Quote[codec.Bid]++
}

// Everything that may be wrong with a stream is found, and nothing where nothing is.
func TestVerify(t *testing.T) {
	t.Parallel()
	s := tapetest.Start(t)
	r := open(t, s.URL)
	streams := make([]string, len(wrong))
	for i, c := range wrong {
		streams[i] = fmt.Sprintf("x/%d", i)
		w := newWriter(t, s.Client(), streams[i])
		w.tick(1, "x:A", "x:B")
		w.tick(2, "x:A")
		if c.before != nil {
			c.before(w)
		}
		if c.spoil != nil {
			w.spoil = c.spoil
		}
		w.checkpoint()
		w.run(c.do)
	}
	all, err := r.Verify(t.Context(), streams, 4*time.Second) // the writers need 1.2 s, where nothing else runs
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range wrong {
		got, found := all[i], false
		t.Logf("%s: %+v", c.name, got)
		for _, text := range got.Findings {
			found = found || strings.Contains(text, c.find)
		}
		if found != (c.find != "") || got.Breaks != c.breaks || got.Stream != streams[i] {
			t.Errorf("%s: breaks %d, findings %q", c.name, got.Breaks, got.Findings)
		}
		if c.find == "" && (got.Compared < 2 || got.AsOf == "") {
			t.Errorf("%s: %d symbols were compared, as of %q", c.name, got.Compared, got.AsOf)
		}
	}
}

// What does not come to a stream is found without a writer.
func TestVerifyOfWhatIsStill(t *testing.T) {
	t.Parallel()
	s := tapetest.Start(t)
	r, rdb := open(t, s.URL), s.Client()
	for stream, c := range map[string]struct {
		find string
		do   func(w *writer)
	}{
		"x/0": {"silent: nothing came for 1.5s after 1700000000000-1", func(w *writer) { w.checkpoint() }},
		"x/1": {"no checkpoint", func(*writer) {}},
		"x/2": {"a node that begins now finds a hole", func(w *writer) {
			w.checkpoint()
			w.tick(2, "x:A")
			w.tick(3, "x:A")
			rdb.XTrimMaxLen(context.Background(), codec.TapeKey(w.stream), 1)
		}},
		"x/3": {"the newest entry is 1700000000000-1: Redis has lost entries", func(w *writer) { w.next(); w.checkpoint() }},
		"x/4": {"no entries", func(w *writer) { rdb.Del(context.Background(), codec.TapeKey(w.stream)) }},
		"x/5": {"WRONGTYPE", func(w *writer) { rdb.Set(context.Background(), codec.TapeKey(w.stream), "?", 0) }},
		"x/6": {"the checkpoint cannot be read", func(w *writer) { w.setCheckpoint([]byte("rubbish")) }},
		"x":   {"no node reads it", func(w *writer) { w.checkpoint() }},
	} {
		t.Run(strings.ReplaceAll(stream, "/", ""), func(t *testing.T) {
			t.Parallel()
			w := newWriter(t, rdb, stream)
			w.tick(1, "x:A")
			c.do(w)
			if got := verify(t, r, stream); !strings.Contains(strings.Join(got.Findings, "\n"), c.find) {
				t.Errorf("%q", got.Findings)
			}
		})
	}
}

// Entries that are trimmed before they are read are no hole.
func TestVerifyTrimmed(t *testing.T) {
	t.Parallel()
	s := tapetest.Start(t)
	r, rdb := open(t, s.URL), s.Client()
	w := newWriter(t, rdb, "x/0")
	w.paced(time.Millisecond, 200)
	w.checkpoint()
	w.run(nil)
	trim := sync.OnceFunc(func() { rdb.XTrimMinID(context.Background(), codec.TapeKey("x/0"), "1700000000000-150") })
	r.Now().AddHook(answered(func(cmd redis.Cmder) {
		if cmd.Name() == "xread" {
			trim()
		}
	}))
	if got := verify(t, r, "x/0"); !got.Good() || got.Trimmed != 1 || got.Compared != 2 || got.Entries > 64+51+100 {
		t.Errorf("%+v", got)
	}
}

// The Redis in memory is looked at like any other.
func TestVerifyMiniredis(t *testing.T) {
	t.Parallel()
	r := open(t, "redis://"+miniredis.RunT(t).Addr())
	w := newWriter(t, r.Now(), "x/0")
	w.tick(1, "x:A", "x:B")
	w.checkpoint()
	w.run(nil)
	if got := verify(t, r, "x/0"); !got.Good() || got.Compared != 2 || got.Entries < 25 {
		t.Errorf("%+v", got)
	}
}

// More findings than anyone reads are counted.
func TestFindings(t *testing.T) {
	var r Report
	for n := range findingsMax + 5 {
		r.find("%d\x1b", n)
		r.find("%d\x1b", n)
	}
	if len(r.Findings) != findingsMax || r.More != 10 || r.Findings[0] != "0" {
		t.Errorf("%d findings, %d more: %q", len(r.Findings), r.More, r.Findings[0])
	}
}
