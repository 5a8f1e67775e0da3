package fanout

import (
	"context"
	"testing"
	"time"

	"github.com/tickwire/tickwire/codec"
)

// One stream's key is a string: there is nothing to wait for, and the node, which has all of the
// other stream, is ready.
func TestAForeignKeyIsNoReasonToBeUnready(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	w := newWriter(t, s.rdb, sim)
	w.tick(1, "sim:A")
	w.checkpoint()
	s.rdb.Set(context.Background(), codec.TapeKey("x/0"), "a string", 0)
	s.rdb.SAdd(context.Background(), codec.TapesKey, "x/0")
	r := newReader(t, s.Addr)
	r.tape.staleAfter = 2 * time.Second
	r.agrees(w)
	var why string
	for end := time.Now().Add(8 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		w.tick(1)
		if why = r.tape.unready(); why == "" {
			return
		}
	}
	t.Errorf("after 8 s: %s", why)
}

// olderB is a node that was shown one seq of sim:B more than the tape has: Redis lost that, and a
// reign has begun which does not know it.
func olderB(t *testing.T) (*server, *writer, *reader) {
	s := startRedis(t)
	w := newWriter(t, s.rdb, sim)
	w.tick(1, "sim:A", "sim:B")
	w.checkpoint()
	goBack, kept, last := s.keep(t), *w.state["sim:B"], w.id
	r := newReader(t, s.Addr)
	r.agrees(w)
	w.tick(2, "sim:B")
	r.agrees(w)
	goBack()
	w.state["sim:B"] = &kept
	w.reign(epoch0+5_000, last)
	w.tick(3, "sim:A")
	w.checkpoint()
	r.within(soon, func() string {
		if r.bid("sim:A") != 3 {
			return "the reign is not read"
		}
		return ""
	})
	return s, w, r
}

// That symbol, which is quiet now, is stale, and all others of the stream come as they do
// otherwise.
func TestAnOlderSymbolHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	_, w, r := olderB(t)
	bid, read, loaded, worst := int64(100), 0.0, 0.0, int64(0)
	for ; bid < 180; time.Sleep(100 * time.Millisecond) {
		bid++
		if w.tick(bid, "sim:A"); bid%10 == 0 {
			w.checkpoint()
		}
		if bid == 150 {
			read, loaded = value(r.tape.counts.entries), value(r.tape.counts.checkpoints)
		}
		if bid > 150 {
			worst = max(worst, bid-r.bid("sim:A"))
		}
	}
	read, loaded = value(r.tape.counts.entries)-read, value(r.tape.counts.checkpoints)-loaded
	if read < 20 || loaded > 1 || worst > 5 {
		t.Errorf("in the last 30 ticks %v entries were read, and %v checkpoints loaded; sim:A, which is well, is up to %d updates behind", read, loaded, worst)
	}
	r.status(0, "sim:B", codec.Stale)
}

// A symbol was on sim/1, then on sim/0 (--shards 1), and is on sim/1 again, whose feed has its
// state from then, and says it whole. A delta would be refused, for the row is sim/0's.
func TestASymbolComesBackToItsStream(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	zero, one := newWriter(t, s.rdb, "sim/0"), newWriter(t, s.rdb, "sim/1")
	zero.tick(1, "sim:A")
	zero.checkpoint()
	one.tick(1, "sim:X")
	one.checkpoint()
	r := newReader(t, s.Addr)
	r.agrees(zero, one)
	zero.reign(epoch0+5_000, zero.id) // of --shards 1: X is new to it
	zero.state["sim:X"] = &codec.Update{Seq: (epoch0 + 5_000) * 1000, History: zero.history, Quote: codec.Empty, Flags: codec.Image}
	zero.state["sim:X"].Quote[codec.Status] = codec.Live
	zero.tick(2, "sim:A", "sim:X")
	zero.checkpoint()
	r.within(soon, func() string {
		if r.bid("sim:X") != 2 {
			return "sim:X did not move to sim/0"
		}
		return ""
	})
	zero.reign(epoch0+10_000, zero.id) // of --shards 2 again
	delete(zero.state, "sim:X")
	one.reign(epoch0+10_000, one.id)
	x := one.state["sim:X"]
	x.Seq, x.Flags = (epoch0+10_000)*1000, codec.Gap|codec.Image // as sequencer.settle has it, not being sure
	for bid := int64(3); bid < 30; bid++ {
		zero.tick(bid, "sim:A")
		if one.tick(bid, "sim:X"); bid%10 == 0 {
			zero.checkpoint()
			one.checkpoint()
		}
		time.Sleep(100 * time.Millisecond)
	}
	if bid := r.bid("sim:X"); bid != 29 {
		t.Errorf("sim:X bid %d, the tape has 29; %v updates refused", bid, value(r.tape.counts.refused))
	}
	r.status(0, "sim:X", codec.Live)
}

// When it changes it waits for the checkpoint of that, wherever in what was read at once it was.
func TestAnOlderSymbolIsRepaired(t *testing.T) {
	t.Parallel()
	s, w, r := olderB(t)
	loaded := value(r.tape.counts.checkpoints)
	tx := s.rdb.TxPipeline()
	w.rdb = tx
	w.tick(100, "sim:B")
	w.tick(101, "sim:B")
	w.tick(5, "sim:A")
	w.checkpoint()
	if _, err := tx.Exec(context.Background()); err != nil {
		t.Fatal(err)
	}
	r.agrees(w)
	if got := value(r.tape.counts.checkpoints) - loaded; got != 1 {
		t.Errorf("%v checkpoints were loaded", got)
	}
}

// The checkpoint as of the very entry in which it changes will do: no other may come.
func TestAnOlderSymbolIsRepairedAtOnce(t *testing.T) {
	t.Parallel()
	_, w, r := olderB(t)
	w.tick(100, "sim:B")
	w.checkpoint()
	r.agrees(w)
}

// A checkpoint that has a delta, as none should, is not read in a circle.
func TestACheckpointOfADelta(t *testing.T) {
	t.Parallel()
	s, w, r := olderB(t)
	loaded := value(r.tape.counts.checkpoints)
	w.tick(4, "sim:A")
	body := w.set(nil, "sim:B", 100)
	w.lose(0)
	e := codec.Entry{ID: w.id, History: w.history, Count: 1}
	s.rdb.Set(context.Background(), codec.CheckpointKey(sim), codec.AppendEntry(nil, &e, body), 0)
	w.tick(5, "sim:A")
	r.within(soon, func() string {
		if value(r.tape.counts.checkpoints) == loaded {
			return "it is not read"
		}
		return ""
	})
	time.Sleep(time.Second)
	if got := value(r.tape.counts.checkpoints) - loaded; got != 1 {
		t.Errorf("%v checkpoints were loaded", got)
	}
}

// A stream that stands still below what is known, as of a replica that is cut off, is no stream
// that began again: not the second time either, though it stands elsewhere.
func TestWhatStandsStillBelowIsNotTakenUp(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	w := newWriter(t, s.rdb, sim)
	r := newReader(t, s.Addr)
	for bid := range int64(2) {
		w.tick(bid, "sim:A")
		w.checkpoint()
		r.agrees(w)
		goBack := s.keep(t)
		w.tick(5+bid, "sim:A")
		r.within(soon, func() string { return r.differs(w) }) // agrees would write on
		goBack()
		r.status(soon, "sim:A", codec.Stale)
		time.Sleep(3 * xreadBlock)
	}
	wantHoles(t, r, 0)
}
