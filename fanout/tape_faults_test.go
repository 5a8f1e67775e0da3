package fanout

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/tickwire/tickwire/codec"
)

// An entry that cannot be read is a hole, and nothing of it is applied.
func TestTapeCorruptEntry(t *testing.T) {
	for name, corrupt := range map[string]func(e codec.Entry, body []byte) []byte{
		"cut short":      func(e codec.Entry, body []byte) []byte { b := codec.AppendEntry(nil, &e, body); return b[:len(b)-3] },
		"one too few":    func(e codec.Entry, body []byte) []byte { e.Count++; return codec.AppendEntry(nil, &e, body) },
		"one too many":   func(e codec.Entry, body []byte) []byte { e.Count--; return codec.AppendEntry(nil, &e, body) },
		"another's id":   func(e codec.Entry, body []byte) []byte { e.ID.N++; return codec.AppendEntry(nil, &e, body) },
		"another layout": func(e codec.Entry, body []byte) []byte { return []byte("garbage") },
		"empty":          func(e codec.Entry, body []byte) []byte { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			mr := miniredis.RunT(t)
			rdb := redis.NewClient(&redis.Options{Addr: mr.Addr()})
			defer rdb.Close()
			w := newWriter(t, rdb, sim)
			w.tick(1, "sim:A", "sim:B")
			w.checkpoint()
			r := newReader(t, mr.Addr())
			r.agrees(w)
			known := *w.state["sim:A"]
			e, body := w.next(2, "sim:A", "sim:B")
			w.raw(e.ID, corrupt(e, body))
			r.status(soon, "sim:B", codec.Stale)
			r.master.mu.RLock()
			if got := r.master.rows[r.master.ids["sim:A"]].update; got.Quote[codec.Bid] != 1 || got.Seq != known.Seq {
				t.Errorf("half an entry was applied: bid %d seq %d", got.Quote[codec.Bid], got.Seq)
			}
			r.master.mu.RUnlock()
			w.checkpoint()
			r.agrees(w)
			wantCount(t, "corrupt", r.tape.counts.corrupt, 1)
			wantHoles(t, r, 1)
		})
	}
}

// A checkpoint that cannot be read: at the start, and when a hole needs it.
func TestTapeCorruptCheckpoint(t *testing.T) {
	mr := miniredis.RunT(t)
	rdb := redis.NewClient(&redis.Options{Addr: mr.Addr()})
	defer rdb.Close()
	w := newWriter(t, rdb, sim)
	w.tick(1, "sim:A")
	w.checkpoint()
	good, _ := mr.Get(codec.CheckpointKey(sim))
	mr.Set(codec.CheckpointKey(sim), good[:len(good)-1])
	r := newReader(t, mr.Addr())
	r.agrees(w) // the tape is whole from its beginning
	wantCount(t, "corrupt", r.tape.counts.corrupt, 1)
	w.lose(2, "sim:A")
	w.checkpoint()
	good, _ = mr.Get(codec.CheckpointKey(sim))
	for _, bad := range []string{"garbage", good[:9], good[:len(good)-1], good + "\x00"} {
		mr.Set(codec.CheckpointKey(sim), bad)
		w.tick(0)
		r.status(soon, "sim:A", codec.Stale)
	}
	w.checkpoint()
	r.agrees(w)
	// Trimmed, and no checkpoint that can be read: nothing is known, and nothing said.
	mr.Set(codec.CheckpointKey(sim), "garbage")
	rdb.XTrimMaxLen(context.Background(), codec.TapeKey(sim), 1)
	late := newReader(t, mr.Addr())
	time.Sleep(300 * time.Millisecond)
	if n := len(late.master.list()); n != 0 || late.tape.unready() == "" {
		t.Errorf("%d symbols, unready %q", n, late.tape.unready())
	}
	w.checkpoint()
	late.agrees(w)
	late.ready(soon)
}

// Entries of others, and keys that are something else.
func TestTapeForeign(t *testing.T) {
	mr := miniredis.RunT(t)
	rdb := redis.NewClient(&redis.Options{Addr: mr.Addr()})
	defer rdb.Close()
	ctx := context.Background()
	w := newWriter(t, rdb, sim)
	w.tick(1, "sim:A")
	w.checkpoint()
	r := newReader(t, mr.Addr())
	r.agrees(w)
	foreign := codec.ID{Epoch: epoch0 + 5}
	rdb.XAdd(ctx, &redis.XAddArgs{Stream: codec.TapeKey(sim), ID: foreign.String(), Values: []any{"x", "y"}})
	r.status(soon, "sim:A", codec.Stale)
	w.reign(epoch0+6, foreign)
	w.tick(2, "sim:A")
	w.checkpoint()
	r.agrees(w)
	rdb.Set(ctx, codec.TapeKey(sim), "a string", 0)
	r.status(soon, "sim:A", codec.Stale)
	rdb.Del(ctx, codec.TapeKey(sim))
	r.agrees(w)
}

