package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tickwire/tickwire/codec"
	"github.com/tickwire/tickwire/codec/tapes"
)

// How a TapeWriter writes, and where.
const (
	asPublish = "publish"
	asXAdd    = "xadd"
	eachKey   = "bench:each" // the stream, or the channel
)

// TapeWriter gives Redis every update by itself, as one would who has no tape: at the pace of
// the simulated market, all that are due at once in one pipeline.
type TapeWriter struct {
	Redis   string  `required:"" help:"URL."`
	As      string  `enum:"publish,xadd" default:"publish" help:"Command of an update."`
	Symbols int     `default:"500" help:"Of the market."`
	Rate    float64 `default:"1000" help:"Updates a second."`
}

const (
	simTick     = time.Second / simBursts
	simBurstMax = 5000 // updates made at once: those due after them are left out
	retention   = 30   // seconds that entries stay
)

// Run writes until ctx ends.
func (w *TapeWriter) Run(ctx context.Context) error {
	rdb, err := tapes.Open(w.Redis, tapes.Role{Name: "tickwire-bench", Conns: 1})
	if err != nil {
		return fmt.Errorf("bench: --redis: %w", err)
	}
	defer rdb.Close()
	after := context.WithoutCancel(ctx)
	market := newTapeMarket("sim", w.Symbols)
	clock := time.NewTicker(simTick)
	defer clock.Stop()
	start, made := time.Now().Round(0), 0
	var buf []byte // the updates of a pipeline; one that it outgrew still has those before
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-clock.C:
		}
		due := int(time.Since(start).Seconds() * w.Rate)
		pipe := rdb.Now().Pipeline()
		buf = buf[:0]
		for last := min(due, made+simBurstMax); made < last; made++ {
			at := start.Add(time.Duration(float64(made+1) / w.Rate * float64(time.Second)))
			begin := len(buf)
			buf = market.append(buf, at.UnixMicro())
			w.put(after, pipe, buf[begin:])
		}
		made = due
		if _, err := pipe.Exec(after); err != nil {
			return fmt.Errorf("bench: %s: %w", w.As, err)
		}
	}
}

func (w *TapeWriter) put(ctx context.Context, pipe redis.Pipeliner, update []byte) {
	if w.As == asPublish {
		pipe.Publish(ctx, eachKey, update)
		return
	}
	pipe.XAdd(ctx, &redis.XAddArgs{Stream: eachKey, MaxLen: max(1, int64(retention*w.Rate)), Approx: true, Values: []any{codec.EntryField, update}})
}

// tapeMarket makes updates of four fields and their times, as those of a book are.
type tapeMarket struct {
	names   []string
	updates []codec.Update
	rng     *rand.Rand
}

func newTapeMarket(venue string, symbols int) *tapeMarket {
	m := &tapeMarket{rng: rand.New(rand.NewPCG(1, 1))}
	seq := time.Now().UnixMicro() // as a feed's begin
	for i := range symbols {
		m.names = append(m.names, fmt.Sprintf("%s:S%05d-USD", venue, i))
		u := codec.Update{Seq: seq, Quote: codec.Empty, Mask: 1<<codec.Bid | 1<<codec.BidSize | 1<<codec.Ask | 1<<codec.AskSize | 1<<codec.EventTime | 1<<codec.RecvTime}
		u.Quote[codec.Bid] = 100_000 + m.rng.Int64N(900_000)
		m.updates = append(m.updates, u)
	}
	return m
}

// append makes the next update, of any symbol.
func (m *tapeMarket) append(dst []byte, due int64) []byte {
	i := m.rng.IntN(len(m.names))
	u := &m.updates[i]
	u.Seq++
	q := &u.Quote
	q[codec.Bid] = max(70_000, q[codec.Bid]+m.rng.Int64N(201)-100)
	q[codec.Ask] = q[codec.Bid] + 1 + m.rng.Int64N(50)
	q[codec.BidSize], q[codec.AskSize] = 1+m.rng.Int64N(1e6), 1+m.rng.Int64N(1e6)
	q[codec.EventTime], q[codec.RecvTime] = due, time.Now().UnixMicro()
	return codec.AppendTapeUpdate(dst, m.names[i], u)
}
