package feed

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/tickwire/tickwire/codec"
)

// left is what a feed was killed with: ten symbols, of which the last five were
// silent since the checkpoint, and their seqs.
func left(t *testing.T, url string) (seqs map[string]int64, history int64) {
	t.Helper()
	rdb, f := client(t, url), beginFeed(t, url)
	f.say(10, 1)
	f.say(10, 2)
	eventually(t, "a checkpoint of all ten", func() bool {
		blob, _ := rdb.Get(context.Background(), codec.CheckpointKey("x/0")).Bytes()
		e, body, err := codec.ParseEntry(blob)
		r := newReader()
		return err == nil && e.Count == 10 && r.read(body, e.Count, false) == nil && r.quotes["x:S9"][codec.Bid] == 2
	})
	f.say(5, 3)
	f.written("x:S0", 3)
	f.crash()
	seqs = map[string]int64{}
	for i := range f.stream.seq.states {
		seqs[f.stream.seq.states[i].symbol] = f.stream.seq.states[i].update.Seq
	}
	return seqs, f.stream.tape.history
}

// damage is what may have happened to Redis between two reigns.
var damage = []struct {
	name   string
	do     func(t *testing.T, rdb *redis.Client)
	bids   [2]int64 // of S0 and S9 after the restart; Absent: the symbol is not known
	hole   bool     // and it is known to be
	anew   bool     // a new history
	counts int64    // corrupt
	logged string
}{
	{name: "nothing", do: func(*testing.T, *redis.Client) {}, bids: [2]int64{3, 2}},
	{
		name: "no checkpoint, the tape from its beginning",
		do:   del(codec.CheckpointKey("x/0")),
		bids: [2]int64{3, 2},
	},
	{
		name: "no checkpoint, and the tape trimmed",
		do: func(t *testing.T, rdb *redis.Client) {
			del(codec.CheckpointKey("x/0"))(t, rdb)
			trim(t, rdb)
		},
		bids: [2]int64{codec.Absent, codec.Absent}, hole: true,
	},
	{
		name: "a checkpoint of rubbish", do: checkpoint(func([]byte) []byte { return []byte("rubbish") }),
		bids: [2]int64{3, 2}, counts: 1, logged: "checkpoint cannot be read",
	},
	{
		name: "an empty checkpoint", do: checkpoint(func([]byte) []byte { return nil }),
		bids: [2]int64{3, 2}, counts: 1, logged: "checkpoint cannot be read",
	},
	{
		name: "half a checkpoint, and the tape trimmed",
		do: func(t *testing.T, rdb *redis.Client) {
			checkpoint(func(b []byte) []byte { return b[:len(b)/2] })(t, rdb)
			trim(t, rdb)
		},
		bids: [2]int64{codec.Absent, codec.Absent}, hole: true, counts: 1, logged: "checkpoint cannot be read",
	},
	{
		name: "a flipped bit in it",
		do:   checkpoint(func(b []byte) []byte { return bytes.Replace(b, []byte("x:S4"), []byte("x:\x004"), 1) }),
		bids: [2]int64{3, 2}, counts: 1, logged: "checkpoint cannot be read",
	},
	{
		name: "no tape", do: del(codec.TapeKey("x/0")),
		bids: [2]int64{2, 2}, hole: true,
	},
	{
		name: "an entry in the middle is missing",
		do: func(t *testing.T, rdb *redis.Client) {
			entries := rdb.XRange(context.Background(), codec.TapeKey("x/0"), "-", "+").Val()
			for _, m := range entries { // those with the bids of 3, which came last
				if e, _, err := codec.ParseEntry([]byte(m.Values[codec.EntryField].(string))); err != nil || e.Count == 5 {
					rdb.XDel(context.Background(), codec.TapeKey("x/0"), m.ID)
				}
			}
			// And one that shows it.
			last, _ := codec.ParseID(entries[len(entries)-1].ID)
			e := codec.Entry{ID: codec.ID{Epoch: last.Epoch, N: last.N + 1}, Prev: last, History: last.Epoch, SentAt: time.Now().UnixMicro()}
			add(t, rdb, &e)
		},
		bids: [2]int64{2, 2}, hole: true,
	},
	{
		name: "an entry of rubbish at the end",
		do: func(t *testing.T, rdb *redis.Client) {
			top := rdb.XRevRangeN(context.Background(), codec.TapeKey("x/0"), "+", "-", 1).Val()
			last, _ := codec.ParseID(top[0].ID)
			last.N++
			if err := rdb.XAdd(context.Background(), &redis.XAddArgs{Stream: codec.TapeKey("x/0"), ID: last.String(), Values: []any{"c", "d"}}).Err(); err != nil {
				t.Fatal(err)
			}
		},
		bids: [2]int64{3, 2}, hole: true, counts: 1, logged: "entry cannot be read",
	},
	{
		name: "all of it", do: func(t *testing.T, rdb *redis.Client) { rdb.FlushAll(context.Background()) },
		bids: [2]int64{codec.Absent, codec.Absent}, anew: true,
	},
}

