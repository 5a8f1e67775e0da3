package feed

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/tickwire/tickwire/codec"
)

// block is ticks on their way from a source to a sequencer, which recycles it.
type block struct {
	ticks []tick
	// status, unless it is Absent, is said of every symbol of the stream, before the
	// ticks; gap has their next data flagged.
	status int64
	gap    bool
}

var blocks = sync.Pool{New: func() any { return new(block) }}

func newBlock() *block {
	b := blocks.Get().(*block)
	b.ticks, b.status, b.gap = b.ticks[:0], codec.Absent, false
	return b
}

// stream is one tape under way: a goroutine that owns the sequencer, and one that
// writes. While one XADD is in flight, the next batch gathers.
type stream struct {
	in      chan *block
	seq     *sequencer
	tape    *tape // the writer's, while it is busy
	watched bool  // symbols that fall silent go stale
	last    int64 // status that is said of all symbols when the source has ended, unless Absent
	log     *slog.Logger

	busy   bool // a write is in flight
	beat   bool // nothing was written for a while
	ending bool // the source has ended
	ended  bool // the last job was given to the writer

	checked time.Time // the last checkpoint
	spent   *batch    // the writer's, while it is busy; then memory for the next
	images  *batch    // likewise, of checkpoints
}

// job is what the writer does next.
type job struct {
	batch      *batch
	checkpoint *batch // nil: none is due
	last       bool   // nothing comes after it
}

// write is the writer: one job at a time.
func (s *stream) write(ctx context.Context, jobs <-chan job, done chan<- error) {
	for j := range jobs {
		done <- s.tape.write(ctx, j)
	}
}

// run sequences and writes until the source closes in, or another writer takes over.
// What is pending then is written, as far as that is done in flushWithin.
func (s *stream) run(ctx context.Context) error {
	writing, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	// A writer that is stuck in Redis is not waited for: done takes what it says.
	jobs, done := make(chan job), make(chan error, 1)
	defer close(jobs)
	go s.write(writing, jobs, done)
	beat, second := time.NewTicker(heartbeatEvery), time.NewTicker(time.Second)
	defer beat.Stop()
	defer second.Stop()
	s.spent, s.images, s.beat = new(batch), new(batch), true
	in := s.in
	for {
		if !s.busy && s.due() {
			jobs <- s.next()
			beat.Reset(heartbeatEvery)
		}
		take := in
		if s.seq.patient && !s.seq.hasRoom() {
			take = nil // the source is held back
		}
		select {
		case b, open := <-take:
			if open {
				s.sequence(b)
				continue
			}
			in = nil
			s.end()
			defer time.AfterFunc(flushWithin, stop).Stop()
		case err := <-done:
			s.busy = false
			switch {
			case err != nil && !errors.Is(err, context.Canceled):
				return err
			case err == nil && s.ended:
				return nil
			}
		case <-writing.Done():
			s.log.Warn("stopped before redis had everything", "stream", s.tape.stream)
			return nil
		case <-beat.C:
			s.beat = !s.busy
		case <-second.C:
			if s.watched {
				s.seq.at = time.Now()
				s.seq.watch()
			}
		}
	}
}

// due reports whether there is something to write.
func (s *stream) due() bool {
	return len(s.seq.pending.dirty) > 0 || s.beat || s.ending
}

// next is the writer's next job.
func (s *stream) next() job {
	s.spent = s.seq.take(s.spent)
	s.busy, s.beat = true, false
	s.ended = s.ending && len(s.seq.pending.dirty) == 0
	return job{s.spent, s.checkpoint(), s.ended}
}

// end says the last of the symbols.
func (s *stream) end() {
	s.ending = true
	if s.last != codec.Absent {
		s.seq.all(s.last, false)
	}
}

// sequence applies a block.
func (s *stream) sequence(b *block) {
	s.seq.at = time.Now() // once a block: it costs a fifth of a tick
	if b.status != codec.Absent {
		s.seq.all(b.status, b.gap)
	}
	for i := range b.ticks {
		s.seq.apply(&b.ticks[i])
	}
	blocks.Put(b)
}

// checkpoint makes the images that go with the batch just taken, when it is time: a
// reader goes on from it, so that it is never older than the oldest entry.
func (s *stream) checkpoint() *batch {
	if !s.ended && time.Since(s.checked) < checkpointEvery {
		return nil
	}
	s.checked = time.Now()
	s.images.body, s.images.count = s.seq.images(s.images.body[:0])
	return s.images
}
