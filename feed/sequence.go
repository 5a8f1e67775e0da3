package feed

import (
	"time"

	"github.com/tickwire/tickwire/codec"
)

// sequencer owns the state of one stream: the newest quote of every symbol and its
// seq. It drops what did not change, numbers what did, and gathers the numbered
// updates until the writer takes them.
type sequencer struct {
	history int64 // Unix ms; the seqs of a history begin above it
	states  []state
	ids     map[string]int

	pending batch
	counts  *counts
	now     func() time.Time
}

// state is one symbol. Invariant: seq counts published changes, without a hole.
type state struct {
	symbol string
	update codec.Update // Seq, History, the full Quote; Flags and Mask are scratch
	orders [numChannels]int64
	has    [numChannels]bool // channels it was ever heard on

	unsent codec.Mask  // what changed since the pending batch began
	flags  codec.Flags // of the next update: GAP, or IMAGE for the first
	marked codec.Flags // of the updates in the pending batch

	heard time.Time     // the last tick
	habit time.Duration // mean time between ticks
}

// batch is what the writer takes at once.
type batch struct {
	body  []byte // updates as AppendTapeUpdate made them
	count int
	dirty []int // states with an update in it, each once
	full  bool  // body was given up: it is made of dirty when the writer asks
}

// bodyMax bounds a batch: some 5,000 updates. Beyond it the updates of a symbol are
// merged, which bounds what an absent Redis costs.
const bodyMax = 256 << 10

func newSequencer(c *counts) *sequencer {
	return &sequencer{ids: make(map[string]int), counts: c, now: time.Now}
}

// state returns a symbol's state, made if need be.
func (q *sequencer) state(symbol string) int {
	if i, ok := q.ids[symbol]; ok {
		return i
	}
	i := len(q.states)
	s := state{symbol: symbol, flags: codec.Image}
	s.update.Seq, s.update.History, s.update.Quote = q.history, q.history, codec.Empty
	q.states = append(q.states, s)
	q.ids[symbol] = i
	return i
}

// apply merges a tick and publishes what changed.
func (q *sequencer) apply(t *tick) {
	i := q.state(t.symbol)
	s := &q.states[i]
	if t.channel == chStatus {
		q.status(i, t)
		return
	}
	if t.gap {
		s.flags |= codec.Gap
		clear(s.orders[:]) // numbers may begin anew
	}
	if t.order != 0 && t.order < s.orders[t.channel] {
		q.counts.drop(dropOld)
		return
	}
	s.orders[t.channel] = max(t.order, s.orders[t.channel])
	s.has[t.channel] = true
	mask := s.nearer(t)
	s.listen(q.now())
	changed, err := s.update.Quote.Apply(&t.quote, mask)
	if err != nil {
		q.counts.drop(dropRange)
		return
	}
	if s.update.Quote[codec.Status] != codec.Live && (t.mask != 0 || changed != 0) {
		s.update.Quote[codec.Status] = codec.Live
		changed |= 1 << codec.Status
	}
	if changed&^(1<<codec.RecvTime) == 0 {
		q.counts.drop(dropSame)
		return
	}
	q.publish(i, changed)
}

// bookFields and lastFields are what a message of the day so far says later than
// the channels of their own do.
const (
	bookFields codec.Mask = 1<<codec.Bid | 1<<codec.BidSize | 1<<codec.Ask | 1<<codec.AskSize
	lastFields codec.Mask = 1<<codec.Last | 1<<codec.LastSize
)

// nearer is the tick's mask without what a nearer channel says.
func (s *state) nearer(t *tick) codec.Mask {
	mask := t.mask
	if t.channel == chStats {
		if s.has[chBook] {
			mask &^= bookFields
		}
		if s.has[chTrade] || s.has[chAggTrade] {
			mask &^= lastFields
		}
	}
	// Channels overtake each other: a venue's clock does not go back for it.
	if t.quote[codec.EventTime] < s.update.Quote[codec.EventTime] {
		mask &^= 1 << codec.EventTime
	}
	return mask
}

