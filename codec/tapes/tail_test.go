package tapes

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/tickwire/tickwire/codec"
	"github.com/tickwire/tickwire/codec/tapes/tapetest"
)

// heard is what a tail has told.
type heard struct {
	mu    sync.Mutex
	lines []string // ID SYMBOL SEQ BID, or ID alone of a heartbeat
	notes []string
	stop  context.CancelFunc
	done  chan error
}

// listen runs a tail until the test ends.
func listen(t *testing.T, r *Redis, tail Tail) *heard {
	ctx, stop := context.WithCancel(context.Background())
	h := &heard{stop: stop, done: make(chan error, 1)}
	tail.OnEntry = func(e *Read) {
		h.mu.Lock()
		defer h.mu.Unlock()
		if len(e.Updates) == 0 {
			h.lines = append(h.lines, e.ID.String())
		}
		for _, u := range e.Updates {
			bid := string(codec.AppendText(nil, &u.Quote, codec.Bid))
			if u.Unknown.Has(codec.Bid) {
				bid = "?"
			}
			h.lines = append(h.lines, fmt.Sprintf("%s %s %d %s", e.ID, u.Symbol, u.Seq, bid))
		}
	}
	tail.OnPage = func() {}
	tail.OnNote = func(stream, note string) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.notes = append(h.notes, strings.TrimPrefix(stream+": "+note, ": "))
	}
	go func() { h.done <- tail.Run(ctx, r) }()
	t.Cleanup(func() {
		stop()
		if err := <-h.done; err != nil {
			t.Error(err)
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		if t.Failed() {
			t.Logf("%s\nnotes: %s", strings.Join(h.lines, "\n"), strings.Join(h.notes, "\n"))
		}
	})
	return h
}

// says waits for a line, or a note, that has a text in it.
func (h *heard) says(t *testing.T, text string) {
	t.Helper()
	eventually(t, text, func() bool { return h.count(text) > 0 })
}

func (h *heard) count(text string) (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, line := range append(h.lines[:len(h.lines):len(h.lines)], h.notes...) {
		if strings.Contains(line, text) {
			n++
		}
	}
	return n
}

// begun waits until a tail reads what comes next.
func (h *heard) begun(t *testing.T, w *writer) {
	t.Helper()
	eventually(t, "it reads", func() bool { w.tick(0); return h.count(w.id.String()) > 0 })
}

// Decimals are right although the tape has the scale of what changed alone: of what comes
// next, from an id, and from the beginning; by a real Redis and by the one in memory.
func TestTail(t *testing.T) {
	t.Parallel()
	s := tapetest.Start(t)
	for name, url := range map[string]string{"redis-server": s.URL, "miniredis": "redis://" + miniredis.RunT(t).Addr()} {
		t.Run(name, func(t *testing.T) {
			r := open(t, url)
			w := newWriter(t, r.Now(), "x/0")
			w.tick(100, "x:A", "x:B")
			w.tick(101, "x:A")
			w.checkpoint()
			w.tick(102, "x:A")
			next := listen(t, r, Tail{})
			next.begun(t, w)
			w.tick(103, "x:A", "x:B")
			next.says(t, "x:A 1700000000000004 1.03")
			next.says(t, "x:B 1700000000000002 1.03")
			if next.count("1.02") > 0 {
				t.Error("what was before is not next")
			}
			early := listen(t, r, Tail{From: From{ID: codec.ID{Epoch: 2e12}}})
			early.says(t, "2000000000000-0 is yet to come: it is read from 1700000000000-")
			for from, lines := range map[string]int{"beginning": 6, "1700000000000-2": 4, "1700000000000-3": 3} {
				at, err := ParseFrom(from)
				if err != nil {
					t.Fatal(err)
				}
				h := listen(t, r, Tail{Streams: []string{"x/0"}, From: at})
				h.says(t, "x:B 1700000000000002 1.03")
				if got := h.count("x:"); got != lines || h.count("1700000000000-3 x:A 1700000000000003 1.02") != 1 {
					t.Errorf("from %s: %d updates", from, got)
				}
			}
			some := listen(t, r, Tail{Symbols: []string{"y:*", "x:B"}, From: From{Beginning: true}})
			some.says(t, "x:B 1700000000000002 1.03")
			if some.count("x:A") > 0 {
				t.Error("x:A was not asked for")
			}
		})
	}
}

