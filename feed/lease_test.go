package feed

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tickwire/tickwire/codec"
	"github.com/tickwire/tickwire/codec/tapes/tapetest"
)

// both sends ticks to two feeds of one venue.
func both(one, two *hand, symbols int, bid int64) {
	one.say(symbols, bid)
	two.say(symbols, bid)
}

// pair is a feed that writes and one that has stood by for long enough to have heard all.
func pair(t *testing.T, s *tapetest.Server) (writer, standby *hand) {
	t.Helper()
	writer = beginFeed(t, s.URL)
	standby = makeFeed(t, s.URL, Config{})
	standby.begin()
	both(writer, standby, 10, 1)
	writer.written("x:S9", 1)
	rdb := s.Client()
	eventually(t, "it stands by", func() bool {
		return strings.HasPrefix(rdb.Get(t.Context(), codec.StandbyKey("x/0")).Val(), standby.crew.name+" ")
	})
	time.Sleep(clocksApart + 100*time.Millisecond)
	both(writer, standby, 10, 2)
	writer.written("x:S9", 2)
	return writer, standby
}

// Whoever stands by takes over within two seconds, of a feed that was killed and of one
// that was stopped, with what the venue says meanwhile. Nobody is told of a gap, for
// there is none, and nothing is said twice.
func TestStandbyTakesOver(t *testing.T) {
	t.Parallel()
	for _, end := range []string{"stop", "crash"} {
		t.Run(end, func(t *testing.T) {
			t.Parallel()
			s := tapetest.Start(t)
			n := follow(t, s.URL, "x/0")
			writer, standby := pair(t, s)
			began := time.Now()
			if end == "stop" {
				if err := writer.stop(); err != nil {
					t.Fatal(err)
				}
			} else {
				writer.crash()
			}
			standby.say(5, 3) // nobody writes now
			standby.reigns()
			took := time.Since(began)
			standby.written("x:S0", 3)
			t.Logf("%s: took over after %v", end, took)
			if limit := map[string]time.Duration{"stop": time.Second, "crash": 2 * time.Second}[end]; took > limit && !raceEnabled {
				t.Errorf("took over after %v", took)
			}
			standby.say(10, 4)
			standby.written("x:S9", 4)
			finished(t, standby, n, s)
			if n.holes > 0 || !unbroken(n.ids) || len(n.gaps) > 0 || n.count != 35 {
				t.Errorf("%d holes, gaps %v, %d updates in %v", n.holes, n.gaps, n.count, n.ids)
			}
		})
	}
}

// A writer is fenced by a feed that also has the lease, stands by, and takes over again
// when that one is gone.
func TestAFencedFeedStandsBy(t *testing.T) {
	t.Parallel()
	s := tapetest.Start(t)
	n := follow(t, s.URL, "x/0")
	writer, standby := pair(t, s)
	s.Client().Set(t.Context(), codec.WriterKey("x/0"), standby.crew.name, leaseFor)
	standby.reigns()
	eventually(t, "the older feed stands by", func() bool { return value(writer.stream.writer.tape.counts.writer) == 0 })
	both(writer, standby, 10, 3)
	standby.written("x:S9", 3)
	standby.crash()
	writer.say(10, 4)
	writer.written("x:S9", 4)
	finished(t, writer, n, s)
	if len(n.gaps) > 0 {
		t.Errorf("gaps %v", n.gaps)
	}
}

// A Redis that has lost everything, leases too, is the writer's again: it has the state,
// and no new reign begins.
func TestRedisForgetsTheLease(t *testing.T) {
	t.Parallel()
	s := tapetest.Start(t)
	writer, standby := pair(t, s)
	for range 5 {
		s.Client().FlushAll(t.Context())
		time.Sleep(300 * time.Millisecond)
	}
	both(writer, standby, 10, 3)
	writer.written("x:S9", 3)
	if n := value(writer.stream.writer.tape.counts.reigns); n != 1 || value(standby.stream.writer.tape.counts.reigns) != 0 {
		t.Errorf("%d reigns, and %d of the one that stands by", n, value(standby.stream.writer.tape.counts.reigns))
	}
}

