package tapes

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tickwire/tickwire/codec"
	"github.com/tickwire/tickwire/codec/tapes/tapetest"
)

// The newest hole is found, whether it is among the newest entries, which are read, or only
// among those that are not; a reign that goes on is none.
func TestStatusHoles(t *testing.T) {
	t.Parallel()
	s := tapetest.Start(t)
	r := open(t, s.URL)
	del := func(w *writer, id string) { w.rdb.XDel(context.Background(), codec.TapeKey(w.stream), id) }
	for stream, c := range map[string]struct {
		new, old string
		do       func(*writer)
	}{
		"x/0": {"", "", func(w *writer) { w.reign(epoch0+1, w.id); w.reign(epoch0+2, w.id) }},
		"x/1": {"1700000000001-0", "1700000000001-0", func(w *writer) { w.reign(epoch0+1, codec.ID{}) }},
		"x/2": {"1700000000000-105", "1700000000000-105", func(w *writer) { w.next(); w.next(); w.tick(1); w.next(); w.tick(1) }},
		"x/3": {"1700000000000-101", "", func(w *writer) { w.raw(w.next().ID.String(), []byte("rubbish")) }},
		"x/4": {"1700000000000-101", "", func(w *writer) {
			id := w.next().ID.String()
			w.raw(id, codec.AppendEntry(nil, &codec.Entry{ID: codec.ID{Epoch: epoch0, N: 9}}, nil))
		}},
		"x/5": {"1700000000000-2", "1700000000000-2", func(w *writer) { del(w, "1700000000000-1") }},
		"x/6": {"", "", func(w *writer) { w.rdb.XTrimMaxLen(context.Background(), codec.TapeKey(w.stream), 30) }},
		"x/7": {"1700000000001-1", "1700000000001-1", func(w *writer) { // the fence is not true
			before := w.id
			w.reign(epoch0+1, w.id)
			e := w.next()
			e.Prev = before
			w.entry(e, nil)
		}},
		"x/8": {"1700000000001-1", "1700000000001-1", func(w *writer) { w.reign(epoch0+1, w.id); w.tick(1); del(w, "1700000000001-0") }},
		"x/9": {"1700000000001-3", "1700000000001-3", func(w *writer) {
			w.reign(epoch0+1, codec.ID{})
			w.tick(1)
			w.next()
			w.tick(1)
			w.reign(epoch0+2, w.id)
		}},
		"x/10": {"1700000000003-0", "1700000000003-0", func(w *writer) {
			w.reign(epoch0+1, codec.ID{})
			w.reign(epoch0+3, codec.ID{})
			w.reign(epoch0+4, w.id)
		}},
	} {
		w := newWriter(t, s.Client(), stream)
		w.paced(time.Millisecond, 100)
		w.checkpoint()
		c.do(w)
		w.tick(1)
		for _, want := range []string{c.new, c.old} {
			got := status(t, r, stream)
			switch {
			case want == "" && got.Hole != nil, want != "" && (got.Hole == nil || got.Hole.ID != want):
				t.Errorf("%s: hole %+v, want %q", stream, got.Hole, want)
			case got.Hole != nil && (got.Hole.Age <= 0 || got.Hole.Age > 10*time.Second):
				t.Errorf("%s: the hole is %v old", stream, got.Hole.Age)
			}
			w.paced(time.Millisecond, rateEntries+pageCount)
		}
	}
}

// A tape without a hole is not read to know that, however many reigns it has.
func TestStatusIsCheap(t *testing.T) {
	t.Parallel()
	s := tapetest.Start(t)
	r := open(t, s.URL)
	w := newWriter(t, s.Client(), "x/0")
	for reign := range int64(5) {
		w.reign(epoch0+1+reign, w.id)
		w.paced(time.Millisecond, 1000)
	}
	r.Now().XTrimMaxLen(t.Context(), codec.TapeKey("x/0"), 4500)
	var read atomic.Int64
	r.Now().AddHook(answered(func(cmd redis.Cmder) {
		if entries, ok := cmd.(*redis.XMessageSliceCmd); ok {
			read.Add(int64(len(entries.Val())))
		}
	}))
	if got := status(t, r, "x/0"); got.Hole != nil || got.Entries != 4500 || read.Load() > rateEntries+5*3 {
		t.Errorf("hole %v, %d entries, %d read", got.Hole, got.Entries, read.Load())
	}
	read.Store(0)
	r.Now().XDel(t.Context(), codec.TapeKey("x/0"), "1700000000005-600")
	if got := status(t, r, "x/0"); got.Hole == nil || got.Hole.ID != "1700000000005-601" || read.Load() > rateEntries+5*3+400+pageCount {
		t.Errorf("hole %+v, %d read", got.Hole, read.Load())
	}
}
