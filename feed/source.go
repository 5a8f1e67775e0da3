package feed

import (
	"context"
	"errors"
	"fmt"

	"github.com/tickwire/tickwire/codec"
)

// source is the way into one stream, and its counts. One goroutine uses it: a
// session's, a replay's or the sim's.
type source struct {
	in     chan<- *block
	counts *counts

	frame   *frame // what is parsed, of the stream's venue
	block   *block // gathering
	ticks   int    // parsed so far
	refused int    // frames refused so far
}

// newSource is a source of a venue's frames, or of ticks without frames.
func newSource(v *venue, in chan<- *block, c *counts) *source {
	s := &source{in: in, counts: c, block: newBlock()}
	if v != nil {
		s.frame = newFrame(v)
	}
	return s
}

// blockTicks is how many ticks a source gathers when more are at hand.
const blockTicks = 256

// parse reads a frame into the source's block, counts what it was, and returns its
// ticks there. recvUS is when it was received, in us since the epoch; 0 is not known.
// The error says what is refused, of which nothing is in the block.
func (s *source) parse(raw []byte, recvUS int64) ([]tick, error) {
	f, before := s.frame, len(s.block.ticks)
	err := f.venue.parse(f, raw)
	for _, r := range f.spoiled {
		s.refuse(r)
	}
	if err != nil {
		s.refuse(err)
		return nil, fmt.Errorf("%s: frame %w: %.200q", f.venue.name, err, raw)
	}
	s.counts.frame(f)
	for i := range f.ticks {
		if recvUS != 0 {
			f.ticks[i].set(codec.RecvTime, recvUS)
		}
	}
	s.ticks += len(f.ticks)
	s.block.ticks = append(s.block.ticks, f.ticks...)
	return s.block.ticks[before:], nil
}

// refuse counts what is refused.
func (s *source) refuse(err error) {
	reason := refusedShape
	errors.As(err, &reason)
	s.refused++
	s.counts.refused.WithLabelValues(string(reason)).Inc()
}

// sampled reports whether the nth refusal is worth a line in the log: the first ten
// are, then each that is ten times as many. All are counted.
func sampled(n int) bool {
	for n >= 100 && n%10 == 0 {
		n /= 10
	}
	return n <= 10
}

// add gathers one more tick, to be filled.
func (s *source) add() *tick {
	s.block.ticks = append(s.block.ticks, tick{quote: codec.Empty})
	return &s.block.ticks[len(s.block.ticks)-1]
}

// say tells what we know of a symbol's venue, behind the ticks gathered so far; of
// every symbol of the stream if it is "".
func (s *source) say(symbol string, status int64) *tick {
	t := s.add()
	t.symbol, t.channel = symbol, chStatus
	t.set(codec.Status, status)
	return t
}

// full reports whether the block should go although more is at hand.
func (s *source) full() bool { return len(s.block.ticks) >= blockTicks }

// flush sends what was gathered.
func (s *source) flush(ctx context.Context) {
	if len(s.block.ticks) == 0 {
		return
	}
	select {
	case s.in <- s.block:
	case <-ctx.Done():
	}
	s.block = newBlock()
}
