package feed

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tickwire/tickwire/codec"
	"github.com/tickwire/tickwire/codec/tapes/tapetest"
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
	return seqs, f.stream.writer.tape.history
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
	s := tapetest.Start(t)
	seqs, history := left(t, s.URL)
	whole := map[string]string{}
	for _, key := range []string{codec.TapesKey, codec.TapeKey("x/0"), codec.CheckpointKey("x/0")} {
		whole[key] = s.Client().Dump(context.Background(), key).Val()
	}
	for _, c := range damage {
		t.Run(c.name, func(t *testing.T) {
			rdb := s.Client()
			rdb.FlushAll(context.Background())
			for key, dump := range whole {
				if err := rdb.Restore(context.Background(), key, 0, dump).Err(); err != nil {
					t.Fatal(err)
				}
			}
			c.do(t, rdb)
			f := beginFeed(t, s.URL)
			n := f.stream.seq.counts
			if got := value(n.holes) > 0; got != c.hole {
				t.Errorf("a hole: %v", got)
			}
			if got := value(n.corrupt); got != c.counts || c.counts > 0 && f.log.count(c.logged) != 1 {
				t.Errorf("corrupt: %d, logged %d times", got, f.log.count(c.logged))
			}
			if anew := f.stream.writer.tape.history != history; anew != c.anew {
				t.Errorf("history %d after %d", f.stream.writer.tape.history, history)
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
			r := follow(t, s.URL, "x/0")
			f.say(10, 4)
			f.written("x:S9", 4)
			finished(t, f, r, s)
			for symbol, seq := range seqs {
				if r.seqs[symbol] <= seq {
					t.Errorf("%s: seq %d after %d", symbol, r.seqs[symbol], seq)
				}
				if gap := r.gaps[symbol] > 0; gap == c.anew && r.holes == 0 {
					t.Errorf("%s: GAP %v", symbol, gap)
				}
			}
		})
	}
}

// A reader that has read what a new reign cannot restore does not follow it: it would
// go on with prices that the feed does not know of.
func TestAHoleThatReadersDidNotSee(t *testing.T) {
	t.Parallel()
	s := tapetest.Start(t)
	n := follow(t, s.URL, "x/0")
	left(t, s.URL)
	eventually(t, "the node has it all", func() bool { return n.bid("x:S0") == 3 })
	for _, c := range damage {
		if c.name == "an entry in the middle is missing" {
			c.do(t, s.Client())
		}
	}
	f := beginFeed(t, s.URL)
	f.say(10, 2) // what it has restored
	finished(t, f, n, s)
	if n.holes != 1 {
		t.Errorf("%d holes", n.holes)
	}
}

// Seqs jump beyond what was lost at any rate, and so does a history that begins anew.
func TestSeqsJumpAtAnyRate(t *testing.T) {
	const epoch, lost = 1_700_000_000_000, 900_000 // in a second
	for _, known := range []bool{true, false} {
		q := newSequencer(newCounts(nil, "x/0"))
		u := codec.Update{Seq: epoch*1000 + 1, Flags: codec.Image, Mask: 1 << codec.Status, Quote: codec.Empty}
		if known {
			q.restore([]codec.TapeItem{{Symbol: []byte("x:A"), Update: u}})
		}
		q.settle(epoch, epoch+1000, !known)
		q.apply(bookTick("x:A", 1))
		if seq := q.states[0].update.Seq; seq <= u.Seq+lost || seq > codec.MaxInt {
			t.Errorf("known %v: seq %d after %d", known, seq, u.Seq+lost)
		}
	}
}

// Redis comes back with an old snapshot, after the feed that wrote what it lacks is
// gone: nobody can know what the seqs were, so they jump beyond all there can have
// been, and everything has GAP.
func TestRedisLostTheEnd(t *testing.T) {
	t.Parallel()
	s := tapetest.Start(t)
	f := beginFeed(t, s.URL)
	f.say(10, 1)
	f.written("x:S0", 1)
	if err := s.Client().Save(context.Background()).Err(); err != nil {
		t.Fatal(err)
	}
	hush := talk(f)
	time.Sleep(1500 * time.Millisecond)
	f.written("x:S9", hush())
	f.crash()
	s.Kill()
	if files, _ := filepath.Glob(s.Dir + "/*.rdb"); len(files) != 1 {
		list, _ := os.ReadDir(s.Dir)
		t.Fatal("no snapshot: ", list)
	}
	s.Start()
	next := beginFeed(t, s.URL)
	if next.log.count("seqs_jump=true") != 1 {
		t.Error("it was not noticed")
	}
	n := follow(t, s.URL, "x/0")
	next.say(11, 5000)
	next.written("x:S9", 5000)
	finished(t, next, n, s)
	for i := range f.stream.seq.states {
		old := &f.stream.seq.states[i]
		if n.seqs[old.symbol] <= old.update.Seq || n.gaps[old.symbol] == 0 {
			t.Errorf("%s: seq %d after %d, %d gaps", old.symbol, n.seqs[old.symbol], old.update.Seq, n.gaps[old.symbol])
		}
	}
	if next.stream.writer.tape.history != f.stream.writer.tape.history {
		t.Error("a new history")
	}
	if n.gaps["x:S10"] != 1 || n.seqs["x:S10"] <= f.stream.seq.states[0].update.Seq {
		t.Error("a symbol that may have been lost begins without GAP")
	}
}
