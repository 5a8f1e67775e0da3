package feed

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/tickwire/tickwire/codec"
	"github.com/tickwire/tickwire/codec/tapes/tapetest"
)

// onCommand is called before each command but those in pipelines, which fails with its error.
type onCommand func(redis.Cmder) error

func (o onCommand) DialHook(next redis.DialHook) redis.DialHook { return next }

func (o onCommand) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (o onCommand) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if err := o(cmd); err != nil {
			cmd.SetErr(err)
			return err
		}
		return next(ctx, cmd)
	}
}

// The older feed writes between our look and our fence: what it wrote is restored,
// and the first entry after the fence says so, which is not true of the fence.
func TestAnEntrySlipsInBeforeTheFence(t *testing.T) {
	t.Parallel()
	s := tapetest.Start(t)
	n := follow(t, s.URL, "x/0")
	old := beginFeed(t, s.URL)
	old.say(3, 1)
	old.written("x:S0", 1)
	f := makeFeed(t, s.URL, Config{})
	f.crew.name = old.crew.name // both have the lease
	slipIn := sync.OnceFunc(func() { old.say(3, 2); old.written("x:S0", 2) })
	f.rdb.Now().AddHook(onCommand(func(cmd redis.Cmder) error {
		if cmd.Name() == "xadd" {
			slipIn()
		}
		return nil
	}))
	f.begin()
	f.reigns()
	old.fenced()
	old.crash()
	if bid := f.stream.seq.states[0].update.Quote[codec.Bid]; bid != 2 {
		t.Errorf("bid %d: what slipped in is not restored", bid)
	}
	f.say(3, 3)
	f.written("x:S0", 3)
	finished(t, f, n, s)
	if value(f.stream.seq.counts.holes) != 0 {
		t.Error("nothing is missing, yet it is taken for a hole")
	}
	var last, fence, before codec.ID
	var prev codec.ID
	for _, m := range s.Client().XRange(t.Context(), codec.TapeKey("x/0"), "-", "+").Val() {
		e, _, err := codec.ParseEntry([]byte(m.Values[codec.EntryField].(string)))
		if err != nil {
			t.Fatal(err)
		}
		switch e.ID.N {
		case 0:
			fence, before = e.ID, last
		case 1:
			prev = e.Prev
		}
		last = e.ID
	}
	if prev != before || fence.Epoch != f.stream.writer.tape.id.Epoch {
		t.Errorf("after fence %s an entry says it adds to %s, which is %s", fence, prev, before)
	}
}

// Feeds that begin in the same millisecond do not share a reign: an entry is ours if
// its bytes are.
func TestOneReignAMillisecond(t *testing.T) {
	t.Parallel()
	s := tapetest.Start(t)
	one, two := tapeOf(t, s), tapeOf(t, s)
	id := codec.ID{Epoch: time.Now().UnixMilli()}
	if err := one.add(t.Context(), id, []byte("one"), codec.ID{}); err != nil {
		t.Fatal(err)
	}
	if err := two.add(t.Context(), id, []byte("two"), codec.ID{}); !errors.Is(err, ErrFenced) {
		t.Errorf("the second: %v", err)
	}
	if err := one.add(t.Context(), id, []byte("one"), codec.ID{}); err != nil {
		t.Errorf("the first again: %v", err)
	}
	if n := s.Client().XLen(t.Context(), codec.TapeKey("x/0")).Val(); n != 1 {
		t.Errorf("%d entries", n)
	}
}

// A checkpoint of a later epoch than the clock's, without its tape: the reign is
// above it all the same.
func TestTheClockWasSetBack(t *testing.T) {
	t.Parallel()
	s := tapetest.Start(t)
	future := time.Now().Add(time.Hour).UnixMilli()
	e := codec.Entry{ID: codec.ID{Epoch: future, N: 7}, Prev: codec.ID{Epoch: future, N: 6}, History: future - 5, SentAt: time.Now().UnixMicro(), Count: 1}
	u := codec.Update{Seq: future, Flags: codec.Image, Mask: 1 << codec.Trades, History: future - 5, Quote: codec.Empty}
	u.Quote[codec.Trades] = 9
	blob := codec.AppendEntry(nil, &e, codec.AppendTapeUpdate(nil, "x:S0", &u))
	if err := s.Client().Set(t.Context(), codec.CheckpointKey("x/0"), blob, 0).Err(); err != nil {
		t.Fatal(err)
	}
	n := follow(t, s.URL, "x/0")
	f := beginFeed(t, s.URL)
	f.say(1, 1)
	f.written("x:S0", 1)
	finished(t, f, n, s)
	if f.stream.writer.tape.id.Epoch != future+1 || f.stream.writer.tape.history != future-5 || n.seqs["x:S0"] <= future {
		t.Errorf("id %s, history %d, seq %d", f.stream.writer.tape.id, f.stream.writer.tape.history, n.seqs["x:S0"])
	}
}

// A stream that is not ours to write is refused at once, with its name.
func TestWhatIsNoTape(t *testing.T) {
	t.Parallel()
	s := tapetest.Start(t)
	for what, do := range map[string]func(*redis.Client) error{
		"another type": func(rdb *redis.Client) error { return rdb.Set(t.Context(), codec.TapeKey("x/0"), "?", 0).Err() },
		"the last id there is": func(rdb *redis.Client) error {
			return rdb.XAdd(t.Context(), &redis.XAddArgs{Stream: codec.TapeKey("x/0"), ID: "18446744073709551615-1", Values: []any{"b", "?"}}).Err()
		},
		"an id beyond the wire's": func(rdb *redis.Client) error {
			return rdb.XAdd(t.Context(), &redis.XAddArgs{Stream: codec.TapeKey("x/0"), ID: "9007199254740992-1", Values: []any{"b", "?"}}).Err()
		},
	} {
		rdb := s.Client()
		rdb.FlushAll(t.Context())
		if err := do(rdb); err != nil {
			t.Fatal(err)
		}
		f := makeFeed(t, s.URL, Config{})
		f.begin()
		err := ended(t, f.over())
		if err == nil {
			t.Errorf("%s: no error", what)
			continue
		}
		t.Logf("%s: %v", what, err)
	}
}

// The Redis in memory, which lacks INFO and most of XINFO, takes a reign and the next.
func TestMiniredis(t *testing.T) {
	t.Parallel()
	m := miniredis.RunT(t)
	url := "redis://" + m.Addr()
	n := follow(t, url, "x/0")
	for reign := range int64(3) {
		f := beginFeed(t, url)
		f.say(10, reign+1)
		f.written("x:S9", reign+1)
		if err := f.stop(); err != nil {
			t.Fatal(err)
		}
		now := f.stream.seq.states[9].update.Seq - f.stream.writer.tape.id.Epoch*1000
		// An image; in later reigns stale, then live again with a new bid.
		if now != min(reign, 1)+1 || value(f.stream.seq.counts.holes) != 0 {
			t.Errorf("reign %d: seq %d", reign, now)
		}
		if reign == 2 {
			n.halt(t, f.stream.writer.tape.id)
			n.good(t, f)
			if n.holes > 0 || !unbroken(n.ids) || n.gaps["x:S9"] != 4 {
				t.Errorf("%d holes, gaps %v, ids %v", n.holes, n.gaps, n.ids)
			}
		}
	}
}
