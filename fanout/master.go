package fanout

import (
	"math/bits"
	"sync"
	"sync/atomic"

	"github.com/tickwire/tickwire/codec"
)

// master is the node's board: the newest quote of every symbol. Tape readers write
// it, each the rows of its own stream; snapshots, and loops that start or were
// lapped, read it. A row's id is the node's number for the symbol, never reused.
type master struct {
	mu   sync.RWMutex // protects rows and ids; held for an entry or a piece of a snapshot
	rows []masterRow
	ids  map[string]uint32

	// names lists the symbols by id for who does not hold mu; it only grows.
	names atomic.Pointer[[]string]
}

// masterRow is one symbol. Invariant: update.Seq never goes back, whatever the tape
// says; only a client that sees it grow can count what was merged.
type masterRow struct {
	stream  *stream // whose tape spoke of it last
	symbol  string
	update  codec.Update           // ID, Seq, History, the full Quote
	changed [codec.NumFields]int64 // the seq at which each field last changed
	gap     int64                  // the seq of the newest GAP
	said    int64                  // the status as the tape has it; see status
	turn    uint64                 // of its stream, when the tape last spoke of it
}

func newMaster() *master {
	m := &master{ids: make(map[string]uint32)}
	m.names.Store(new([]string))
	return m
}

// list is the symbols by row id. Nobody changes it.
func (m *master) list() []string { return *m.names.Load() }

// each calls visit with every row, under the lock.
func (m *master) each(visit func(*masterRow)) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	for i := range m.rows {
		visit(&m.rows[i])
	}
}

// row returns a symbol's row, made if need be, and whether it was there. The caller
// holds mu and calls publish before it lets go.
func (m *master) row(symbol []byte) (r *masterRow, known bool) {
	id, known := m.ids[string(symbol)]
	if !known {
		id = uint32(len(m.rows))
		r := masterRow{symbol: string(symbol), said: codec.Absent}
		r.update.ID, r.update.Quote = id, codec.Empty
		m.rows = append(m.rows, r)
		m.ids[r.symbol] = id
	}
	return &m.rows[id], known
}

// publish makes the names of new rows known to who does not hold mu. A list that was
// handed out is not written to: it ends before what is appended.
func (m *master) publish() {
	if len(m.list()) == len(m.rows) {
		return
	}
	names := m.list() // escapes: not declared before it is needed
	for i := len(names); i < len(m.rows); i++ {
		names = append(names, m.rows[i].symbol)
	}
	m.names.Store(&names)
}

// status is what the node says of a row: what the tape does, as long as it speaks.
// Nothing more comes of what is closed, so silence does not make it stale.
func (r *masterRow) status() int64 {
	if r.stream.quiet && r.said != codec.Closed {
		return codec.Stale
	}
	return r.said
}

// take applies an update of the tape to its symbol's row and adds what changed to
// the batch. The caller holds mu.
func (m *master) take(b *batch, s *stream, symbol []byte, u *codec.Update) {
	r, known := m.row(symbol)
	r.stream, r.turn = s, s.turn
	to, quote := &r.update, r.update.Quote
	image := u.Flags&codec.Image != 0
	if image {
		quote = codec.Empty
	}
	quote.Merge(&u.Quote, u.Mask)
	if image || u.Mask.Has(codec.Status) {
		r.said = quote[codec.Status]
	}
	quote[codec.Status] = r.status()
	mask, flags := quote.Diff(&to.Quote), u.Flags&codec.Gap
	switch {
	case !known || image && u.History != to.History:
		if known {
			flags |= codec.Gap // nobody knows what the lost history still had to say
		}
		to.History, flags, mask = u.History, flags|codec.Image, quote.Present()
		r.changed = [codec.NumFields]int64{}
	case mask == 0 && u.Seq <= to.Seq:
		return // a repeat, or a checkpoint that says what is known
	}
	to.Quote, to.Seq = quote, max(to.Seq, u.Seq)
	for rest := uint32(mask); rest != 0; rest &= rest - 1 {
		r.changed[bits.TrailingZeros32(rest)] = to.Seq
	}
	if flags&codec.Gap != 0 {
		r.gap = to.Seq
	}
	out := b.grow()
	*out = *to
	out.Mask, out.Flags = mask, flags
}

// hush has the rows of a stream say stale, without a seq of their own, for the node
// cannot know better; or takes that back when the tape speaks again. The caller
// holds mu.
func (m *master) hush(b *batch, s *stream, quiet bool) {
	s.quiet = quiet
	for i := range m.rows {
		if r := &m.rows[i]; r.stream == s {
			r.restate(b)
		}
	}
}

// settle ends a turn of a stream: the tape's whole state was read, and what it did
// not name has nobody to keep it. The caller holds mu.
func (m *master) settle(b *batch, s *stream) {
	for i := range m.rows {
		if r := &m.rows[i]; r.stream == s && r.turn != s.turn && r.said != codec.Closed {
			r.said = codec.Stale
			r.restate(b)
		}
	}
}

// restate brings a row's status to what the node now says.
func (r *masterRow) restate(b *batch) {
	now := r.status()
	if now == r.update.Quote[codec.Status] {
		return
	}
	r.update.Quote[codec.Status] = now
	out := b.grow()
	*out = r.update
	out.Mask, out.Flags = 1<<codec.Status, 0
}
