package feed

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"
)

// block is ticks on their way from a source to a sequencer, which recycles it.
type block struct{ ticks []tick }

var blocks = sync.Pool{New: func() any { return new(block) }}

func newBlock() *block {
	b := blocks.Get().(*block)
	b.ticks = b.ticks[:0]
	return b
}

// stream is one tape, and this feed's part in it: a goroutine that owns the sequencer, and
// its writer's. While one XADD is in flight, the next batch gathers.
//
//	stands by -> a reign begins: restored -> adopted: writes -> lost, or yielded: stands by
type stream struct {
	in      chan *block
	seq     *sequencer
	writer  *writer
	gather  time.Duration // between two entries, so that they are fuller
	watched bool          // symbols that fall silent go stale
	log     *slog.Logger
	began   chan struct{} // closed when the first reign has

	restored *sequencer // of a reign that begins in a moment
	asOf     time.Time  // when what is restored was written
	adopts   *time.Timer

	writes bool // what is sequenced goes to the tape
	heir   bool // another feed stands by
	yields bool // that one is to have the stream
	passed bool // and was given the last that we have
	busy   bool // a job is the writer's
	beat   bool // nothing was written for a while
	rests  bool // it is too early for the next entry
	ending bool // the source has ended
	ended  bool // the last job was given to the writer

	checked time.Time // the last checkpoint
	spent   *batch    // the writer's, while it is busy; then memory for the next
	images  *batch    // likewise, of checkpoints
}

// run sequences until the source closes in, and writes while it may. What is pending then
// is written, as far as that is done in flushWithin, and the lease is passed on.
func (s *stream) run(ctx context.Context) error {
	writing, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	// A writer that is stuck in Redis is not waited for.
	go s.writer.run(writing)
	beat, second := time.NewTicker(heartbeatEvery), time.NewTicker(time.Second)
	defer beat.Stop()
	defer second.Stop()
	s.spent, s.images, s.adopts = new(batch), new(batch), time.NewTimer(0)
	rest := time.NewTimer(0)
	s.seq.stand()
	for in := s.in; !s.ended || s.busy; {
		if s.give() {
			beat.Reset(heartbeatEvery)
			if s.gather > 0 {
				s.rests = true
				rest.Reset(s.gather)
			}
		}
		take := in
		if s.seq.patient && !(s.writes && s.seq.hasRoom()) {
			take = nil // the source is held back
		}
		select {
		case b, open := <-take:
			if open {
				s.take(ctx, b)
				continue
			}
			in, s.ending = nil, true
			s.adopt() // if that was due
			defer time.AfterFunc(flushWithin, stop).Stop()
		case r := <-s.writer.said:
			if err := s.hear(r); err != nil {
				return err
			}
		case <-s.adopts.C:
			s.adopt()
		case <-rest.C:
			s.rests = false
		case <-writing.Done():
			s.log.Warn("stopped before redis had everything", "stream", s.writer.tape.stream)
			return nil
		case <-beat.C:
			s.beat = !s.busy
		case <-second.C:
			if s.watched {
				s.seq.at = time.Now()
				s.seq.watch()
			}
			s.writer.live.Store(s.seq.live())
		}
	}
	return nil
}

// hear takes what the writer says.
func (s *stream) hear(r report) error {
	s.busy = s.busy && !r.done
	switch {
	case r.reign != nil:
		s.restored, s.asOf = r.reign, r.asOf
		s.restored.patient = s.seq.patient
		wait := time.Duration(0)
		if len(s.seq.states) > 0 {
			wait = adoptAfter
		}
		s.adopts.Reset(wait)
	case r.renewed:
		s.heir = r.heir
		s.yields = s.yields || r.yield && s.writes
	case s.seq.patient && errors.Is(r.err, ErrFenced): // nobody can stand by with a recording
		return r.err
	case r.lost:
		s.log.Warn(r.err.Error()+"; standing by", "stream", s.writer.tape.stream)
		s.stand()
	case s.passed && r.done:
		s.stand()
	}
	if !r.lost {
		return r.err
	}
	return nil
}

// adopt begins to write, if a reign has begun.
func (s *stream) adopt() {
	if s.restored == nil {
		return
	}
	s.restored.adopt(s.seq, s.asOf)
	s.seq, s.restored = s.restored, nil
	s.writes, s.beat, s.checked = true, true, time.Time{}
	select {
	case <-s.began:
	default:
		close(s.began)
	}
}

// stand has the stream stand by.
func (s *stream) stand() {
	s.seq.stand()
	s.restored, s.writes, s.heir, s.yields, s.passed, s.ended = nil, false, false, false, false, false
}

// give gives the writer its next job, if there is one and it has none.
func (s *stream) give() bool {
	switch {
	case s.busy, !s.ending && !s.writes, s.ended:
		return false
	case s.beat, s.ending, s.yields:
	case len(s.seq.pending.dirty) == 0, s.rests && s.seq.hasRoom():
		return false
	}
	s.writer.jobs <- s.next()
	return true
}

// next is the writer's next job. The checkpoint that goes with a batch is as of it: a
// reader goes on from it, so that it is never older than the oldest entry.
func (s *stream) next() job {
	s.busy, s.beat = true, false
	if !s.writes {
		s.ended = true
		return job{last: true}
	}
	s.spent = s.seq.cut(s.spent)
	s.ended = s.ending && len(s.seq.pending.dirty) == 0
	s.passed = s.yields
	j := job{batch: s.spent, last: s.ended || s.yields}
	if j.last || time.Since(s.checked) >= checkpointEvery {
		s.checked = time.Now()
		s.images.body, s.images.count = s.seq.images(s.images.body[:0])
		j.checkpoint = s.images
	}
	return j
}

// take takes a block. What a source says of its end is not the venue's if another feed
// goes on with it.
func (s *stream) take(ctx context.Context, b *block) {
	if ctx.Err() == nil || !s.heir {
		s.sequence(b)
	}
	if !s.writer.live.Load() {
		s.writer.live.Store(s.seq.live())
	}
}

// sequence applies a block, and recycles it.
func (s *stream) sequence(b *block) {
	s.seq.at = time.Now()
	for i := range b.ticks {
		s.seq.apply(&b.ticks[i])
	}
	blocks.Put(b)
}
