package fanout

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tickwire/tickwire/codec"
	"github.com/tickwire/tickwire/codec/tapes"
)

// counted counts the lines of a log.
type counted struct {
	slog.Handler
	mu    sync.Mutex
	lines map[string]int
}

func (c *counted) Enabled(context.Context, slog.Level) bool { return true }

func (c *counted) Handle(_ context.Context, r slog.Record) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lines[r.Message]++
	return nil
}

// Whatever else is on the tape, a good stream is served, a node that starts then is
// ready, and memory is bounded.
func TestTapeHostile(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	ctx := context.Background()
	w := newWriter(t, s.rdb, sim)
	w.tick(1, "sim:A")
	w.checkpoint()
	usurp := func(stream string) { // says something of a row that is sim/0's
		other := newWriter(t, s.rdb, stream)
		other.state["sim:A"] = &codec.Update{Seq: epoch0*1000 + 1e12, Quote: codec.Empty}
		other.tick(666, "sim:A")
		s.rdb.SAdd(ctx, codec.TapesKey, stream)
	}
	usurp("evil/0")
	s.rdb.Set(ctx, codec.TapeKey("string/0"), "?", 0)
	s.rdb.HSet(ctx, codec.CheckpointKey("hash/0"), "a", "b")
	s.rdb.XAdd(ctx, &redis.XAddArgs{Stream: codec.TapeKey("nofield/0"), ID: "5-0", Values: []any{"x", "y"}})
	s.rdb.XAdd(ctx, &redis.XAddArgs{Stream: codec.TapeKey("ids/0"), ID: "18446744073709551615-1", Values: []any{"b", "y"}})
	names := []any{"string/0", "hash/0", "nofield/0", "ids/0", "", "sim", "s}im/0", "sim\n/0", strings.Repeat("x", 1<<20) + "/0"}
	s.rdb.SAdd(ctx, codec.TapesKey, names...)
	log := &counted{lines: map[string]int{}}
	r := newLoggingReader(t, s.Addr, slog.New(log))
	r.agrees(w)
	usurp("sim/1")
	for end := time.Now().Add(brokenAfter + 3*time.Second); r.tape.unready() != ""; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal(r.tape.unready())
		}
		w.tick(2, "sim:A")
	}
	r.agrees(w)
	wantCount(t, "corrupt", r.tape.counts.corrupt, 3) // evil/0, nofield/0, ids/0
	wantHoles(t, r, 3)
	wantCount(t, "refused", r.tape.counts.refused, 1)
	for n := range 5000 {
		names = append(names, fmt.Sprintf("many/%d", n))
	}
	s.rdb.SAdd(ctx, codec.TapesKey, names...)
	time.Sleep(2500 * time.Millisecond)
	r.agrees(w)
	r.tape.mu.Lock()
	if n := len(r.tape.streams); n != tapes.StreamsMax {
		t.Errorf("%d streams", n)
	}
	r.tape.mu.Unlock()
	log.mu.Lock()
	if n := log.lines["tape: a stream is not read, nor others like it"]; n != 1 {
		t.Errorf("refused names were logged %d times", n)
	}
	log.mu.Unlock()
}

// A stream that was taken off the list keeps no node from being ready; in the end it
// is forgotten, and what it had said is stale.
func TestTapeStreamTakenOffTheList(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	ctx := context.Background()
	one, two := newWriter(t, s.rdb, sim), newWriter(t, s.rdb, "old/0")
	for w, symbol := range map[*writer]string{one: "sim:A", two: "old:A"} {
		w.tick(1, symbol)
		w.checkpoint()
	}
	r := newReader(t, s.Addr)
	r.agrees(one, two)
	r.tape.mu.Lock()
	cursor, _ := codec.NewCursor("bad/0")
	r.tape.streams["bad/0"] = &stream{tape: r.tape, name: "bad/0", cursor: cursor, stop: func() {}, missing: missingMost - 1}
	r.tape.streams["old/0"].missing = missingMost - 1
	s.rdb.SRem(ctx, codec.TapesKey, "old/0")
	r.tape.mu.Unlock()
	r.ready(0)
	for end := time.Now().Add(3 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		one.tick(0)
		two.tick(0)
	}
	r.status(0, "old:A", codec.Stale)
	r.status(0, "sim:A", codec.Live)
	r.tape.mu.Lock()
	if len(r.tape.streams) != 1 {
		t.Errorf("%d streams", len(r.tape.streams))
	}
	r.tape.mu.Unlock()
	// It comes back.
	two.tick(2, "old:A")
	two.checkpoint()
	r.agrees(one, two)
	if r.gapsOf("old:A") != 1 {
		t.Errorf("gaps %v", r.gaps)
	}
}
