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
	mu   sync.RWMutex // protects rows and ids; held for an entry or a snapshot
	rows []masterRow
	ids  map[string]uint32

	// names lists the symbols by id for who does not hold mu; it only grows.
	names atomic.Pointer[[]string]
}

// masterRow is one symbol.
type masterRow struct {
	stream  *stream // whose tape it is on
	symbol  string
	update  codec.Update           // ID, Seq, History, the full Quote
	changed [codec.NumFields]int64 // the seq at which each field last changed
	gap     int64                  // the seq of the newest GAP
	status  int64                  // what the tape says while the node says stale
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

// row returns a symbol's row, made if need be. The caller holds mu and calls
// publish before it lets go.
func (m *master) row(s *stream, symbol []byte) *masterRow {
	id, ok := m.ids[string(symbol)]
	if !ok {
		id = uint32(len(m.rows))
		r := masterRow{stream: s, symbol: string(symbol), status: codec.Absent}
		r.update.ID, r.update.Quote = id, codec.Empty
		m.rows = append(m.rows, r)
		m.ids[r.symbol] = id
	}
	return &m.rows[id]
}

// publish makes the names of new rows known to who does not hold mu.
func (m *master) publish() {
	known := m.list()
	if len(known) == len(m.rows) {
		return
	}
	for i := len(known); i < len(m.rows); i++ {
		known = append(known, m.rows[i].symbol)
	}
	m.names.Store(&known)
}

// take applies an update of the tape to its symbol's row and adds what changed to
// the batch. Seq never goes back, whatever the tape says. The caller holds mu.
func (m *master) take(b *batch, s *stream, symbol []byte, u *codec.Update) {
	r := m.row(s, symbol)
	to := &r.update
	mask := u.Mask
	flags := u.Flags & codec.Gap
	if u.Flags&codec.Image != 0 {
		quote := codec.Empty
		quote.Merge(&u.Quote, u.Mask)
		mask = quote.Diff(&to.Quote)
		if to.History != u.History {
			to.History, flags, mask = u.History, flags|codec.Image, quote.Present()
		} else if mask == 0 && u.Seq <= to.Seq {
			return // a checkpoint says what is known
		}
		to.Quote = quote
	} else {
		to.Quote.Merge(&u.Quote, u.Mask)
	}
	to.Seq = max(to.Seq, u.Seq)
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

// stale has all rows of a stream say stale, without a seq of their own: the node
// cannot know better. fresh takes that back when the tape speaks again.
func (m *master) stale(b *batch, s *stream) {
	m.override(b, s, func(r *masterRow) int64 {
		r.status = r.update.Quote[codec.Status]
		return codec.Stale
	})
}

func (m *master) fresh(b *batch, s *stream) {
	m.override(b, s, func(r *masterRow) int64 { return r.status })
}

// override sets the status of a stream's rows. The caller holds mu.
func (m *master) override(b *batch, s *stream, status func(*masterRow) int64) {
	for i := range m.rows {
		r := &m.rows[i]
		if r.stream != s {
			continue
		}
		was := r.update.Quote[codec.Status]
		now := status(r)
		if now == was {
			continue
		}
		r.update.Quote[codec.Status] = now
		out := b.grow()
		*out = r.update
		out.Mask, out.Flags = 1<<codec.Status, 0
	}
}
