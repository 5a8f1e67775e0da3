package tapes

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tickwire/tickwire/codec"
)

const (
	coverWithin = 2 * time.Second // a hole waits for its checkpoint
	coverEvery  = 100 * time.Millisecond
)

// tailed is one stream. It belongs to the goroutine that reads it.
type tailed struct {
	*tailing
	*reader
	board  board
	from   From
	begun  bool
	at     codec.ID // of the entry read last; 0-0: none
	heard  time.Time
	silent bool // which was said
}

// run reads the stream until the tail ends.
func (s *tailed) run() error {
	bear := patience{tailing: s.tailing, stream: s.stream}
	for s.ctx.Err() == nil {
		err := s.step(s.ctx)
		if spoken(err) {
			s.note(s.stream, fmt.Sprintf("is not read: %v", err))
			return nil
		}
		if err := bear.with(err); err != nil {
			return err
		}
	}
	return nil
}

// step reads what has come, or waits a while.
func (s *tailed) step(ctx context.Context) error {
	if !s.begun {
		if err := s.begin(ctx); err != nil {
			return err
		}
		s.begun, s.heard = true, time.Now()
	}
	entries, err := s.next(ctx)
	if err != nil {
		return err
	}
	for i := range entries {
		if err := s.take(ctx, &entries[i]); err != nil {
			return err
		}
	}
	if len(entries) > 0 {
		s.heard, s.silent = time.Now(), false
		s.tell(s.OnPage)
	} else if time.Since(s.heard) > Silence {
		return s.quiet(ctx)
	}
	return nil
}

// begin finds where to begin, and learns the scales as of then.
func (s *tailed) begin(ctx context.Context) error {
	l, err := s.look(ctx, s.stream)
	if err != nil {
		return err
	}
	var after codec.ID
	switch {
	case s.from.Beginning:
	case s.from.ID != (codec.ID{}):
		after = before(s.from.ID)
		if l.last == nil {
			break
		}
		if top, err := codec.ParseID(l.last.ID); err == nil && top.Less(after) {
			s.note(s.stream, fmt.Sprintf("%s is yet to come: it is read from %s on, the newest entry", s.from.ID, top))
			s.at, after = top, top
		}
	case l.last != nil:
		if s.at, err = codec.ParseID(l.last.ID); err != nil {
			return fmt.Errorf("%s: %w", s.stream, err)
		}
		after = s.at
	}
	return s.learn(ctx, after)
}

// learn has the board be as of an entry, and reading go on from there. What came after it
// up to the checkpoint is undone, as far as that matters: a scale that changed is not known.
func (s *tailed) learn(ctx context.Context, after codec.ID) error {
	defer func() { s.last = after.String() }()
	clear(s.board)
	e, err := s.images(ctx, s.stream, &s.cursor)
	var bad *unreadable
	if errors.As(err, &bad) {
		s.note(s.stream, fmt.Sprintf("the checkpoint cannot be read: %v", bad))
	} else if err != nil && !errors.Is(err, redis.Nil) {
		return err
	}
	if err != nil {
		return nil
	}
	s.merge(false)
	if !after.Less(e.ID) {
		return s.between(ctx, e.ID, after, func(m *redis.XMessage) {
			if _, err := s.parse(m); err == nil {
				s.merge(false)
			}
		})
	}
	return s.between(ctx, after, e.ID, func(m *redis.XMessage) {
		if _, err := s.parse(m); err == nil {
			s.merge(true)
		}
	})
}

// merge brings what the cursor has read to the board, or takes back what is not known of
// the time before it.
func (s *tailed) merge(undo bool) {
	for i := range s.cursor.Items {
		it := &s.cursor.Items[i]
		r := s.board.row(it.Symbol)
		if !undo {
			r.merge(&it.Update)
			continue
		}
		unknown := it.Update.Mask & codec.Scales
		if it.Update.Flags&codec.Image != 0 {
			unknown = codec.Scales
		}
		r.quote.Merge(&codec.Empty, unknown)
	}
}

