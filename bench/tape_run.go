package bench

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tickwire/tickwire/codec"
	"github.com/tickwire/tickwire/codec/tapes"
)

// TapeRun is what came of a transport that was offered some updates a second.
type TapeRun struct {
	Transport string  `json:"transport"`
	Nodes     int     `json:"nodes"` // that read; one of them is timed
	Offered   float64 `json:"offered_updates_per_s"`
	Arrived   float64 `json:"arrived_updates_per_s"` // of those, on the board soon after they were due
	Missed    int64   `json:"missed"`                // updates that were merged into others, or lost

	LatencyUS  percentiles `json:"latency_us"` // from when an update was due until it was on the board
	RedisUS    float64     `json:"redis_us_per_update"`
	WriterUS   float64     `json:"writer_us_per_update"` // of the feed's process, its market included, or of who publishes
	ReaderUS   float64     `json:"reader_us_per_update"` // of the harness
	RedisCores float64     `json:"redis_cores"`
	OtherCores float64     `json:"other_cores"` // writer and reader

	MessagesPS float64 `json:"messages_per_s"` // entries, or what was published
	ReadsPS    float64 `json:"reads_per_s"`    // that brought something, of all nodes
	PerMessage float64 `json:"updates_per_message"`
	Bytes      float64 `json:"bytes_per_update"` // of updates and headers of entries
	InBytes    float64 `json:"redis_in_bytes_per_update"`
	OutBytes   float64 `json:"redis_out_bytes_per_update"`
	OutPS      float64 `json:"redis_out_bytes_per_s"`
	KeptBytes  float64 `json:"kept_bytes_per_update"` // of Redis's memory, while it is kept
	KeptPS     float64 `json:"kept_bytes_per_s"`
	Held       float64 `json:"held_bytes"` // of Redis's memory, when entries have begun to go

	Limit   string `json:"limit"`             // why it has not kept up; "": it has
	Problem string `json:"problem,omitempty"` // why it broke off
}

const (
	tapeWarmUp = time.Second
	tapeGrace  = 300 * time.Millisecond // for what was due just before the end
	tapeKept   = 0.99                   // of what is offered must arrive
	coreFull   = 0.95
)

// tape reports whether updates were on the tape.
func (run *TapeRun) tape() bool { return strings.HasPrefix(run.Transport, self) }

// run measures a transport, and notes what came of it. One that has not kept up is measured
// twice: machines have moods. It is an error only if the next would fare no better.
func (b *tapeBench) run(ctx context.Context, t transport, rate float64, nodes int) (*TapeRun, error) {
	run, err := b.once(ctx, t, rate, nodes)
	if err == nil && run.Limit != "" {
		run, err = b.once(ctx, t, rate, nodes)
	}
	if err != nil {
		return nil, err
	}
	b.report.Runs = append(b.report.Runs, *run)
	return run, nil
}

func (b *tapeBench) once(ctx context.Context, t transport, rate float64, nodes int) (*TapeRun, error) {
	s, err := newStand(ctx, b.cfg, b.begin)
	if err != nil {
		return nil, err
	}
	defer s.close()
	rdb, err := b.open(ctx, s)
	if err != nil {
		return nil, err
	}
	defer rdb.Close()
	b.tick.say("tape: %s, %.0f updates/s, %d node(s)", t.name, rate, nodes)
	run := TapeRun{Transport: t.name, Nodes: nodes, Offered: rate}
	err = b.measure(ctx, s, rdb, t, &run)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		run.Problem, run.Limit = err.Error(), "it broke off: "+err.Error()
	}
	b.tick.say("  %s", &run)
	return &run, nil
}

// measure has a transport carry updates for as long as the run lasts.
func (b *tapeBench) measure(ctx context.Context, s *stand, rdb *tapes.Redis, t transport, run *TapeRun) error {
	reading, err := tapes.Open(s.redis, tapes.Role{Name: "tickwire-bench", Conns: run.Nodes + 4})
	if err != nil {
		return fmt.Errorf("bench: --redis: %w", err)
	}
	r := newTapeReader(reading)
	defer r.close()
	if err := r.begin(ctx, t, run.Nodes-1); err != nil {
		return err
	}
	if err := s.startTapeWriter(t, run.Offered); err != nil {
		return err
	}
	defer b.clean(s, rdb)
	starts, cancel := context.WithTimeoutCause(ctx, startWithin, errNotReady)
	defer cancel()
	if err := r.wait(starts, "the first update", s.procs, func(c tapeCounts) bool { return c.updates > 0 }); err != nil {
		return err
	}
	if err := r.pause(ctx, s.procs, tapeWarmUp); err != nil {
		return err
	}
	from := time.Now() // what comes while the usage is asked is timed, too
	r.timed(from.UnixMicro(), from.Add(b.cfg.Duration).UnixMicro())
	before, err := s.tapeUsed(ctx, rdb, r)
	if err != nil {
		return err
	}
	if err := r.pause(ctx, s.procs, b.cfg.Duration); err != nil {
		return err
	}
	after, err := s.tapeUsed(ctx, rdb, r)
	if err != nil {
		return err
	}
	if err := run.kept(ctx, rdb, t); err != nil {
		return err
	}
	if err := r.pause(ctx, s.procs, tapeGrace); err != nil {
		return err
	}
	run.measured(r, &before, &after)
	run.limit(s)
	return nil
}