func del(key string) func(*testing.T, *redis.Client) {
	return func(t *testing.T, rdb *redis.Client) {
		if n := rdb.Del(context.Background(), key).Val(); n != 1 {
			t.Fatal("no " + key)
		}
	}
}

func checkpoint(edit func([]byte) []byte) func(*testing.T, *redis.Client) {
	return func(t *testing.T, rdb *redis.Client) {
		blob, err := rdb.Get(context.Background(), codec.CheckpointKey("x/0")).Bytes()
		if err == nil {
			err = rdb.Set(context.Background(), codec.CheckpointKey("x/0"), edit(blob), 0).Err()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// trim leaves nothing of the tape but a heartbeat.
func trim(t *testing.T, rdb *redis.Client) {
	top := rdb.XRevRangeN(context.Background(), codec.TapeKey("x/0"), "+", "-", 1).Val()
	last, _ := codec.ParseID(top[0].ID)
	e := codec.Entry{ID: codec.ID{Epoch: last.Epoch, N: last.N + 1}, Prev: last, History: last.Epoch, SentAt: time.Now().UnixMicro()}
	add(t, rdb, &e)
	if err := rdb.XTrimMaxLen(context.Background(), codec.TapeKey("x/0"), 1).Err(); err != nil {
		t.Fatal(err)
	}
}

func add(t *testing.T, rdb *redis.Client, e *codec.Entry) {
	t.Helper()
	err := rdb.XAdd(context.Background(), &redis.XAddArgs{
		Stream: codec.TapeKey("x/0"), ID: e.ID.String(), Values: []any{codec.EntryField, codec.AppendEntry(nil, e, nil)},
	}).Err()
	if err != nil {
		t.Fatal(err)
	}
}

// Whatever is missing or broken, a new reign keeps what is known, says where it does
// not know, and no seq is ever published again or goes back.
func TestRestoreAfterDamage(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	s.outlive()
	seqs, history := left(t, s.url())
	whole := map[string]string{}
	for _, key := range []string{codec.TapesKey, codec.TapeKey("x/0"), codec.CheckpointKey("x/0")} {
		whole[key] = s.client().Dump(context.Background(), key).Val()
	}
	for _, c := range damage {
		t.Run(c.name, func(t *testing.T) {
			rdb := s.client()
			rdb.FlushAll(context.Background())
			for key, dump := range whole {
				if err := rdb.Restore(context.Background(), key, 0, dump).Err(); err != nil {
					t.Fatal(err)
				}
			}
			c.do(t, rdb)
			f := beginFeed(t, s.url())
			n := f.stream.seq.counts
			if got := n.holes.Load() > 0; got != c.hole {
				t.Errorf("a hole: %v", got)
			}
			if got := n.corrupt.Load(); got != c.counts || c.counts > 0 && f.log.count(c.logged) != 1 {
				t.Errorf("corrupt: %d, logged %d times", got, f.log.count(c.logged))
			}
			if anew := f.stream.tape.history != history; anew != c.anew {
				t.Errorf("history %d after %d", f.stream.tape.history, history)
			}
			for i, symbol := range []string{"x:S0", "x:S9"} {
				bid := codec.Absent
				if at, ok := f.stream.seq.ids[symbol]; ok {
					bid = f.stream.seq.states[at].update.Quote[codec.Bid]
				}
				if bid != c.bids[i] {
					t.Errorf("%s: bid %d, want %d", symbol, bid, c.bids[i])
				}
			}
			r := follow(t, s.url(), "x/0")
			f.say(10, 4)
			f.written("x:S9", 4)
			finished(t, f, r, s)
			for symbol, seq := range seqs {
				if r.seqs[symbol] <= seq {
					t.Errorf("%s: seq %d after %d", symbol, r.seqs[symbol], seq)
				}
				if gap := r.gaps[symbol] == 1; gap == c.anew && r.holes == 0 {
					t.Errorf("%s: GAP %v", symbol, gap)
				}
			}
		})
	}
}

// Redis comes back with an old snapshot, after the feed that wrote what it lacks is
// gone: nobody can know what the seqs were, so they jump beyond all there can have
// been, and everything has GAP.
func TestRedisLostTheEnd(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	f := beginFeed(t, s.url())
	f.say(10, 1)
	f.written("x:S0", 1)
	if err := s.client().Save(context.Background()).Err(); err != nil {
		t.Fatal(err)
	}
	hush := talk(f)
	time.Sleep(1500 * time.Millisecond)
	f.written("x:S9", hush())
	f.crash()
	s.kill()
	if files, _ := filepath.Glob(s.dir + "/*.rdb"); len(files) != 1 {
		list, _ := os.ReadDir(s.dir)
		t.Fatal("no snapshot: ", list)
	}
	s.start()
	next := beginFeed(t, s.url())
	if next.log.count("may have lost some") != 1 || next.stream.seq.counts.holes.Load() != 1 {
		t.Error("it was not noticed")
	}
	n := follow(t, s.url(), "x/0")
	next.say(11, 5000)
	next.written("x:S9", 5000)
	finished(t, next, n, s)
	for i := range f.stream.seq.states {
		old := &f.stream.seq.states[i]
		if n.seqs[old.symbol] <= old.update.Seq || n.gaps[old.symbol] != 1 {
			t.Errorf("%s: seq %d after %d, %d gaps", old.symbol, n.seqs[old.symbol], old.update.Seq, n.gaps[old.symbol])
		}
	}
	if next.stream.tape.history != f.stream.tape.history {
		t.Error("a new history")
	}
	if n.gaps["x:S10"] != 1 || n.seqs["x:S10"] <= f.stream.seq.states[0].update.Seq {
		t.Error("a symbol that may have been lost begins without GAP")
	}
}

// before runs do once, before the first command that matches.
type before struct {
	match string
	do    func()
}

func (b *before) DialHook(next redis.DialHook) redis.DialHook { return next }

func (b *before) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (b *before) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if b.do != nil && cmd.Name() == b.match {
			do := b.do
			b.do = nil
			do()
		}
		return next(ctx, cmd)
	}
}

// The older feed writes between our look and our fence: what it wrote is restored,
// and a second fence says so truly.
func TestAnEntrySlipsInBeforeTheFence(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	s.outlive()
	n := follow(t, s.url(), "x/0")
	old := beginFeed(t, s.url())
	old.say(3, 1)
	old.written("x:S0", 1)
	f := &hand{t: t}
	rdb, err := openRedis(t.Context(), s.url())
	if err != nil {
		t.Fatal(err)
	}
	defer rdb.Close()
	rdb.AddHook(&before{match: "xadd", do: func() { old.say(3, 2); old.written("x:S0", 2) }})
	f.press = newPress(t.Context(), new(Config), rdb, nil, old.press.log)
	if f.in, err = f.open("x"); err != nil {
		t.Fatal(err)
	}
	f.stream = f.streams[0]
	if err := old.writers.Wait(); !errors.Is(err, ErrFenced) {
		t.Fatal(err)
	}
	if bid := f.stream.seq.states[0].update.Quote[codec.Bid]; bid != 2 {
		t.Errorf("bid %d: what slipped in is not restored", bid)
	}
	f.say(3, 3)
	f.written("x:S0", 3)
	finished(t, f, n, s)
	if f.stream.seq.counts.holes.Load() != 0 {
		t.Error("nothing is missing, yet it is taken for a hole")
	}
	var last, fence, before codec.ID
	var prev codec.ID
	for _, m := range s.client().XRange(t.Context(), codec.TapeKey("x/0"), "-", "+").Val() {
		e, _, err := codec.ParseEntry([]byte(m.Values[codec.EntryField].(string)))
		if err != nil {
			t.Fatal(err)
		}
		if e.ID.N == 0 {
			fence, prev, before = e.ID, e.Prev, last
		}
		last = e.ID
	}
	if prev != before || fence.Epoch != f.stream.tape.id.Epoch {
		t.Errorf("the reign's fence %s says it comes after %s, which is %s", fence, prev, before)
	}
}

// Feeds that begin in the same millisecond do not share a reign: an entry is ours if
// its bytes are.
func TestOneReignAMillisecond(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	one, two := newTape(s.client(), "x/0", 0, newCounts(), quiet), newTape(s.client(), "x/0", 0, newCounts(), quiet)
	id := codec.ID{Epoch: time.Now().UnixMilli()}
	if err := one.add(t.Context(), id, []byte("one")); err != nil {
		t.Fatal(err)
	}
	if err := two.add(t.Context(), id, []byte("two")); !errors.Is(err, ErrFenced) {
		t.Errorf("the second: %v", err)
	}
	if err := one.add(t.Context(), id, []byte("one")); err != nil {
		t.Errorf("the first again: %v", err)
	}
	if n := s.client().XLen(t.Context(), codec.TapeKey("x/0")).Val(); n != 1 {
		t.Errorf("%d entries", n)
	}
}

// A checkpoint of a later epoch than the clock's, without its tape: the reign is
// above it all the same.
func TestTheClockWasSetBack(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	future := time.Now().Add(time.Hour).UnixMilli()
	e := codec.Entry{ID: codec.ID{Epoch: future, N: 7}, Prev: codec.ID{Epoch: future, N: 6}, History: future - 5, SentAt: time.Now().UnixMicro(), Count: 1}
	u := codec.Update{Seq: future, Flags: codec.Image, Mask: 1 << codec.Trades, History: future - 5, Quote: codec.Empty}
	u.Quote[codec.Trades] = 9
	blob := codec.AppendEntry(nil, &e, codec.AppendTapeUpdate(nil, "x:S0", &u))
	if err := s.client().Set(t.Context(), codec.CheckpointKey("x/0"), blob, 0).Err(); err != nil {
		t.Fatal(err)
	}
	n := follow(t, s.url(), "x/0")
	f := beginFeed(t, s.url())
	f.say(1, 1)
	f.written("x:S0", 1)
	finished(t, f, n, s)
	if f.stream.tape.id.Epoch != future+1 || f.stream.tape.history != future-5 || n.seqs["x:S0"] <= future {
		t.Errorf("id %s, history %d, seq %d", f.stream.tape.id, f.stream.tape.history, n.seqs["x:S0"])
	}
}

// A stream that is not ours to write is refused at once, with its name.
func TestWhatIsNoTape(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	for what, do := range map[string]func(*redis.Client) error{
		"another type": func(rdb *redis.Client) error { return rdb.Set(t.Context(), codec.TapeKey("x/0"), "?", 0).Err() },
		"the last id there is": func(rdb *redis.Client) error {
			return rdb.XAdd(t.Context(), &redis.XAddArgs{Stream: codec.TapeKey("x/0"), ID: "18446744073709551615-1", Values: []any{"b", "?"}}).Err()
		},
		"an id beyond the wire's": func(rdb *redis.Client) error {
			return rdb.XAdd(t.Context(), &redis.XAddArgs{Stream: codec.TapeKey("x/0"), ID: "9007199254740992-1", Values: []any{"b", "?"}}).Err()
		},
	} {
		rdb := s.client()
		rdb.FlushAll(t.Context())
		if err := do(rdb); err != nil {
			t.Fatal(err)
		}
		p := newPress(t.Context(), new(Config), rdb, nil, quiet)
		_, err := p.open("x")
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
	seq := int64(0)
	for reign := range int64(3) {
		f := beginFeed(t, url)
		f.say(10, reign+1)
		f.written("x:S9", reign+1)
		if err := f.stop(); err != nil {
			t.Fatal(err)
		}
		now := f.stream.seq.states[9].update.Seq - f.stream.tape.history
		// An image; then stale and live again with a new bid.
		if now != seq+1 && now != seq+2 || f.stream.seq.counts.holes.Load() != 0 {
			t.Errorf("reign %d: seq %d after %d", reign, now, seq)
		}
		seq = now
		if reign == 2 {
			n.halt(t, f.stream.tape.id)
			n.good(t, f)
			if n.holes > 0 || !unbroken(n.ids) || n.gaps["x:S9"] != 2 {
				t.Errorf("%d holes, gaps %v, ids %v", n.holes, n.gaps, n.ids)
			}
		}
	}
}