// A writer that has lost the venue hands the stream to a feed that has not.
func TestTheDeafFeedYields(t *testing.T) {
	t.Parallel()
	s := tapetest.Start(t)
	n := follow(t, s.URL, "x/0")
	writer, standby := pair(t, s)
	writer.in.say("", codec.Down).gap = true
	writer.in.flush(writer.ctx)
	standby.reigns()
	standby.say(10, 3)
	standby.written("x:S9", 3)
	finished(t, standby, n, s)
	if len(n.gaps) > 0 || n.holes > 0 || !unbroken(n.ids) {
		t.Errorf("gaps %v, %d holes", n.gaps, n.holes)
	}
}

// Feeds share the streams between them, however many there are and whoever came first,
// and take them all when they are alone. Every symbol is on one stream.
func TestFeedsShareTheStreams(t *testing.T) {
	t.Parallel()
	s := tapetest.Start(t)
	cfg := simConfig(s.URL)
	cfg.Shards, cfg.SimSymbols = 4, 40
	writes := func(reg *prometheus.Registry) (n int) {
		all, _ := reg.Gather()
		for _, family := range all {
			if family.GetName() == "tickwire_feed_writer" {
				for _, m := range family.GetMetric() {
					n += int(m.GetGauge().GetValue())
				}
			}
		}
		return n
	}
	first, second := prometheus.NewRegistry(), prometheus.NewRegistry()
	stop, done := begin(cfg, first)
	eventually(t, "the first writes all", func() bool { return writes(first) == 4 })
	stopSecond, doneSecond := begin(cfg, second)
	eventually(t, "they share", func() bool { return writes(first) == 2 && writes(second) == 2 })
	time.Sleep(1500 * time.Millisecond)
	if one, two := writes(first), writes(second); one != 2 || two != 2 {
		t.Errorf("then they write %d and %d", one, two)
	}
	stop()
	if err := ended(t, done); err != nil {
		t.Error(err)
	}
	eventually(t, "the second writes all", func() bool { return writes(second) == 4 })
	stopSecond()
	if err := ended(t, doneSecond); err != nil {
		t.Error(err)
	}
	var symbols []string
	for k := range 4 {
		n := follow(t, s.URL, fmt.Sprintf("sim/%d", k))
		top := s.Client().XRevRangeN(t.Context(), codec.TapeKey(n.stream), "+", "-", 1).Val()
		id, _ := codec.ParseID(top[0].ID)
		n.halt(t, id)
		for symbol := range n.quotes {
			if !(shard{k, 4}).has(symbol) {
				t.Errorf("%s is on %s", symbol, n.stream)
			}
			symbols = append(symbols, symbol)
		}
	}
	slices.Sort(symbols)
	if len(symbols) != 40 || len(slices.Compact(symbols)) != 40 {
		t.Errorf("%d symbols", len(symbols))
	}
}

// A symbol that has moved to another shard is left to it.
func TestAnotherShardsSymbolIsLeft(t *testing.T) {
	q := newSequencer(newCounts(nil, "x/0"))
	q.shard = shard{0, 2}
	u := codec.Update{Seq: 1, Flags: codec.Image, Mask: 1 << codec.Status, Quote: codec.Empty}
	u.Quote[codec.Status] = codec.Live
	var items []codec.TapeItem
	for i := range 20 {
		items = append(items, codec.TapeItem{Symbol: fmt.Appendf(nil, "x:S%d", i), Update: u})
	}
	q.restore(items)
	if n := len(q.states); n == 0 || n == 20 {
		t.Errorf("%d of 20 symbols", n)
	}
	for i := range q.states {
		if !q.shard.has(q.states[i].symbol) {
			t.Error(q.states[i].symbol)
		}
	}
}

