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
	refused int    // frames refused so far
}

// blockTicks is how many ticks a source gathers when more are at hand.
const blockTicks = 256

// parse reads a frame into the source's block, counts what it was, and returns its
// ticks there. recvUS is when it was received, in us since the epoch; 0 is not known.
// The error says what is refused, of which nothing is in the block.
func (s *source) parse(v *venue, raw []byte, recvUS int64) ([]tick, error) {
	if s.frame == nil {
		s.frame = newFrame(v)
	}
	if s.block == nil {
		s.block = newBlock()
	}
	f, before := s.frame, len(s.block.ticks)
	err := v.parse(f, raw)
	for _, r := range f.spoiled {
		s.refuse(r)
	}
	if err != nil {
		s.refuse(err)
		return nil, fmt.Errorf("%s: frame %w: %.200q", v.name, err, raw)
	}
	s.counts.frame(f)
	f.recvAt(recvUS)
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

// loud reports whether a refusal is worth a line in the log: the first ten are, then
// each that is ten times as many. All are counted.
func (s *source) loud() bool {
	n := s.refused
	for n >= 100 && n%10 == 0 {
		n /= 10
	}
	return n <= 10
}

// add gathers one more tick, to be filled.
func (s *source) add() *tick {
	if s.block == nil {
		s.block = newBlock()
	}
	s.block.ticks = append(s.block.ticks, tick{quote: codec.Empty})
	return &s.block.ticks[len(s.block.ticks)-1]
}

// say tells what we know of a symbol's venue, behind the ticks gathered so far.
func (s *source) say(symbol string, status int64) {
	t := s.add()
	t.symbol, t.channel = symbol, chStatus
	t.set(codec.Status, status)
}

// sayAll says it of every symbol of the stream; gap has their next data flagged.
func (s *source) sayAll(ctx context.Context, status int64, gap bool) {
	s.flush(ctx)
	b := newBlock()
	b.status, b.gap = status, gap
	s.send(ctx, b)
}

// full reports whether the block should go although more is at hand.
func (s *source) full() bool { return s.block != nil && len(s.block.ticks) >= blockTicks }

// flush sends what was gathered.
func (s *source) flush(ctx context.Context) {
	if s.block != nil && len(s.block.ticks) > 0 {
		s.send(ctx, s.block)
		s.block = nil
	}
}

func (s *source) send(ctx context.Context, b *block) {
	select {
	case s.in <- b:
	case <-ctx.Done():
	}
}
