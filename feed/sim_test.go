package feed

import (
	"context"
	"fmt"
	"hash/fnv"
	"testing"
	"time"

	"github.com/tickwire/tickwire/codec"
)

// simOf is a market of so many symbols.
func simOf(symbols int, rate float64, seed uint64) *Config {
	return &Config{SimSymbols: symbols, SimRate: rate, SimBurst: 1, SimSeed: seed}
}

// course is the first ticks of a sim, without their times, as text.
func course(symbols, steps int, seed uint64, rate float64) (ticks []tick, sum string) {
	s := newSim(simOf(symbols, rate, seed), shard{})
	for i := range symbols + steps {
		t := tick{quote: codec.Empty}
		if i < symbols {
			s.first(i, &t)
		} else {
			s.step(&t)
		}
		ticks = append(ticks, t)
	}
	h := fnv.New64a()
	for i := range ticks {
		fmt.Fprintf(h, "%v\n", ticks[i])
	}
	return ticks, fmt.Sprintf("%016x", h.Sum64())
}

// Ensure that the same seed is the same market, on any machine and at any rate, and
// another seed another.
func TestSimDeterministic(t *testing.T) {
	const want = "d160445231c8cbca"
	_, one := course(24, 100_000, 1, 200)
	_, again := course(24, 100_000, 1, 1e6)
	_, other := course(24, 100_000, 2, 200)
	if one != again || one == other {
		t.Errorf("seed 1 is %s and %s, seed 2 is %s", one, again, other)
	}
	if one != want {
		t.Errorf("seed 1 is %s, was %s: whoever counts on a seed sees another market", one, want)
	}
}

// Ensure that the market is one: a spread, trades at the touch, figures that hold.
func TestSimMarket(t *testing.T) {
	ticks, _ := course(24, 200_000, 7, 0)
	quotes, moved := make(map[string]*codec.Quote), make(map[string]bool)
	for i := range ticks {
		k := &ticks[i]
		q := quotes[k.symbol]
		if q == nil {
			q = new(codec.Quote)
			*q = codec.Empty
			quotes[k.symbol] = q
		}
		old := *q
		if _, err := q.Apply(&k.quote, k.mask); err != nil {
			t.Fatalf("%s: %v", k.symbol, err)
		}
		switch {
		case q[codec.Bid] <= 0 || q[codec.Ask] <= q[codec.Bid]:
			t.Fatalf("tick %d: %s: bid %d, ask %d", i, k.symbol, q[codec.Bid], q[codec.Ask])
		case q[codec.BidSize] <= 0 || q[codec.AskSize] <= 0 || q[codec.LastSize] <= 0:
			t.Fatalf("tick %d: %s: a size of nothing", i, k.symbol)
		case k.channel == chTrade && q[codec.Last] != q[codec.Bid] && q[codec.Last] != q[codec.Ask]:
			t.Fatalf("tick %d: %s: traded at %d between %d and %d", i, k.symbol, q[codec.Last], q[codec.Bid], q[codec.Ask])
		case q[codec.Low] > q[codec.Last] || q[codec.High] < q[codec.Last]:
			t.Fatalf("tick %d: %s: last %d outside of %d to %d", i, k.symbol, q[codec.Last], q[codec.Low], q[codec.High])
		case q[codec.VWAP] < q[codec.Low]-1 || q[codec.VWAP] > q[codec.High]:
			t.Fatalf("tick %d: %s: vwap %d outside of %d to %d", i, k.symbol, q[codec.VWAP], q[codec.Low], q[codec.High])
		case old[codec.Trades] > q[codec.Trades]:
			t.Fatalf("tick %d: %s: trades from %d to %d", i, k.symbol, old[codec.Trades], q[codec.Trades])
		}
		moved[k.symbol] = moved[k.symbol] || q[codec.Bid] != old[codec.Bid] && old[codec.Bid] != codec.Absent
	}
	if len(quotes) != 24 || len(moved) != 24 {
		t.Errorf("%d symbols", len(quotes))
	}
}

// Ensure that the day's figures begin anew before they need more than 53 bits.
func TestSimDays(t *testing.T) {
	s := newSim(simOf(1, 0, 1), shard{})
	y := &s.symbols[0]
	y.lot = 1e10
	days := 0
	for range 200_000 {
		trades := y.trades
		y.trade(s.rng)
		if y.trades < trades {
			days++
		}
		v, vwap := y.turnover(), y.value/y.volume
		if v < 0 || v > codec.MaxInt || y.volume > codec.MaxInt || vwap > y.high || vwap < y.low-1 {
			t.Fatalf("volume %d, turnover %d, vwap %d of %d to %d", y.volume, v, vwap, y.low, y.high)
		}
	}
	if days == 0 {
		t.Error("no day ended")
	}
}

// Ensure that all symbols are said at once, then updates at the rate, and at the end
// that the market is closed.
func TestSimRuns(t *testing.T) {
	const symbols, rate = 1000, 20_000.0
	ctx, stop := context.WithCancel(context.Background())
	in, ended := make(chan *block), make(chan error, 1)
	s := newSim(simOf(symbols, rate, 1), shard{})
	s.in = newSource(nil, in, newCounts(nil, "x/0"))
	go func() { ended <- s.run(ctx) }()
	said, began := 0, time.Time{}
	for said < symbols+5000 {
		b := <-in
		if len(b.ticks) > blockTicks {
			t.Fatalf("a block of %d", len(b.ticks))
		}
		for i := range b.ticks {
			if said < symbols && b.ticks[i].symbol != s.symbols[said].name {
				t.Fatalf("%s is not the first tick of %s", b.ticks[i].symbol, s.symbols[said].name)
			}
			if said++; said == symbols {
				began = time.Now()
			}
		}
	}
	if d := time.Since(began); d < 200*time.Millisecond || d > 2*time.Second {
		t.Errorf("5,000 updates at %v a second took %v", rate, d)
	}
	stop()
	for {
		select {
		case b := <-in:
			if k := b.ticks[len(b.ticks)-1]; k.symbol == "" && k.quote[codec.Status] == codec.Closed {
				if err := await(t, ended, "end of the sim"); err != nil {
					t.Error(err)
				}
				return
			}
		case <-time.After(patience):
			t.Fatal("not closed")
		}
	}
}

