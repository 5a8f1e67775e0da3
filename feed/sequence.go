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
	base    int64 // the seq of a symbol before its first update; above history
	states  []state
	ids     map[string]int

	gap   bool // symbols not known of may have been, before something was lost
	muted bool // the stream stands by: nobody takes what is published
	shard shard

	before int64 // epoch of the reign that has said the restored state

	pending batch
	patient bool // its source waits for room: nothing is ever merged
	counts  *counts
	at      time.Time // when what is under way came: it has no clock
}

// state is one symbol. Invariants: seq counts published changes, without a hole but where a
// reign begins; the quote is what all of them add up to, recv_time included.
type state struct {
	symbol string
	update codec.Update // Seq, History, the full Quote; Flags and Mask are scratch
	orders [numChannels]int64
	has    [numChannels]bool // channels it was ever heard on
	clock  int64             // the venue's, since the last interruption
	gap    bool              // interrupted; the next data says so
	since  time.Time         // when data came first after the last interruption; zero: none did
	fresh  codec.Mask        // what was heard since then
	floor  int64             // what the venue's clock must reach; see adopt
	read   int64             // its seq on the tape, when the reign began

	unsent codec.Mask  // what changed since the pending batch began
	flags  codec.Flags // of the next update: GAP, or IMAGE for the first
	marked codec.Flags // of the updates in the pending batch

	heard  time.Time     // the last data; zero after an interruption
	habit  time.Duration // mean time between data
	pauses int64         // measured for it, at most habitOver
}

// symbolsMax bounds a stream: some 400 bytes each. No venue lists 10,000.
const symbolsMax = 1 << 20

func newSequencer(c *counts) *sequencer {
	return &sequencer{ids: make(map[string]int), counts: c}
}

// state returns a symbol's state, made if need be; -1 if it may have none.
func (q *sequencer) state(symbol string) int {
	if i, ok := q.ids[symbol]; ok {
		return i
	}
	if len(q.states) >= symbolsMax || !codec.ValidSymbol([]byte(symbol)) {
		return -1 // readers would refuse the whole entry
	}
	i := len(q.states)
	s := state{symbol: symbol, flags: codec.Image, gap: q.gap}
	s.update.Seq, s.update.History, s.update.Quote = q.base, q.history, codec.Empty
	q.states = append(q.states, s)
	q.ids[symbol] = i
	q.counts.symbols.Set(float64(len(q.states)))
	return i
}

// apply is step 3: it merges a tick and publishes what changed.
func (q *sequencer) apply(t *tick) {
	if t.channel == chStatus && t.symbol == "" {
		q.all(t.quote[codec.Status], t.gap)
		return
	}
	i := q.state(t.symbol)
	if i < 0 {
		q.counts.badSymbol.Inc()
		return
	}
	s := &q.states[i]
	if t.channel == chStatus {
		q.status(i, t.quote[codec.Status], t.gap)
		return
	}
	if t.gap {
		s.interrupt()
	}
	if t.order != 0 && t.order < s.orders[t.channel] || t.quote[codec.EventTime] != codec.Absent && t.quote[codec.EventTime] < s.floor {
		q.counts.old.Inc()
		return
	}
	s.orders[t.channel] = max(t.order, s.orders[t.channel])
	s.has[t.channel] = true
	mask, recv := s.nearer(t), s.update.Quote[codec.RecvTime]
	changed, err := s.update.Quote.Apply(&t.quote, mask)
	if err != nil {
		q.counts.outOfRange.Inc()
		if s.heard.IsZero() {
			s.heard = q.at // it is silent from now on
		}
		return
	}
	if s.since.IsZero() {
		s.since = q.at
	}
	s.listen(q.at)
	s.fresh |= mask
	s.clock = max(s.clock, t.quote[codec.EventTime])
	if s.update.Quote[codec.Status] != codec.Live {
		s.update.Quote[codec.Status] = codec.Live
		changed |= 1 << codec.Status
	}
	if changed&^(1<<codec.RecvTime) == 0 {
		s.update.Quote[codec.RecvTime] = recv // unpublished, it is not part of the state
		q.counts.same.Inc()
		return
	}
	if s.gap {
		s.gap = false
		s.flags |= codec.Gap
	}
	q.publish(i, changed)
}

// bookFields and lastFields are what a message of the day so far says later than
// the channels of their own do.
const (
	bookFields codec.Mask = 1<<codec.Bid | 1<<codec.BidSize | 1<<codec.Ask | 1<<codec.AskSize
	lastFields codec.Mask = 1<<codec.Last | 1<<codec.LastSize
)

// nearer is the tick's mask without what a nearer channel says. That there is data
// is what makes the status live.
func (s *state) nearer(t *tick) codec.Mask {
	mask := t.mask &^ (1 << codec.Status)
	if t.channel == chStats {
		if s.has[chBook] {
			mask &^= bookFields
		}
		if s.has[chTrade] || s.has[chAggTrade] {
			mask &^= lastFields
		}
	}
	// Channels overtake each other: a venue's clock does not go back for it.
	if t.quote[codec.EventTime] < s.clock {
		mask &^= 1 << codec.EventTime
	}
	return mask
}

// interrupt forgets what only holds within an unbroken stream of the venue: its
// numbers and its clock may begin anew. The next data says GAP.
func (s *state) interrupt() {
	s.gap = true
	clear(s.orders[:])
	s.clock, s.floor, s.fresh, s.heard, s.since = 0, 0, 0, time.Time{}, time.Time{}
}

// status sets what we say of the venue; the quote stays.
func (q *sequencer) status(i int, status int64, gap bool) {
	s := &q.states[i]
	if gap {
		s.interrupt()
	}
	if s.update.Quote[codec.Status] != status {
		s.update.Quote[codec.Status] = status
		q.publish(i, 1<<codec.Status)
	}
}

// all sets the status of every symbol that has one.
func (q *sequencer) all(status int64, gap bool) {
	for i := range q.states {
		if q.states[i].known() {
			q.status(i, status, gap)
		}
	}
}

// known reports whether anything was ever published of the symbol: not when all its
// ticks were refused.
func (s *state) known() bool { return s.update.Quote[codec.Status] != codec.Absent }

// publish numbers a change and adds it to the pending batch.
func (q *sequencer) publish(i int, changed codec.Mask) {
	if q.muted {
		return
	}
	s := &q.states[i]
	s.update.Seq++
	q.counts.updates.Inc()
	if s.unsent == 0 {
		q.pending.dirty = append(q.pending.dirty, i)
	}
	q.pending.numbered++
	if s.flags&codec.Image != 0 {
		changed = s.update.Quote.Present()
	}
	s.unsent |= changed
	if q.pending.full {
		return // flags stay for the update to come
	}
	s.update.Flags, s.update.Mask = s.flags, changed
	q.pending.body = codec.AppendTapeUpdate(q.pending.body, s.symbol, &s.update)
	q.pending.count++
	s.marked |= s.flags
	s.flags = 0
	if len(q.pending.body) > bodyMax && !q.patient {
		q.pending.full = true
	}
}