// A feed that may not have leases says so, and ends.
func TestALeaseIsNotPermitted(t *testing.T) {
	t.Parallel()
	s := tapetest.Start(t)
	if err := s.Client().Do(t.Context(), "ACL", "SETUSER", "default", "resetkeys", "~tape*", "~board:*").Err(); err != nil {
		t.Fatal(err)
	}
	f := makeFeed(t, s.URL, Config{})
	f.begin()
	if err := ended(t, f.over()); err == nil || !strings.Contains(err.Error(), "feed: x/0: lease: writer:{x/0}: NOPERM") {
		t.Error(err)
	}
}

// A feed that spreads the symbols over another number of streams does not begin beside one
// that writes, nor does it take over.
func TestFeedsAgreeOnShards(t *testing.T) {
	t.Parallel()
	s := tapetest.Start(t)
	one := func(ctx context.Context, shards int) error {
		return Run(ctx, Config{Venue: []string{"sim"}, SimSymbols: 24, SimRate: 100, SimBurst: 1, Shards: shards, Redis: s.URL}, nil, quiet)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- one(ctx, 1) }()
	rdb := s.Client()
	eventually(t, "one writes", func() bool { return rdb.Exists(t.Context(), codec.CheckpointKey("sim/0")).Val() == 1 })
	if err := one(t.Context(), 3); !errors.Is(err, errShards) || !strings.Contains(err.Error(), "--shards 1, this feed 3") {
		t.Error(err)
	}
	rdb.Set(t.Context(), codec.WriterKey("sim/0"), "other 0 2", time.Minute)
	if err := <-ended; !errors.Is(err, errShards) {
		t.Error("the first ended:", err)
	}
	stop()
	if names := rdb.SMembers(t.Context(), codec.TapesKey).Val(); len(names) != 1 {
		t.Errorf("streams %v", names)
	}
}

// What somebody has written by hand, or a feed with a mad clock, keeps nobody from writing.
func TestALeaseThatIsNoFeeds(t *testing.T) {
	t.Parallel()
	s := tapetest.Start(t)
	rdb := s.Client()
	for _, lease := range []string{"ghost 0", "  ", "ghost", "ghost x y", strings.Repeat("g", 1<<20)} {
		rdb.Set(t.Context(), codec.WriterKey("x/0"), lease, 0)
		f := beginFeed(t, s.URL)
		f.say(10, 1)
		f.written("x:S9", 1)
		rdb.Set(t.Context(), codec.StandbyKey("x/0"), "x 9007199254739 0", time.Second)
		time.Sleep(2 * leaseRenew)
		if n := value(f.stream.writer.tape.counts.reigns); n != 1 {
			t.Errorf("%.20q: %d reigns", lease, n)
		}
		f.crash()
		rdb.FlushAll(t.Context())
	}
}

// A password that was refused for a while is none of the writer's business once it is right.
func TestAPasswordIsRefused(t *testing.T) {
	t.Parallel()
	s := tapetest.Start(t)
	rdb := s.Client()
	user := func(password string) {
		t.Helper()
		for _, args := range [][]any{{"ACL", "SETUSER", "f", "on", "resetpass", ">" + password, "~*", "&*", "+@all"}, {"CLIENT", "KILL", "USER", "f"}} {
			if err := rdb.Do(t.Context(), args...).Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
	user("right")
	f := beginFeed(t, strings.Replace(s.URL, "://", "://f:right@", 1))
	f.say(10, 1)
	f.written("x:S9", 1)
	user("wrong")
	f.say(10, 2)
	eventually(t, "it says why", func() bool { return f.log.count("WRONGPASS") > 0 })
	user("right")
	f.written("x:S9", 2)
	f.say(10, 3)
	f.written("x:S9", 3)
	if value(f.stream.writer.tape.counts.away) != 0 {
		t.Error("redis is away")
	}
}
