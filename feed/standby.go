package feed

import (
	"time"

	"github.com/tickwire/tickwire/codec"
)

// A feed that stands by hears the venue as the writer does, and its sequencer merges the
// same ticks, for nobody. When it takes over, what it has is adopted on top of what the
// tape has: it is as new or newer, so that nothing need be asked for again.
const (
	// adoptAfter is how long a reign that was begun waits for what the writer before may
	// have had of the venue and this feed not yet.
	adoptAfter = 150 * time.Millisecond
	// clocksApart is by how much the clocks of two feeds may differ.
	clocksApart = time.Second
)

// stand has nobody take what is published from now on, and what was not taken yet.
func (q *sequencer) stand() {
	for _, i := range q.pending.dirty {
		q.states[i].unsent, q.states[i].marked = 0, 0
	}
	q.muted, q.pending = true, batch{body: q.pending.body[:0], dirty: q.pending.dirty[:0]}
}

// live reports whether the venue was heard since the last interruption. That symbols are
// silent is their habit's matter.
func (q *sequencer) live() bool {
	for i := range q.states {
		if !q.states[i].since.IsZero() {
			return true
		}
	}
	return false
}

// adopt begins a reign with what was restored, as of a time, and on top of it with what
// was heard standing by. Symbols that were not say stale, and the next data GAP; if the tape
// has lost them, or their end, they are as this feed has written them before, unless another
// has reigned since. Where seqs jump all symbols say so: a node may have shown more of a reign
// that was lost.
func (q *sequencer) adopt(own *sequencer, asOf time.Time) {
	last := own.base >= q.before*1000 // nobody has reigned since
	for i := range own.states {
		switch from := &own.states[i]; {
		case !from.since.IsZero():
			q.adoptHeard(from, asOf, last)
		case from.known() && last:
			q.adoptWritten(from)
		}
	}
	for i := range q.states {
		if s := &q.states[i]; s.since.IsZero() && s.known() {
			floor := s.floor
			q.status(i, codec.Stale, true)
			s.floor = floor
		}
		if s := &q.states[i]; s.flags&codec.Gap != 0 && s.unsent == 0 && s.known() {
			q.publish(i, 1<<codec.Status)
		}
	}
}

// adoptWritten adopts a symbol that was written in an earlier reign, and not heard since.
func (q *sequencer) adoptWritten(from *state) {
	i := q.state(from.symbol)
	if i < 0 {
		return
	}
	s := &q.states[i]
	if s.known() && (!s.behind(from) ||
		from.update.Quote[codec.EventTime] < s.update.Quote[codec.EventTime]) { // numbered, and never written
		return
	}
	s.update.Quote = from.update.Quote
	s.flags |= codec.Image
	q.publish(i, s.update.Quote.Present())
}

// behind reports whether the tape has less of a symbol than this feed has numbered.
func (s *state) behind(from *state) bool {
	return from.update.History == s.update.History && from.update.Seq > s.read
}

// adoptHeard adopts of a symbol what was heard since the last interruption, and what this feed
// has written before that, if it was the last to reign and the tape has lost it. One that the
// writer before had newer is left as it is until the venue's clock is as far here, too: no
// older price follows a newer one.
func (q *sequencer) adoptHeard(from *state, asOf time.Time, last bool) {
	i := q.state(from.symbol)
	if i < 0 {
		return
	}
	s := &q.states[i]
	known, had := s.known(), s.update.Quote[codec.EventTime]
	if known && from.fresh.Has(codec.EventTime) && from.update.Quote[codec.EventTime] < had {
		s.floor = had
		return
	}
	mask := from.fresh | 1<<codec.Status
	if last && s.behind(from) {
		mask = from.update.Quote.Present() &^ codec.Scales
	}
	recv := s.update.Quote[codec.RecvTime]
	changed, err := s.update.Quote.Apply(&from.update.Quote, mask)
	if err != nil {
		q.counts.outOfRange.Inc()
		return
	}
	s.orders, s.has, s.fresh, s.clock = from.orders, from.has, from.fresh, from.clock
	s.since, s.heard, s.habit, s.pauses = from.since, from.heard, from.habit, from.pauses
	s.gap = !known && q.gap || known && from.since.After(asOf.Add(-clocksApart))
	if changed&^(1<<codec.RecvTime) == 0 {
		s.update.Quote[codec.RecvTime] = recv
		return
	}
	if s.gap {
		s.gap = false
		s.flags |= codec.Gap
	}
	q.publish(i, changed)
}
