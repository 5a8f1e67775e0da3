package feed

import (
	"time"

	"github.com/tickwire/tickwire/codec"
)

// The habit of a symbol decides when its silence means something.
const (
	habitMany  = 10 // so many times its mean pause
	habitOver  = 16 // pauses that the mean is of
	staleFirst = 5 * time.Second
	staleLast  = 5 * time.Minute
)

// listen notes that a symbol was heard. The mean is that of all pauses while they
// are few, so that a slow symbol is not held to its first seconds.
func (s *state) listen(now time.Time) {
	if !s.heard.IsZero() {
		s.pauses = min(s.pauses+1, habitOver)
		s.habit += (now.Sub(s.heard) - s.habit) / time.Duration(s.pauses)
	}
	s.heard = now
}

// watch has symbols say stale that are silent for longer than is their habit.
func (q *sequencer) watch() {
	for i := range q.states {
		s := &q.states[i]
		limit := min(max(habitMany*s.habit, staleFirst), staleLast)
		if s.update.Quote[codec.Status] == codec.Live && !s.heard.IsZero() && q.at.Sub(s.heard) > limit {
			q.status(i, codec.Stale, false)
		}
	}
}
