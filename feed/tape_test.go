package feed

import (
	"context"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/tickwire/tickwire/codec"
	"github.com/tickwire/tickwire/codec/tapes/tapetest"
)

// talk has a feed say something new of ten symbols every millisecond until the
// returned function is called, which returns the last bid.
func talk(f *hand) (hush func() int64) {
	stop, done := make(chan struct{}), make(chan int64)
	go func() {
		for bid := int64(1); ; bid++ {
			f.say(10, bid)
			select {
			case <-stop:
				done <- bid
				return
			case <-time.After(time.Millisecond):
			}
		}
	}()
	return func() int64 { close(stop); return <-done }
}

// unbroken reports whether the ids are those of one reign after another, each
// counted without a hole.
func unbroken(ids []codec.ID) bool {
	for i := 1; i < len(ids); i++ {
		next := codec.ID{Epoch: ids[i-1].Epoch, N: ids[i-1].N + 1}
		if ids[i] != next && (ids[i].N != 0 || ids[i].Epoch <= ids[i-1].Epoch) {
			return false
		}
	}
	return len(ids) > 0
}

// finished checks what a feed leaves that was stopped: the node has its state, and so
// has the checkpoint, as of the last entry. It returns how long it took to stop.
func finished(t *testing.T, f *hand, n *node, s *tapetest.Server) (took time.Duration) {
	t.Helper()
	began := time.Now()
	if err := f.stop(); err != nil {
		t.Fatal("stop:", err)
	}
	took = time.Since(began)
	n.halt(t, f.stream.writer.tape.id)
	n.good(t, f)
	e, r := checkpointOf(t, s.Client())
	r.same(t, f.stream.seq)
	if e.ID != f.stream.writer.tape.id || n.last != e.ID {
		t.Errorf("the checkpoint is as of %s, the last entry read %s, written %s", e.ID, n.last, f.stream.writer.tape.id)
	}
	if names, err := s.Client().SMembers(context.Background(), codec.TapesKey).Result(); err != nil || !slices.Equal(names, []string{"x/0"}) {
		t.Errorf("tapes: %v %v", names, err)
	}
	return took
}

// kill -9 of a Redis that stores what it was told: readers miss nothing at all. That it
// stores nobody can know, so that a new reign begins, and seqs jump.
func TestRedisIsKilledAndHasItsData(t *testing.T) {
	t.Parallel()
	s := tapetest.Start(t, "--appendonly", "yes", "--appendfsync", "always")
	n := follow(t, s.URL, "x/0")
	f := beginFeed(t, s.URL)
	hush := talk(f)
	for outage := range 2 {
		time.Sleep(400 * time.Millisecond)
		s.Kill()
		time.Sleep(300 * time.Millisecond)
		s.Start()
		eventually(t, "the feed is back", func() bool { return f.log.count("answers again") == outage+1 })
	}
	time.Sleep(500 * time.Millisecond)
	hush()
	finished(t, f, n, s)
	if n.holes > 0 || !unbroken(n.ids) {
		t.Errorf("%d holes in %v", n.holes, n.ids)
	}
	if gone, back := f.log.count("does not take"), f.log.count("answers again"); gone != 2 || back != 2 {
		t.Errorf("two outages were logged %d and %d times", gone, back)
	}
	if n.gaps["x:S0"] != 2 || value(f.stream.seq.counts.reigns) != 3 {
		t.Errorf("two outages, %d reigns, gaps %v", value(f.stream.seq.counts.reigns), n.gaps)
	}
}

// kill -9 of a Redis that stores nothing: the feed goes on in a new reign of the same
// history, and a checkpoint comes at once, so that readers are whole again.
func TestRedisIsKilledAndForgets(t *testing.T) {
	t.Parallel()
	s := tapetest.Start(t)
	n := follow(t, s.URL, "x/0")
	f := beginFeed(t, s.URL)
	hush := talk(f)
	time.Sleep(1500 * time.Millisecond)
	s.Kill()
	s.Wipe()
	time.Sleep(300 * time.Millisecond)
	s.Start()
	back := time.Now()
	rdb := s.Client()
	eventually(t, "a checkpoint", func() bool { return rdb.Exists(context.Background(), codec.CheckpointKey("x/0")).Val() == 1 })
	if took := time.Since(back); took > retryMost+checkpointEvery+500*time.Millisecond {
		t.Errorf("the checkpoint took %v", took)
	}
	hush()
	finished(t, f, n, s)
	if history := f.stream.writer.tape.history; n.ids[0].Epoch != history || value(f.stream.seq.counts.reigns) != 2 {
		t.Errorf("history %d after %s, %d reigns", history, n.ids[0], value(f.stream.seq.counts.reigns))
	}
	if !slices.IsSortedFunc(n.ids, func(a, b codec.ID) int {
		if a.Less(b) {
			return -1
		}
		return 1
	}) {
		t.Errorf("ids went back: %v", n.ids)
	}
}

// A Redis that forgot has the whole state again within a second or so, also of a feed
// that has nothing new to say.
func TestAnIdleFeedAfterRedisForgot(t *testing.T) {
	t.Parallel()
	s := tapetest.Start(t)
	f := beginFeed(t, s.URL)
	f.say(10, 1)
	f.written("x:S9", 1)
	n := f.stream.seq.counts
	eventually(t, "the checkpoint of all", func() bool { return value(n.checkpoints) >= 2 })
	time.Sleep(100 * time.Millisecond)
	s.Kill()
	s.Wipe()
	time.Sleep(300 * time.Millisecond) // a heartbeat finds out
	s.Start()
	eventually(t, "the feed is back", func() bool { return f.log.count("answers again") == 1 })
	time.Sleep(checkpointEvery + 500*time.Millisecond)
	if e, r := checkpointOf(t, s.Client()); e.Count != 10 || r.quotes["x:S9"][codec.Bid] != 1 {
		t.Errorf("a checkpoint of %d symbols", e.Count)
	}
	if err := f.stop(); err != nil {
		t.Error(err)
	}
}

