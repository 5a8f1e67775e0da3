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
	tape    *tape
	patient bool // the source waits rather than having its updates merged
	watched bool // symbols that fall silent go stale
	log     *slog.Logger

	checked time.Time // the last checkpoint
	changed int64     // updates published until then
}

// job is what the writer does next.
type job struct {
	batch      *batch
	checkpoint *batch // nil: none is due
}

// run sequences and writes until the source closes in, or another writer takes over.
// What is pending then is written, for at most a second.
func (s *stream) run(ctx context.Context) error {
	writing, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	jobs, done := make(chan job), make(chan error, 1)
	defer close(jobs)
	go func() {
		for j := range jobs {
			done <- s.tape.write(writing, j.batch, j.checkpoint)
		}
	}()
	beat, second := time.NewTicker(heartbeatEvery), time.NewTicker(time.Second)
	defer beat.Stop()
	defer second.Stop()
	spent, images := new(batch), new(batch)
	// A write is in flight; one was begun since the last beat; the source has ended,
	// and what is written next is the last.
	busy, wrote, ended := false, false, false
	in := s.in
	for {
		due := s.seq.pending.count > 0 || !wrote || ended
		if !busy && due {
			spent = s.seq.take(spent)
			jobs <- job{spent, s.checkpoint(images, ended)}
			busy, wrote = true, true
		}
		take := in
		if s.patient && !s.seq.hasRoom() {
			take = nil // the source is held back
		}
		select {
		case b, open := <-take:
			if open {
				s.sequence(b)
				continue
			}
			in = nil
			time.AfterFunc(time.Second, stop)
			ended = !busy
		case err := <-done:
			busy = false
			switch {
			case err != nil && in == nil && errors.Is(err, context.Canceled):
				s.log.Warn("stopped before redis had everything", "stream", s.tape.stream)
				return nil
			case err != nil || ended:
				return err
			}
			ended = in == nil
		case <-beat.C:
			wrote = busy
		case <-second.C:
			if s.watched {
				s.seq.watch()
			}
		}
	}
}

// sequence applies a block.
func (s *stream) sequence(b *block) {
	if b.status != codec.Absent {
		s.seq.all(b.status, b.gap)
	}
	for i := range b.ticks {
		s.seq.apply(&b.ticks[i])
	}
	blocks.Put(b)
}

// checkpoint makes the images that go with the batch just taken, when it is time.
func (s *stream) checkpoint(images *batch, now bool) *batch {
	age := time.Since(s.checked)
	changed := s.seq.counts.updates.Load()
	if !now && age < checkpointEvery || !now && age < checkpointIdle && changed == s.changed {
		return nil
	}
	s.checked, s.changed = time.Now(), changed
	images.body, images.count = s.seq.images(images.body[:0])
	return images
}
