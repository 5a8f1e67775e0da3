package feed

import (
	"context"
	"errors"
	"maps"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tickwire/tickwire/codec"
	"github.com/tickwire/tickwire/codec/tapes/tapetest"
)

// lostEnd has a feed write on, after a snapshot, what nodes read and Redis then loses. The
// Redis is back with the snapshot when it returns; the feed is dead if it is to crash.
func lostEnd(t *testing.T, s *tapetest.Server, f *hand, n *node, crash bool, down func()) {
	f.say(10, 1)
	f.written("x:S9", 1)
	eventually(t, "a checkpoint", func() bool {
		return s.Client().Exists(t.Context(), codec.CheckpointKey("x/0")).Val() == 1
	})
	if err := s.Client().Save(context.Background()).Err(); err != nil {
		t.Fatal(err)
	}
	for bid := int64(2); bid < 300; bid++ {
		f.say(10, bid)
		time.Sleep(2 * time.Millisecond)
	}
	eventually(t, "the node has it all", func() bool { return n.bid("x:S9") == 299 })
	if crash {
		f.crash()
	}
	s.Kill()
	down()
	s.Start()
}

// noProof checks that a feed was sure of the tape no more often than it may, and that all seqs
// are above those which a node was shown.
func noProof(t *testing.T, n *node, lost map[string]int64, f *hand, sure int) {
	t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	if c := f.log.count("seqs_jump=false"); c > sure {
		t.Errorf("the feed says seqs_jump=false %d times, the last of a tape that has lost its end", c)
	}
	for symbol, seq := range lost {
		if n.seqs[symbol] <= seq {
			t.Errorf("%s: seq %d after a node was shown %d", symbol, n.seqs[symbol], seq)
			break
		}
	}
	if len(n.errs) > 0 {
		t.Errorf("node: %d errors, the first %v", len(n.errs), n.errs[0])
	}
}

// shown is the seqs that a node has been shown.
func shown(n *node) map[string]int64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return maps.Clone(n.seqs)
}

// One feed. Redis comes back with an old snapshot, over a line that flaps: it is cut each time
// the state is to be restored, for 1.5 s. Each try leaves a fence, by this Redis and of now: none
// is proof that nothing was lost.
func TestFencesOfFailedReignsAreNoProof(t *testing.T) {
	t.Parallel()
	s := tapetest.Start(t)
	n := follow(t, s.URL, "x/0")
	f := beginFeed(t, s.URL)
	cuts := 0
	was := f.log.count("seqs_jump=false")
	var lost map[string]int64
	lostEnd(t, s, f, n, false, func() {
		lost = shown(n)
		until := time.Now().Add(1500 * time.Millisecond)
		f.rdb.Now().AddHook(onCommand(func(cmd redis.Cmder) error {
			if args := cmd.Args(); cmd.Name() != "get" || args[1] != codec.CheckpointKey("x/0") || time.Now().After(until) {
				return nil
			}
			cuts++
			return errors.New("the line is cut")
		}))
	})
	eventually(t, "a reign", func() bool { return f.log.count("msg=reign") == 2 })
	f.say(10, 1000)
	time.Sleep(2500 * time.Millisecond)
	if cuts < 2 {
		t.Errorf("%d tries were cut", cuts)
	}
	noProof(t, n, lost, f, was)
}

// Three feeds. Redis comes back with an old snapshot, its writer is dead. One that is begun
// then fences, not sure of anything, and is killed before its first entry; one that stood by
// all the while takes over, and is not sure either.
func TestAFenceWithoutEntriesIsNoProof(t *testing.T) {
	t.Parallel()
	s := tapetest.Start(t)
	n := follow(t, s.URL, "x/0")
	f := beginFeed(t, s.URL)
	third := makeFeed(t, s.URL, Config{})
	third.begin() // it has not heard the venue yet
	var lost map[string]int64
	lostEnd(t, s, f, n, true, func() { lost = shown(n) })
	time.Sleep(1300 * time.Millisecond)
	second := makeFeed(t, s.URL, Config{})
	second.begin()
	second.say(10, 299) // so that the reign waits for what else there is to hear, 150 ms
	eventually(t, "the second fences", func() bool { return second.log.count("msg=reign") == 1 || third.log.count("msg=reign") == 1 })
	second.crash()
	if third.log.count("msg=reign") > 0 {
		t.Skip("the third was faster")
	}
	if second.log.count("seqs_jump=true") != 1 {
		t.Error("the second is sure of a tape that it never watched")
	}
	third.reigns()
	third.say(10, 1000)
	time.Sleep(2500 * time.Millisecond)
	noProof(t, n, lost, third, 0)
}