// take tells of the next entry. Of one that cannot be read there is nothing to tell but that.
func (s *tailed) take(ctx context.Context, m *redis.XMessage) error {
	at, err := codec.ParseID(m.ID)
	if err != nil {
		s.last = m.ID
		s.note(s.stream, fmt.Sprintf("entry %.60q is not a feed's", m.ID))
		return nil
	}
	e, err := s.parse(m)
	if s.follows(at, &e) && err == nil {
		if err := s.cover(ctx, at); err != nil {
			return err
		}
		e, err = s.parse(m) // the cursor has read other things
	}
	s.last, s.at = m.ID, at
	if err != nil {
		s.note(s.stream, fmt.Sprintf("entry %s cannot be read: %v", at, err))
		return nil
	}
	if read := s.read(&e); e.Count == 0 || len(read.Updates) > 0 {
		s.tell(func() { s.OnEntry(read) })
	}
	return nil
}

// follows notes a hole before an entry, and reports whether there is one.
func (s *tailed) follows(at codec.ID, e *codec.Entry) (hole bool) {
	last, first := s.at, s.at == (codec.ID{})
	switch {
	case first && s.from.ID != (codec.ID{}) && at != s.from.ID:
		s.note(s.stream, fmt.Sprintf("%s is not there, or no more: what is begins with %s", s.from.ID, at))
	case first || e.ID != at || e.Prev == last:
	case at.Epoch == last.Epoch && at.N > last.N+1:
		s.note(s.stream, fmt.Sprintf("hole: %s does not follow %s: %d entries were trimmed before they were read, or lost", at, last, at.N-last.N-1))
		return true
	case at.N == 0:
		s.note(s.stream, fmt.Sprintf("hole: the reign of %s goes on from %s, not from %s", at, e.Prev, last))
		return true
	default:
		s.note(s.stream, fmt.Sprintf("hole: %s adds to %s, not to %s", at, e.Prev, last))
		return true
	}
	return false
}

// cover learns anew what may have changed in a hole before an entry, from the checkpoint
// that covers it; when none comes in time, from the one there is.
func (s *tailed) cover(ctx context.Context, at codec.ID) error {
	for end := time.Now().Add(coverWithin); time.Now().Before(end); {
		e, err := s.checkpoint(ctx, s.stream)
		var bad *unreadable
		switch {
		case err != nil && !errors.As(err, &bad):
			return err
		case err == nil && !e.ID.Less(at):
			return s.learn(ctx, before(at))
		}
		if !sleep(ctx, coverEvery) {
			return ctx.Err()
		}
	}
	s.note(s.stream, fmt.Sprintf("no checkpoint covers the hole before %s: decimals may be off", at))
	return s.learn(ctx, before(at))
}

// read merges an entry, and is what of it was asked for.
func (s *tailed) read(e *codec.Entry) *Read {
	out := &Read{Stream: s.stream, Entry: *e}
	for i := range s.cursor.Items {
		it := &s.cursor.Items[i]
		r := s.board.row(it.Symbol)
		r.merge(&it.Update)
		if !s.wants(it.Symbol) {
			continue
		}
		u := Update{Symbol: string(it.Symbol), Update: it.Update}
		u.Quote = r.quote
		u.Unknown = u.Mask & unknown(&r.quote)
		out.Updates = append(out.Updates, u)
	}
	return out
}

// unknown is the fields that have a value and no scale.
func unknown(q *codec.Quote) (m codec.Mask) {
	for rest := uint32(q.Present()); rest != 0; rest &= rest - 1 {
		f := codec.Field(bits.TrailingZeros32(rest))
		if scale, ok := f.Scale(); ok && q[scale] == codec.Absent {
			m |= 1 << f
		}
	}
	return m
}

// quiet says that the stream is silent, and takes it up where it is now if it went back: a
// read would wait for ever for what comes after what was lost.
func (s *tailed) quiet(ctx context.Context) error {
	if !s.silent {
		s.silent = true
		s.note(s.stream, fmt.Sprintf("silent for %v: does a feed write it?", Silence))
	}
	l, err := s.look(ctx, s.stream)
	if err != nil {
		return err
	}
	var top codec.ID
	if l.last != nil {
		if top, err = codec.ParseID(l.last.ID); err != nil {
			return nil
		}
	}
	if s.at == (codec.ID{}) || !top.Less(s.at) {
		return nil
	}
	s.note(s.stream, fmt.Sprintf("went back from %s to %s: Redis has lost entries", s.at, top))
	s.at = top
	return s.learn(ctx, top)
}
