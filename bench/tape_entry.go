package bench

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tickwire/tickwire/codec"
	"github.com/tickwire/tickwire/codec/tapes"
)

// EntryCost is what entries of so many updates cost Redis, with so many readers waiting.
type EntryCost struct {
	PerEntry int     `json:"updates_per_entry"`
	Readers  int     `json:"readers"`
	Entries  float64 `json:"entries_per_s"`
	Reads    float64 `json:"reads_per_entry"`
	EntryUS  float64 `json:"redis_us_per_entry"` // without what an idle Redis takes
	UpdateUS float64 `json:"redis_us_per_update"`
	InBytes  float64 `json:"redis_in_bytes_per_update"`
	OutBytes float64 `json:"redis_out_bytes_per_update"`
	Kept     float64 `json:"kept_bytes_per_update"`
	RoundUS  float64 `json:"xadd_us"` // until Redis has answered
}

const (
	entryStream = "bench/0"
	// entryPace is how many entries a second there are: the sim's bursts, and few enough
	// that every reader waits for each.
	entryPace = simBursts
	entryKept = time.Second // then entries may go, as they do on the tape later
)

// entries measures what an entry costs, by how full it is and how many readers wait for it.
func (b *tapeBench) entries(ctx context.Context) error {
	s, err := newStand(ctx, b.cfg, b.begin)
	if err != nil {
		return err
	}
	defer s.close()
	rdb, err := b.open(ctx, s)
	if err != nil {
		return err
	}
	defer rdb.Close()
	defer b.clean(s, rdb)
	if b.report.IdleUS, err = s.idleRedis(ctx, rdb); err != nil {
		return err
	}
	for _, fill := range b.fills {
		for _, readers := range b.readers {
			b.tick.say("tape: entries of %d, %d readers", fill, readers)
			c, err := b.entry(ctx, s, rdb, fill, readers)
			if err != nil {
				return err
			}
			b.tick.say("  %.1f us an entry", c.EntryUS)
			b.report.Entries = append(b.report.Entries, c)
		}
	}
	return nil
}

// idleRedis is the CPU time of a Redis that is asked nothing, in us a second.
func (s *stand) idleRedis(ctx context.Context, rdb *tapes.Redis) (float64, error) {
	r := newTapeReader(rdb)
	if err := r.pause(ctx, s.procs, tapeWarmUp); err != nil {
		return 0, err
	}
	before, err := s.tapeUsed(ctx, rdb, r)
	if err == nil {
		err = r.pause(ctx, s.procs, s.cfg.Duration)
	}
	if err != nil {
		return 0, err
	}
	after, err := s.tapeUsed(ctx, rdb, r)
	return inUS(after.redis-before.redis) / after.at.Sub(before.at).Seconds(), err
}

// entry measures entries of one kind.
func (b *tapeBench) entry(ctx context.Context, s *stand, rdb *tapes.Redis, fill, readers int) (c EntryCost, err error) {
	key := codec.TapeKey(entryStream)
	if err := rdb.Now().Unlink(ctx, key).Err(); err != nil {
		return c, fmt.Errorf("bench: UNLINK: %w", err)
	}
	reading, err := tapes.Open(s.redis, tapes.Role{Name: "tickwire-bench", Conns: readers + 4})
	if err != nil {
		return c, fmt.Errorf("bench: --redis: %w", err)
	}
	r := newTapeReader(reading)
	defer r.close()
	var inner context.Context
	inner, r.stop = context.WithCancel(ctx)
	r.beside(inner, key, nodeCount, readers)
	w := &entryWriter{rdb: reading, fill: fill}
	r.spawn(inner, w.run)
	if err := r.pause(ctx, s.procs, tapeWarmUp); err != nil {
		return c, err
	}
	before, err := s.tapeUsed(ctx, rdb, r)
	begun, waited := w.written.Load(), w.waited.Load()
	if err == nil {
		err = r.pause(ctx, s.procs, b.cfg.Duration)
	}
	if err != nil {
		return c, err
	}
	after, err := s.tapeUsed(ctx, rdb, r)
	if err != nil {
		return c, err
	}
	seconds, entries := after.at.Sub(before.at).Seconds(), float64(w.written.Load()-begun)
	c.RoundUS = ratio(inUS(time.Duration(w.waited.Load()-waited)), entries)
	kept, err := keptBytes(ctx, rdb, key)
	updates := entries * float64(fill)
	c.PerEntry, c.Readers, c.Entries = fill, readers, entries/seconds
	c.Reads = ratio(float64(after.took.reads-before.took.reads), entries)
	used := max(0, inUS(after.redis-before.redis)-b.report.IdleUS*seconds)
	c.EntryUS, c.UpdateUS = ratio(used, entries), ratio(used, updates)
	c.InBytes, c.OutBytes = ratio(float64(after.in-before.in), updates), ratio(float64(after.out-before.out), updates)
	c.Kept = kept / float64(fill)
	return c, err
}

// entryWriter writes entries as a feed does, at an even pace.
type entryWriter struct {
	rdb     *tapes.Redis
	fill    int
	written atomic.Int64
	waited  atomic.Int64 // ns, for Redis
}

func (w *entryWriter) run(ctx context.Context) error {
	line := w.rdb.Line(codec.TapeKey(entryStream))
	defer line.Close()
	market := newTapeMarket("bench", 500)
	start := time.Now()
	e := codec.Entry{ID: codec.ID{Epoch: start.UnixMilli()}, History: start.UnixMilli(), Server: codec.MaxInt, Count: w.fill}
	var body, entry []byte
	for {
		due := start.Add(time.Duration(e.ID.N) * time.Second / entryPace)
		if !sleep(ctx, time.Until(due)) {
			return nil
		}
		body = body[:0]
		for range w.fill {
			body = market.append(body, due.UnixMicro())
		}
		began := time.Now()
		e.SentAt = began.UnixMicro()
		entry = codec.AppendEntry(entry[:0], &e, body)
		args := &redis.XAddArgs{Stream: codec.TapeKey(entryStream), ID: e.ID.String(), Values: []any{codec.EntryField, entry}}
		if from := e.ID.N - int64(entryPace*entryKept.Seconds()); from > 0 {
			args.MinID, args.Approx = codec.ID{Epoch: e.ID.Epoch, N: from}.String(), true
		}
		if err := line.XAdd(ctx, args).Err(); err != nil {
			return err
		}
		w.waited.Add(int64(time.Since(began)))
		w.written.Add(1)
		e.Prev = e.ID
		e.ID.N++
	}
}