// A scale that changed before the checkpoint is not known of the time before.
func TestTailUnknownScale(t *testing.T) {
	t.Parallel()
	r := open(t, "redis://"+miniredis.RunT(t).Addr())
	w := newWriter(t, r.Now(), "x/0")
	w.tick(100, "x:A", "x:B")
	w.tick(101, "x:A", "x:B")
	u := w.state["x:A"]
	u.Seq++
	u.Quote[codec.Bid], u.Quote[codec.PriceScale], u.Mask = 1025, 3, 1<<codec.Bid|1<<codec.PriceScale
	e := w.next()
	e.Count = 1
	w.entry(e, codec.AppendTapeUpdate(nil, "x:A", u))
	w.tick(1026, "x:A")
	w.checkpoint()
	r.Now().XDel(t.Context(), codec.TapeKey("x/0"), "1700000000000-0", "1700000000000-1") // with the images
	h := listen(t, r, Tail{From: From{Beginning: true}})
	h.says(t, "x:A 1700000000000004 1.026")
	h.says(t, "x:A 1700000000000003 1.025")
	h.says(t, "x:A 1700000000000002 ?")
	h.says(t, "x:B 1700000000000002 1.01")
}

// A hole is noted, and what comes after it is right: the checkpoint that covers it says so.
func TestTailHole(t *testing.T) {
	t.Parallel()
	s := tapetest.Start(t)
	r := open(t, s.URL)
	w := newWriter(t, s.Client(), "x/0")
	w.tick(100, "x:A")
	w.checkpoint()
	h := listen(t, r, Tail{})
	h.begun(t, w)
	u := w.state["x:A"] // has another scale since an entry that is lost
	u.Seq++
	u.Quote[codec.Bid], u.Quote[codec.PriceScale] = 1010, 3
	w.next()
	w.tick(1011, "x:A")
	w.checkpoint()
	h.says(t, "1 entries were trimmed before they were read, or lost")
	h.says(t, "x:A 1700000000000003 1.011")
	w.raw(w.next().ID.String(), []byte("rubbish"))
	h.says(t, w.id.String()+" cannot be read")
	last := w.id
	w.reign(epoch0+1, codec.ID{Epoch: epoch0, N: 1})
	w.checkpoint()
	h.says(t, "the reign of 1700000000001-0 goes on from 1700000000000-1, not from "+last.String())
	w.tick(1012, "x:A")
	h.says(t, "1.012")
	h.says(t, "silent for 1.5s")
	gone := listen(t, r, Tail{From: From{ID: codec.ID{Epoch: 5}}})
	gone.says(t, "5-0 is not there, or no more: what is begins with 1700000000000-0")
}

// A tape that went back, or is gone and begins anew, is read on; streams that appear are too.
func TestTailGoesOn(t *testing.T) {
	t.Parallel()
	s := tapetest.Start(t)
	r, rdb := open(t, s.URL), s.Client()
	h := listen(t, r, Tail{})
	h.says(t, "is a feed running?")
	w := newWriter(t, rdb, "x/0")
	w.tick(100, "x:A")
	h.says(t, "1700000000000-1 x:A 1700000000000001 1.00") // it appeared, and is read from its beginning
	w.reign(epoch0+5, w.id)
	h.says(t, "1700000000005-0")
	rdb.FlushAll(t.Context())
	h.says(t, "went back from 1700000000005-0 to 0-0")
	w = newWriter(t, rdb, "x/0")
	w.tick(101, "x:A")
	h.says(t, "x:A 1700000000000001 1.01")
	s.Kill()
	h.says(t, "cannot be read, trying again")
	s.Start()
	w = newWriter(t, rdb, "x/0")
	w.reign(epoch0+9, w.id)
	w.tick(102, "x:A")
	h.says(t, "1.02")
}

// A Redis that does not come back ends it, within seconds; an end of its own is none.
func TestTailEnds(t *testing.T) {
	t.Parallel()
	s := tapetest.Start(t)
	r := open(t, s.URL)
	newWriter(t, s.Client(), "x/0")
	tail := Tail{OnEntry: func(*Read) {}, OnPage: func() {}, OnNote: func(string, string) {}}
	done := make(chan error, 1)
	go func() { done <- tail.Run(t.Context(), r) }()
	time.Sleep(200 * time.Millisecond)
	s.Kill()
	select {
	case err := <-done:
		if err == nil || !strings.Contains(err.Error(), "redis at 127.0.0.1:") {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Error("it does not end")
	}
	for _, text := range []string{"-", "1", "x-1", "-1-1", "0-0", "9007199254740992-1"} {
		if _, err := ParseFrom(text); err == nil || !strings.Contains(err.Error(), "take beginning") {
			t.Errorf("%s: %v", text, err)
		}
	}
}