// Ensure that event_time is when a tick was due, however late it is made, and that
// those left out after a long pause leave a hole in the times.
func TestSimDueTimes(t *testing.T) {
	const rate = 50_000.0
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	in := make(chan *block)
	s := newSim(simOf(1, rate, 1), shard{})
	s.in = newSource(nil, in, newCounts(nil, "x/0"))
	go s.run(ctx)
	<-in // the symbol itself
	next := func() (ticks []tick) {
		for len(ticks) < 2000 {
			ticks = append(ticks, (<-in).ticks...)
		}
		return ticks
	}
	due := func(k *tick) int64 { return k.quote[codec.EventTime] }
	ticks := next()
	time.Sleep(300 * time.Millisecond) // 15,000 are due meanwhile, of which simBurstMax are made
	for range 5 {
		ticks = append(ticks, next()...)
	}
	latest, hole := int64(0), int64(0)
	for i := range ticks {
		latest = max(latest, ticks[i].quote[codec.RecvTime]-due(&ticks[i]))
		if i == 0 {
			continue
		}
		step := due(&ticks[i]) - due(&ticks[i-1])
		if hole = max(hole, step); step < 19 || step > 21 && step < 50_000 {
			t.Fatalf("tick %d was due %d us after the one before", i, step)
		}
		if late := ticks[i].quote[codec.RecvTime] - due(&ticks[i]); late < 0 {
			t.Fatalf("tick %d was made %d us before it was due", i, -late)
		}
	}
	if latest < 200_000 || hole < 100_000 {
		t.Errorf("the latest is %d us late, the hole is of %d us", latest, hole)
	}
}

func BenchmarkSimStep(b *testing.B) {
	s := newSim(simOf(100_000, 0, 1), shard{})
	t := tick{quote: codec.Empty}
	b.ReportAllocs()
	for b.Loop() {
		s.step(&t)
	}
}

// Ensure that a market with bursts makes as many updates as one without, all of a
// second's in its first part.
func TestSimPace(t *testing.T) {
	for _, burst := range []float64{1, 2, 10, 1000} {
		p := simPace{rate: 700, burst: burst}
		for i := 1; i < 3000; i++ {
			at := p.at(i)
			if n := p.due(at + time.Microsecond); n < i || n > i+int(burst/1000)+1 {
				t.Fatalf("burst %v: %d updates are due when the %dth is, at %v", burst, n, i, at)
			}
			if n := p.due(at - 2*time.Microsecond); n >= i {
				t.Fatalf("burst %v: the %dth is made before it is due, at %v", burst, i, at)
			}
			if in := at % time.Second; in > time.Duration(float64(time.Second)/burst) {
				t.Fatalf("burst %v: the %dth is due at %v", burst, i, at)
			}
		}
		if n := p.due(3 * time.Second); n != 2100 {
			t.Errorf("burst %v: %d updates in 3 s", burst, n)
		}
	}
}

// Ensure that feeds of one market say the same, whenever they began.
func TestSimStart(t *testing.T) {
	cfg := simOf(3, 1000, 1)
	cfg.SimStart = time.Now().Add(-10 * time.Second)
	hear := func(ticks int) map[int64]string { // by when they were due
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		s, in, said := newSim(cfg, shard{}), make(chan *block, 1000), make(map[int64]string)
		s.in = newSource(nil, in, newCounts(nil, "x/0"))
		go s.run(ctx)
		<-in // the symbols themselves
		for len(said) < ticks {
			for _, k := range (<-in).ticks {
				due := k.quote[codec.EventTime]
				k.quote[codec.RecvTime] = 0
				said[due] = fmt.Sprint(k.symbol, k.quote)
			}
		}
		return said
	}
	other := make(chan map[int64]string)
	go func() { other <- hear(900) }()
	time.Sleep(200 * time.Millisecond)
	one, two, both := hear(300), <-other, 0
	for due, tick := range one {
		if same, ok := two[due]; ok {
			if both++; same != tick {
				t.Fatalf("at %d: %s and %s", due, tick, same)
			}
		}
	}
	if both < 200 {
		t.Errorf("only %d ticks are of both", both)
	}
}

// Ensure that storms come, about one symbol at a time, and that a calm market has none.
func TestSimStorms(t *testing.T) {
	for _, calm := range []bool{false, true} {
		const symbols, window = 100, 300
		cfg := simOf(symbols, 0, 1)
		cfg.SimCalm = calm
		s := newSim(cfg, shard{})
		most := 0
		for range 200 {
			seen := make(map[string]int)
			for range window {
				k := tick{quote: codec.Empty}
				s.step(&k)
				seen[k.symbol]++
				most = max(most, seen[k.symbol])
			}
		}
		if stormy := most > window/2; stormy == calm {
			t.Errorf("calm %v: of %d ticks a symbol had %d", calm, window, most)
		}
	}
}