// A Redis that hangs without a word is found out when silence would be.
func TestTapeHung(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	w := newWriter(t, s.rdb, sim)
	w.tick(1, "sim:A")
	w.checkpoint()
	r := newReader(t, s.Addr)
	r.agrees(w)
	s.Hang(true)
	began := time.Now()
	r.status(3*time.Second, "sim:A", codec.Stale)
	t.Logf("stale after %v", time.Since(began))
	time.Sleep(2 * time.Second)
	s.Hang(false)
	began = time.Now()
	w.tick(2, "sim:A")
	r.agrees(w)
	t.Logf("read again after %v", time.Since(began))
	if took := time.Since(began); took > 4*time.Second {
		t.Errorf("read again after %v", took)
	}
	wantHoles(t, r, 0)
}

// A reader ends at once, also one that waits for a server that hangs, be it for entries or
// for the list of streams.
func TestTapeEnds(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	w := newWriter(t, s.rdb, sim)
	w.tick(1, "sim:A")
	w.checkpoint()
	for _, hung := range []bool{false, true} {
		r := newReader(t, s.Addr)
		r.agrees(w)
		if hung {
			s.Hang(true)
			time.Sleep(discoverEvery + 50*time.Millisecond) // the list is asked for in this time
		}
		began := time.Now()
		r.stop()
		<-r.done
		if took := time.Since(began); took > redisTimeout/2 {
			t.Errorf("hung %v: ended after %v", hung, took)
		}
	}
	s.Hang(false)
}

// Two streams: what happens to one does not concern the other.
func TestTapeTwoStreams(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	one, two := newWriter(t, s.rdb, "sim/0"), newWriter(t, s.rdb, "kraken/0")
	one.tick(1, "sim:A")
	one.checkpoint()
	r := newReader(t, s.Addr)
	r.agrees(one)
	two.tick(1, "kraken:A")
	two.checkpoint() // found while running
	r.agrees(one, two)
	stales := r.stalesOf("kraken:A")
	for end := time.Now().Add(2500 * time.Millisecond); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		two.tick(0) // the other is silent
	}
	r.status(0, "sim:A", codec.Stale)
	r.status(0, "kraken:A", codec.Live)
	one.lose(2, "sim:A")
	one.tick(3, "sim:A")
	two.tick(3, "kraken:A")
	one.checkpoint()
	r.agrees(one, two)
	if r.stalesOf("kraken:A") != stales {
		t.Error("stale for another stream's silence")
	}
	wantHoles(t, r, 1)
}

// Whatever happens, in any order: after the next checkpoint the board is what the
// writer wrote, loops that saw only batches have the same, and no seq went back.
func TestTapeAnything(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			mr := miniredis.RunT(t)
			rdb := redis.NewClient(&redis.Options{Addr: mr.Addr()})
			defer rdb.Close()
			l := newLine(t, mr.Addr())
			w := newWriter(t, rdb, sim)
			r := newReader(t, l.ln.Addr().String())
			rnd := rand.New(rand.NewPCG(seed, 0))
			for range 60 {
				disturb(w, l, rnd)
				time.Sleep(time.Duration(rnd.Int64N(20)) * time.Millisecond)
			}
			l.mend()
			w.tick(rnd.Int64N(1000), "sim:S0")
			w.checkpoint()
			r.agrees(w)
		})
	}
}

// disturb does something to a tape that may happen to it, more often something usual.
func disturb(w *writer, l *line, rnd *rand.Rand) {
	ctx := context.Background()
	symbol := func() string { return fmt.Sprintf("sim:S%d", rnd.IntN(5)) }
	bid := rnd.Int64N(1000)
	switch rnd.IntN(16) {
	case 0:
		w.lose(bid, symbol())
	case 1:
		e, body := w.next(bid, symbol())
		w.raw(e.ID, codec.AppendEntry(nil, &e, body[:len(body)-1]))
	case 2:
		w.rdb.XTrimMaxLen(ctx, codec.TapeKey(sim), rnd.Int64N(3))
	case 3:
		w.reign(w.id.Epoch+1+rnd.Int64N(50), w.id)
	case 4:
		w.rdb.Del(ctx, codec.TapeKey(sim))
	case 5:
		w.rdb.Del(ctx, codec.CheckpointKey(sim))
	case 6:
		l.cut()
	case 7:
		w.rdb.FlushAll(ctx)
		w.begin(w.id.Epoch + 100_000)
	case 8, 9:
		w.checkpoint()
	case 10, 11:
		l.mend()
	default:
		w.tick(bid, symbol(), symbol())
	}
}