// status applies what we say of the venue: of one symbol, not changing its quote.
func (q *sequencer) status(i int, t *tick) {
	s := &q.states[i]
	if t.gap {
		s.flags |= codec.Gap
		clear(s.orders[:])
	}
	if v := t.quote[codec.Status]; t.mask.Has(codec.Status) && s.update.Quote[codec.Status] != v {
		s.update.Quote[codec.Status] = v
		q.publish(i, 1<<codec.Status)
	}
}

// publish numbers a change and adds it to the pending batch.
func (q *sequencer) publish(i int, changed codec.Mask) {
	s := &q.states[i]
	s.update.Seq++
	q.counts.updates.Add(1)
	if s.flags&codec.Image != 0 {
		changed = s.update.Quote.Present()
	}
	if s.unsent == 0 {
		q.pending.dirty = append(q.pending.dirty, i)
	}
	s.unsent |= changed
	if q.pending.full {
		q.counts.merged.Add(1)
		return // flags stay for the update to come
	}
	s.update.Flags, s.update.Mask = s.flags, changed
	q.pending.body = codec.AppendTapeUpdate(q.pending.body, s.symbol, &s.update)
	q.pending.count++
	s.marked |= s.flags
	s.flags = 0
	if len(q.pending.body) > bodyMax {
		q.pending.full = true
	}
}

// hasRoom reports whether another block of ticks can be taken without merging.
func (q *sequencer) hasRoom() bool { return len(q.pending.body) < bodyMax/2 }

// take gives the pending batch to the writer and begins the next in the memory of
// spent. A batch that grew too large is made anew: one update a symbol, its newest.
func (q *sequencer) take(spent *batch) *batch {
	b := q.pending
	if b.full {
		b.body, b.count = b.body[:0], 0
		for _, i := range b.dirty {
			s := &q.states[i]
			s.update.Flags, s.update.Mask = s.flags|s.marked, s.unsent
			if s.update.Flags&codec.Image != 0 {
				s.update.Mask = s.update.Quote.Present()
			}
			b.body = codec.AppendTapeUpdate(b.body, s.symbol, &s.update)
			b.count++
			s.flags = 0
		}
	}
	for _, i := range b.dirty {
		q.states[i].unsent, q.states[i].marked = 0, 0
	}
	q.pending = batch{body: spent.body[:0], dirty: spent.dirty[:0]}
	*spent = b
	return spent
}

// images appends every symbol's whole quote: the body of a checkpoint. It is as of
// the last batch taken only when none is pending.
func (q *sequencer) images(dst []byte) (body []byte, count int) {
	for i := range q.states {
		s := &q.states[i]
		u := s.update
		u.Flags, u.Mask = codec.Image, u.Quote.Present()
		dst = codec.AppendTapeUpdate(dst, s.symbol, &u)
	}
	return dst, len(q.states)
}

// The habit of a symbol decides when its silence means something.
const (
	habitMany  = 10 // so many times its mean pause
	staleFirst = 5 * time.Second
	staleLast  = 5 * time.Minute
)

// listen notes that a symbol was heard.
func (s *state) listen(now time.Time) {
	if !s.heard.IsZero() {
		s.habit += (now.Sub(s.heard) - s.habit) / 16
	}
	s.heard = now
}

// watch has symbols say stale that are silent for longer than is their habit.
func (q *sequencer) watch() {
	now := q.now()
	for i := range q.states {
		s := &q.states[i]
		limit := min(max(habitMany*s.habit, staleFirst), staleLast)
		if s.update.Quote[codec.Status] == codec.Live && !s.heard.IsZero() && now.Sub(s.heard) > limit {
			s.update.Quote[codec.Status] = codec.Stale
			q.publish(i, 1<<codec.Status)
		}
	}
}

// all sets the status of every symbol, and flags an interruption for its next data.
func (q *sequencer) all(status int64, gap bool) {
	t := tick{channel: chStatus, gap: gap, mask: 1 << codec.Status}
	t.quote[codec.Status] = status
	for i := range q.states {
		q.status(i, &t)
	}
}