// measured has the figures of what was used from one moment to another.
func (run *TapeRun) measured(r *tapeReader, before, after *tapeUsage) {
	r.mu.Lock()
	defer r.mu.Unlock()
	seconds := after.at.Sub(before.at).Seconds()
	updates := float64(after.took.updates - before.took.updates)
	messages := float64(after.took.messages - before.took.messages)
	run.Arrived, run.LatencyUS = float64(r.arrived)*1e6/float64(r.to-r.from), percentilesOf(r.latency)
	run.Missed = after.took.missed - before.took.missed
	run.RedisUS = ratio(inUS(after.redis-before.redis), updates)
	run.WriterUS = ratio(inUS(after.writer-before.writer), updates)
	run.ReaderUS = ratio(inUS(after.own-before.own), updates)
	run.RedisCores = (after.redis - before.redis).Seconds() / seconds
	run.OtherCores = (after.writer - before.writer + after.own - before.own).Seconds() / seconds
	run.MessagesPS, run.PerMessage = messages/seconds, ratio(updates, messages)
	run.ReadsPS = float64(after.took.reads-before.took.reads) / seconds
	run.Bytes = ratio(float64(after.took.bytes-before.took.bytes), updates)
	run.InBytes = ratio(float64(after.in-before.in), updates)
	run.OutBytes = ratio(float64(after.out-before.out), updates)
	run.OutPS = float64(after.out-before.out) / seconds
	run.KeptBytes = ratio(run.KeptBytes, run.PerMessage) // of an entry
	run.KeptPS = run.KeptBytes * updates / seconds
	run.Held = run.KeptPS * run.heldFor()
}

// heldFor is how long entries stay, in seconds: half a minute, but a feed keeps no more than
// some 100,000 entries, or 256 MiB of them.
func (run *TapeRun) heldFor() float64 {
	if !run.tape() || run.MessagesPS == 0 {
		return retention
	}
	return min(retention, 100_000/run.MessagesPS, 256<<20/(run.Bytes*run.MessagesPS*run.PerMessage))
}

// limit says why a run has not kept up.
func (run *TapeRun) limit(s *stand) {
	if run.Arrived >= tapeKept*run.Offered {
		return
	}
	run.Limit = fmt.Sprintf("did not keep up: %.0f %%", 100*run.Arrived/run.Offered)
	switch {
	case run.RedisCores > coreFull:
		run.Limit += ", redis is at its end"
	case len(s.otherCPUs) > 0 && run.OtherCores > coreFull*float64(len(s.otherCPUs)):
		run.Limit += ", writer and reader are at their end"
	}
}

// kept finds what an entry takes of Redis's memory. What is published is not kept.
func (run *TapeRun) kept(ctx context.Context, rdb *tapes.Redis, t transport) error {
	key := codec.TapeKey(tapeStream)
	switch t.as {
	case asPublish:
		return nil
	case asXAdd:
		key = eachKey
	}
	var err error
	run.KeptBytes, err = keptBytes(ctx, rdb, key)
	return err
}

// keptBytes is what an entry of a stream takes of Redis's memory.
func keptBytes(ctx context.Context, rdb *tapes.Redis, key string) (float64, error) {
	n, err := rdb.Now().XLen(ctx, key).Result()
	if err != nil {
		return 0, fmt.Errorf("bench: XLEN: %w", err)
	}
	bytes, err := rdb.Now().MemoryUsage(ctx, key, 0).Result() // all of it is looked at
	if err != nil {
		return 0, fmt.Errorf("bench: MEMORY USAGE: %w", err)
	}
	return ratio(float64(bytes), float64(n)), nil
}

// wait waits for something of a reader.
func (r *tapeReader) wait(ctx context.Context, what string, procs []*proc, ready func(tapeCounts) bool) error {
	var failed error
	err := wait(ctx, what, procs, func() bool {
		var took tapeCounts
		took, failed = r.counts()
		return failed != nil || ready(took)
	})
	return errors.Join(err, failed)
}

func (r *tapeReader) pause(ctx context.Context, procs []*proc, d time.Duration) error {
	end := time.Now().Add(d)
	return r.wait(ctx, "a moment", procs, func(tapeCounts) bool { return !time.Now().Before(end) })
}