// Feed one is cut off from Redis and numbers what it hears; two takes over, and needs fewer seqs
// for the same, as it says it all at once. Then one, which stands by, loses the venue, two says a
// newer price, and dies: one takes over. Its own price of before has a higher seq, and is older.
func TestSeqsThatWereNeverWrittenAreNotNewer(t *testing.T) {
	one := newSequencer(newCounts(nil, "x/0"))
	one.at = time.Unix(1_700_000_000, 0)
	one.settle(1, 1_000_000, true)
	one.apply(bookTick("x:A", 1))
	var spent batch
	one.cut(&spent) // on the tape
	next := func(heard *sequencer, from *sequencer, epoch int64) *sequencer {
		body, count := from.images(nil)
		q := newSequencer(newCounts(nil, "x/0"))
		cursor, _ := codec.NewCursor("x/0")
		e := codec.Entry{ID: codec.ID{Epoch: epoch - 1}, History: from.history, Count: count}
		if _, err := cursor.Load(codec.AppendEntry(nil, &e, body)); err != nil {
			t.Fatal(err)
		}
		q.restore(cursor.Items)
		q.before = epoch - 1
		q.settle(from.history, epoch, true)
		q.adopt(heard, one.at.Add(2*time.Second))
		q.at = one.at.Add(3 * time.Second)
		return q
	}
	written := newSequencer(newCounts(nil, "x/0")) // the tape, and two's ears
	written.at = one.at
	written.settle(1, 1_000_000, true)
	written.apply(bookTick("x:A", 1))
	heard := newSequencer(newCounts(nil, "x/0"))
	heard.at = one.at
	heard.stand()
	for bid := int64(1); bid <= 6; bid++ { // 2 to 6 are numbered by one, and never written
		if bid > 1 {
			one.apply(bookTick("x:A", bid))
		}
		heard.apply(bookTick("x:A", bid))
	}
	two := next(heard, written, 1_002_000)
	one.stand() // it is fenced
	one.apply(&tick{channel: chStatus, gap: true, quote: down()})
	two.apply(bookTick("x:A", 7))
	two.apply(bookTick("x:A", 8))
	three := next(one, two, 1_005_000)
	before, after := two.states[0].update, three.states[0].update
	t.Logf("two: bid %d seq %d; one had numbered up to %d; after it takes over: bid %d seq %d flags %d",
		before.Quote[codec.Bid], before.Seq, one.states[0].update.Seq, after.Quote[codec.Bid], after.Seq, after.Flags)
	if after.Quote[codec.Bid] < before.Quote[codec.Bid] {
		t.Errorf("bid %d comes after %d", after.Quote[codec.Bid], before.Quote[codec.Bid])
	}
}

// A feed writes a trade, loses the venue, and has heard only the book since when Redis comes
// back without the trade: the one before that does not follow it.
func TestATradeBeforeAnInterruptionIsKept(t *testing.T) {
	t.Parallel()
	s := tapetest.Start(t)
	n := follow(t, s.URL, "x/0")
	f := beginFeed(t, s.URL)
	last := func() int64 {
		n.mu.Lock()
		defer n.mu.Unlock()
		return n.quotes["x:S0"][codec.Last]
	}
	trade := func(price int64) {
		k := f.in.add()
		k.symbol, k.channel, k.quote[codec.PriceScale] = "x:S0", chTrade, 2
		k.set(codec.Last, price)
		f.in.flush(f.ctx)
		eventually(t, "the node has the trade", func() bool { return last() == price })
	}
	trade(100)
	eventually(t, "a checkpoint", func() bool {
		return s.Client().Exists(t.Context(), codec.CheckpointKey("x/0")).Val() == 1
	})
	if err := s.Client().Save(context.Background()).Err(); err != nil {
		t.Fatal(err)
	}
	trade(105)
	f.in.say("", codec.Down).gap = true
	f.say(1, 104)
	eventually(t, "the node has the book", func() bool { return n.bid("x:S0") == 104 })
	s.Kill()
	s.Start()
	f.say(1, 106)
	eventually(t, "the feed goes on", func() bool { return n.bid("x:S0") == 106 })
	if f.log.count("msg=reign") != 2 {
		t.Error("no reign has begun")
	}
	if last() != 105 {
		t.Errorf("the node was shown a trade at 105, then one at %d", last())
	}
}

func down() codec.Quote {
	q := codec.Empty
	q[codec.Status] = codec.Down
	return q
}