// A new feed takes up the state where the last one left it, whether that was stopped or
// killed. It has not watched what was written meanwhile, so that all seqs jump, with GAP.
func TestANewReignGoesOn(t *testing.T) {
	t.Parallel()
	s := tapetest.Start(t)
	n := follow(t, s.URL, "x/0")
	f := beginFeed(t, s.URL)
	f.say(10, 1)
	f.say(5, 2)
	var before []state // of the feed before, which has ended
	var history int64
	ended := func() {
		t.Helper()
		seq := f.stream.seq
		if before != nil && f.stream.writer.tape.history != history {
			t.Error("a new history")
		}
		for i := range before {
			// Its first words: stale, if it was live; then live again, both with GAP.
			old, now := &before[i].update, &seq.states[seq.ids[before[i].symbol]].update
			if d := now.Seq - f.stream.writer.tape.id.Epoch*1000; d < 1 || d > 2 || now.Seq <= old.Seq || now.Quote[codec.Bid] != 2 {
				t.Errorf("%s seq %d after %d, bid %d", before[i].symbol, now.Seq, old.Seq, now.Quote[codec.Bid])
			}
		}
		before, history = seq.states, f.stream.writer.tape.history
	}
	for _, end := range []string{"stop", "crash", "stop"} {
		f.written("x:S0", 2)
		if end == "stop" {
			if err := f.stop(); err != nil {
				t.Fatal(err)
			}
		} else {
			f.crash()
		}
		ended()
		f = beginFeed(t, s.URL)
		f.say(10, 2)
		eventually(t, "what was said is sequenced", func() bool { return value(f.stream.seq.counts.updates) >= 10 })
		f.written("x:S0", 2)
	}
	finished(t, f, n, s)
	ended()
	if n.holes > 0 || !unbroken(n.ids) || n.gaps["x:S0"] != 6 || n.gaps["x:S9"] != 6 {
		t.Errorf("%d holes, gaps %v, ids %v", n.holes, n.gaps, n.ids)
	}
}

// Two feeds that both have the lease of a stream: the later one has it, and the older one
// stands by.
func TestTheOlderFeedIsFenced(t *testing.T) {
	t.Parallel()
	s := tapetest.Start(t)
	n := follow(t, s.URL, "x/0")
	old := beginFeed(t, s.URL)
	hush := talk(old)
	time.Sleep(200 * time.Millisecond)
	f := makeFeed(t, s.URL, Config{})
	f.crew.name = old.crew.name // both have the lease
	f.begin()
	f.reigns()
	old.fenced()
	hush()
	old.crash()
	f.say(10, 1_000_000)
	f.written("x:S9", 1_000_000)
	finished(t, f, n, s)
	// An entry of the older one may come between look and fence. Then its Prev is not
	// true, which readers take for a hole.
	if n.holes > 1 || n.holes == 0 && !unbroken(n.ids) {
		t.Errorf("%d holes in %v", n.holes, n.ids)
	}
}

// While Redis hangs or is gone, what is kept is bounded by the symbols; on return the
// newest state is published, and the seqs say how many updates are merged in it.
func TestRedisIsAwayUnderLoad(t *testing.T) {
	t.Parallel()
	for name, away := range map[string]func(*tapetest.Server, bool){
		"hangs": (*tapetest.Server).Hang,
		"is gone": func(s *tapetest.Server, on bool) {
			if on {
				s.Kill()
			} else {
				s.Start()
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := tapetest.Start(t, "--appendonly", "yes", "--appendfsync", "always")
			n := follow(t, s.URL, "x/0")
			f := beginFeed(t, s.URL)
			f.say(1000, 1)
			f.written("x:S0", 1)
			away(s, true)
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			const rounds = 1000
			for bid := range int64(rounds) {
				f.say(1000, bid+2)
			}
			runtime.GC()
			runtime.ReadMemStats(&after)
			if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 32<<20 { // of other tests, too; each update kept would be 50 MB
				t.Errorf("a million updates of 1,000 symbols hold %d bytes", grown)
			}
			away(s, false)
			f.written("x:S0", rounds+1)
			finished(t, f, n, s)
			if n.holes > 0 || !unbroken(n.ids) {
				t.Errorf("%d holes in %v", n.holes, n.ids)
			}
			if name == "is gone" { // a new reign
				if n.gaps["x:S999"] != 1 || n.seqs["x:S999"] <= f.stream.writer.tape.id.Epoch*1000 {
					t.Errorf("seq %d, %d gaps", n.seqs["x:S999"], n.gaps["x:S999"])
				}
				return
			}
			history := f.stream.writer.tape.history * 1000
			if seq := n.seqs["x:S999"]; seq != history+rounds+1 {
				t.Errorf("seq %d above the history: every one of %d updates has a number", seq-history, rounds+1)
			}
			if merged := value(f.stream.seq.counts.merged); merged == 0 || int64(n.count)+merged != 1000*(rounds+1) {
				t.Errorf("%d read and %d merged of %d", n.count, merged, 1000*(rounds+1))
			}
		})
	}
}
