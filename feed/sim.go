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
// for their times, depends on the seed and the number of symbols alone.
//
// Every symbol is a random walk around its opening price, with its own tick size,
// spread and liveliness; calm and storm follow each other; trades happen at the
// touch and move the day's figures.
type sim struct {
	rate float64 // updates a second, of all symbols
	in   *source

	rng     *rand.Rand
	symbols []simSymbol
	storm   int // steps that the storm under way lasts
	at      int // the symbol it is about
}

// simSymbol is one made-up symbol; prices in its scale, sizes in 10^-4.
type simSymbol struct {
	name           string
	scale          int64
	mid            float64 // the walk, in ticks
	anchor         float64 // what it is drawn back to
	bid, ask       int64
	bidSize        int64
	askSize        int64
	open, hi, lo   int64
	last, lastSize int64
	volume         int64 // 10^-4
	value          float64
	trades         int64
}

const (
	simSizeScale = 4
	simTick      = 2 * time.Millisecond // how often due updates are made
	simBurstMax  = 5000                 // updates made at once, however late
)

func newSim(symbols int, rate float64, seed uint64, in *source) *sim {
	s := &sim{rate: rate, in: in, rng: rand.New(rand.NewPCG(seed, 0x7469636b))}
	for i := range symbols {
		s.symbols = append(s.symbols, s.born(i))
	}
	return s
}

// simNames begin the list; symbols beyond them are numbered.
var simNames = []string{"ACORN", "BIRCH", "CEDAR", "DAISY", "ELDER", "FERN", "GORSE", "HAZEL", "IVY", "JUNIPER", "KELP", "LILAC", "MAPLE", "NETTLE", "OAK", "PINE", "QUINCE", "ROWAN", "SORREL", "THYME", "ULEX", "VETCH", "WILLOW", "YARROW"}

func (s *sim) born(i int) simSymbol {
	name := fmt.Sprintf("S%05d", i)
	if i < len(simNames) {
		name = simNames[i]
	}
	scale := int64(2 + s.rng.IntN(3))
	// Prices from cents to tens of thousands, as on a real board.
	price := math.Pow(10, 4.5+2.5*s.rng.Float64())
	y := simSymbol{name: "sim:" + name + "-USD", scale: scale, mid: price, anchor: price}
	y.quote(s.rng)
	y.open, y.hi, y.lo, y.last, y.lastSize = int64(price), int64(price), int64(price), int64(price), 10_000
	return y
}

// quote places bid and ask around the walk.
func (y *simSymbol) quote(rng *rand.Rand) {
	half := max(1, y.mid*0.00005*(1+rng.ExpFloat64()))
	y.bid = max(1, int64(y.mid-half))
	y.ask = max(y.bid+1, int64(y.mid+half))
	y.bidSize, y.askSize = y.size(rng), y.size(rng)
}

func (y *simSymbol) size(rng *rand.Rand) int64 {
	return 1 + int64(rng.ExpFloat64()*3e8/math.Sqrt(y.anchor))
}

// step makes the next tick of the market.
func (s *sim) step(b *block, nowUS int64) {
	if s.storm == 0 && s.rng.IntN(4000) == 0 {
		s.storm, s.at = 200+s.rng.IntN(800), s.rng.IntN(len(s.symbols))
	}
	i, wild := s.rng.IntN(len(s.symbols)), 1.0
	if s.storm > 0 {
		s.storm--
		wild = 6
		if s.rng.IntN(3) > 0 {
			i = s.at
		}
	}
	y := &s.symbols[i]
	b.ticks = append(b.ticks, tick{symbol: y.name, channel: chBook, quote: codec.Empty})
	t := &b.ticks[len(b.ticks)-1]
	switch r := s.rng.IntN(10); {
	case r < 5:
		y.mid += s.rng.NormFloat64()*y.anchor*0.00012*wild + (y.anchor-y.mid)*0.0005
		y.mid = max(y.mid, 2)
		y.quote(s.rng)
		y.tellBook(t)
	case r < 7:
		y.bidSize, y.askSize = y.size(s.rng), y.size(s.rng)
		y.tellBook(t)
	default:
		y.trade(s.rng)
		y.tellTrade(t)
	}
	t.set(codec.EventTime, nowUS)
	t.set(codec.RecvTime, nowUS)
}

func (y *simSymbol) trade(rng *rand.Rand) {
	y.last = y.bid
	if rng.IntN(2) == 0 {
		y.last = y.ask
	}
	y.lastSize = 1 + y.size(rng)/8
	y.hi, y.lo = max(y.hi, y.last), min(y.lo, y.last)
	y.volume += y.lastSize
	y.value += float64(y.last) * float64(y.lastSize) / 1e4
	y.trades++
}

func (y *simSymbol) tellBook(t *tick) {
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
	t.set(codec.High, y.hi)
	t.set(codec.Low, y.lo)
	t.set(codec.VWAP, int64(y.value/float64(y.volume)*1e4))
	t.set(codec.Volume, y.volume%codec.MaxInt)
	t.set(codec.Trades, y.trades)
	t.quote[codec.PriceScale], t.quote[codec.SizeScale], t.quote[codec.VolumeScale] = y.scale, simSizeScale, simSizeScale
}

// first has every symbol said once, whole.
func (s *sim) first(b *block, nowUS int64) {
	for i := range s.symbols {
		y := &s.symbols[i]
		y.trade(s.rng)
		b.ticks = append(b.ticks, tick{symbol: y.name, quote: codec.Empty})
		t := &b.ticks[len(b.ticks)-1]
		y.tellTrade(t)
		y.tellBook(t)
		t.channel = chBook
		t.set(codec.EventTime, nowUS)
		t.set(codec.RecvTime, nowUS)
	}
}

// run makes ticks at the rate until ctx ends.
func (s *sim) run(ctx context.Context) error {
	b := newBlock()
	s.first(b, time.Now().UnixMicro())
	s.in.send(ctx, b)
	clock := time.NewTicker(simTick)
	defer clock.Stop()
	start, made := time.Now(), 0
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-clock.C:
		}
		due := int(time.Since(start).Seconds()*s.rate) - made
		made += due
		now := time.Now().UnixMicro()
		b := newBlock()
		for range min(due, simBurstMax) {
			s.step(b, now)
		}
		s.in.send(ctx, b)
	}
}
