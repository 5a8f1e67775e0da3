package feed

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/tickwire/tickwire/codec"
)

// sim is a source: a lively market that nobody trades in. The sequence of ticks, but
// for their times, depends on the seed and the number of symbols alone: it is made of
// integers, for some machines round floats differently.
//
// Every symbol is a random walk around its opening price, with its own tick size,
// spread and liveliness; calm and storm follow each other; trades happen at the
// touch and move the day's figures. A storm is about one symbol: whatever the rate,
// it has two updates in three while it lasts.
//
// Every update has a time at which it is due, by the sim's pace, and that is its
// event_time; recv_time is when it was made. Who measures from event_time therefore also counts what an
// overloaded sim is late, instead of taking a slower market for a faster ticker.
type sim struct {
	pace  simPace
	start time.Time // when it began; zero: when it is run
	calm  bool      // there are no storms
	in    *source

	rng     *rand.Rand
	symbols []simSymbol
	part    []int // the symbols it makes ticks of, those of its shard
	storm   int   // steps that the storm under way lasts
	at      int   // the symbol it is about
}

// simPace is how many updates a second there are, of all symbols, and in which part of it:
// its first 1/burst.
type simPace struct{ rate, burst float64 }

// due is how many updates are due a time after the start.
func (p simPace) due(since time.Duration) int {
	whole, part := math.Modf(since.Seconds())
	return int((whole + min(1, part*p.burst)) * p.rate)
}

// at is when the ith update is due, from 1, after the start.
func (p simPace) at(i int) time.Duration {
	seconds := float64(i) / p.rate
	whole := math.Ceil(seconds) - 1 // the last of a second belongs to its burst
	return time.Duration((whole + (seconds-whole)/p.burst) * float64(time.Second))
}

// simSymbol is one made-up symbol; prices in its scale, sizes in 10^-4.
type simSymbol struct {
	name             string
	scale            int64
	anchor           int64 // the opening price, which the walk is drawn back to
	mid              int64 // the walk, in simFine of the scale
	lot              int64 // a usual size: small where the price is high
	bid, ask         int64
	bidSize, askSize int64
	last, lastSize   int64

	// The day so far. Invariant: volume and value hold all trades since it began.
	open, high, low int64
	volume, trades  int64
	value           int64 // sum of last x lastSize
}

const (
	simFine      = 1024 // of a price's last decimal: steps smaller than it add up
	simSizeScale = 4
	simTick      = 2 * time.Millisecond // how often due updates are made
	simBurstMax  = 5000                 // updates made at once: those due after them are left out
	simAgeMost   = 1e8                  // updates that are made before it is taken up: some 10 s
	simDayMost   = 5e17                 // value, when a new day begins: turnover has two decimals less, or more
)

// newSim is a shard's part of the market. Its rate is that of its symbols.
func newSim(cfg *Config, part shard) *sim {
	s := &sim{start: cfg.SimStart, calm: cfg.SimCalm, rng: rand.New(rand.NewPCG(cfg.SimSeed, 0x7469636b))}
	for i := range cfg.SimSymbols {
		s.symbols = append(s.symbols, s.born(i))
		if part.has(s.symbols[i].name) {
			s.part = append(s.part, i)
		}
	}
	for _, i := range s.part {
		s.symbols[i].trade(s.rng)
	}
	s.pace = simPace{cfg.SimRate * float64(len(s.part)) / float64(cfg.SimSymbols), cfg.SimBurst}
	return s
}

// simNames begin the list; symbols beyond them are numbered.
var simNames = []string{"ACORN", "BIRCH", "CEDAR", "DAISY", "ELDER", "FERN", "GORSE", "HAZEL", "IVY", "JUNIPER", "KELP", "LILAC", "MAPLE", "NETTLE", "OAK", "PINE", "QUINCE", "ROWAN", "SORREL", "THYME", "ULEX", "VETCH", "WILLOW", "YARROW"}

func (s *sim) born(i int) simSymbol {
	name := fmt.Sprintf("S%05d", i)
	if i < len(simNames) {
		name = simNames[i]
	}
	// Prices from cents to tens of thousands, as on a real board.
	price := (1000 + s.rng.Int64N(9000)) * [...]int64{10, 100, 1000}[s.rng.IntN(3)]
	y := simSymbol{
		name: "sim:" + name + "-USD", scale: 2 + s.rng.Int64N(3), anchor: price, mid: price * simFine,
		lot: int64(3e8 / math.Sqrt(float64(price))),
	}
	y.quote(s.rng)
	y.newDay(price)
	return y
}

// quote places bid and ask around the walk.
func (y *simSymbol) quote(rng *rand.Rand) {
	mid := y.mid / simFine
	half := max(1, mid/20_000*(2+rng.Int64N(5))/2)
	y.bid = max(1, mid-half)
	y.ask = max(y.bid+1, mid+half)
	y.bidSize, y.askSize = y.size(rng), y.size(rng)
}

// size is most often below a lot, seldom many.
func (y *simSymbol) size(rng *rand.Rand) int64 {
	return 1 + rng.Int64N(2*y.lot)>>rng.IntN(5)<<rng.IntN(3)
}

// normal is about normally distributed, with a deviation of simDeviation.
func normal(rng *rand.Rand) int64 {
	return int64(rng.Uint32N(1<<16)) + int64(rng.Uint32N(1<<16)) - int64(rng.Uint32N(1<<16)) - int64(rng.Uint32N(1<<16))
}

const simDeviation = 37_837 // the root of 4 x 2^32 / 12

// walk moves the price by some 12 in 100,000, and back towards its anchor.
func (y *simSymbol) walk(rng *rand.Rand, wild int64) {
	y.mid += y.anchor * simFine * 12 / 100_000 * wild * normal(rng) / simDeviation
	y.mid += (y.anchor*simFine - y.mid) / 2048
	y.mid = max(y.mid, 2*simFine)
}

// step makes the next tick of the market.
func (s *sim) step(t *tick) {
	if !s.calm && s.storm == 0 && s.rng.IntN(4000) == 0 {
		s.storm, s.at = 200+s.rng.IntN(800), s.rng.IntN(len(s.part))
	}
	i, wild := s.rng.IntN(len(s.part)), int64(1)
	if s.storm > 0 {
		s.storm--
		wild = 6
		if s.rng.IntN(3) > 0 {
			i = s.at
		}
	}
	y := &s.symbols[s.part[i]]
	t.symbol = y.name
	switch r := s.rng.IntN(10); {
	case r < 5:
		y.walk(s.rng, wild)
		y.quote(s.rng)
		y.tellBook(t)
	case r < 7:
		y.bidSize, y.askSize = y.size(s.rng), y.size(s.rng)
		y.tellBook(t)
	default:
		y.trade(s.rng)
		y.tellTrade(t)
	}
}

func (y *simSymbol) trade(rng *rand.Rand) {
	y.last = y.bid
	if rng.IntN(2) == 0 {
		y.last = y.ask
	}
	y.lastSize = 1 + y.size(rng)/8
	if y.value > simDayMost {
		y.newDay(y.last)
	}
	y.high, y.low = max(y.high, y.last), min(y.low, y.last)
	y.volume += y.lastSize
	y.trades++
	y.value += y.last * y.lastSize
}

// newDay begins the day's figures.
func (y *simSymbol) newDay(open int64) {
	y.open, y.high, y.low, y.last = open, open, open, open
	y.volume, y.trades, y.value = 0, 0, 0
}

// turnover is the value traded, in the decimals of volume.
func (y *simSymbol) turnover() int64 {
	return y.value / [...]int64{2: 100, 3: 1000, 4: 10_000}[y.scale]
}

func (y *simSymbol) tellBook(t *tick) {
	t.channel = chBook
	t.set(codec.Bid, y.bid)
	t.set(codec.Ask, y.ask)
	t.set(codec.BidSize, y.bidSize)
	t.set(codec.AskSize, y.askSize)
	t.quote[codec.PriceScale], t.quote[codec.SizeScale] = y.scale, simSizeScale
}

func (y *simSymbol) tellTrade(t *tick) {
	t.channel = chTrade
	t.set(codec.Last, y.last)
	t.set(codec.LastSize, y.lastSize)
	t.set(codec.Open, y.open)
	t.set(codec.High, y.high)
	t.set(codec.Low, y.low)
	t.set(codec.VWAP, y.value/y.volume)
	t.set(codec.Volume, y.volume)
	t.set(codec.Turnover, y.turnover())
	t.set(codec.Trades, y.trades)
	t.quote[codec.PriceScale], t.quote[codec.SizeScale], t.quote[codec.VolumeScale] = y.scale, simSizeScale, simSizeScale
}

// first says a symbol whole.
func (s *sim) first(i int, t *tick) {
	y := &s.symbols[i]
	t.symbol = y.name
	y.tellTrade(t)
	y.tellBook(t)
}

// run makes ticks at their pace until ctx ends: then its symbols say closed. A market that
// has begun before is taken up where it is by now.
func (s *sim) run(ctx context.Context) error {
	start, made := s.start, 0
	if start.IsZero() {
		start = time.Now().Round(0) // without the monotonic clock, which stands still while a machine sleeps
	}
	for unsaid := new(tick); made < s.pace.due(time.Since(start)) && ctx.Err() == nil; made++ {
		s.step(unsaid)
	}
	for _, i := range s.part {
		s.first(i, s.next(ctx, time.Now()))
	}
	s.in.flush(ctx)
	clock := time.NewTicker(simTick)
	defer clock.Stop()
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			defer cancel()
			s.in.say("", codec.Closed)
			s.in.flush(last)
			return nil
		case <-clock.C:
		}
		due := s.pace.due(time.Since(start))
		for last := min(due, made+simBurstMax); made < last; made++ {
			s.step(s.next(ctx, start.Add(s.pace.at(made+1))))
		}
		made = due
		s.in.flush(ctx)
	}
}

// next is room for a tick that was due at that time.
func (s *sim) next(ctx context.Context, due time.Time) *tick {
	if s.in.full() {
		s.in.flush(ctx)
	}
	t := s.in.add()
	t.set(codec.EventTime, due.UnixMicro())
	t.set(codec.RecvTime, time.Now().UnixMicro())
	return t
}
