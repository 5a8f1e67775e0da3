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

// masterRow is one symbol. Invariant: update.Seq never goes back, whatever the tape says:
// the higher seq is the newer, in another history too.
type masterRow struct {
	stream  *stream // whose tape named it last
	symbol  string
	update  codec.Update           // ID, Seq, History, the full Quote
	changed [codec.NumFields]int64 // the seq at which each field last changed
	gap     int64                  // the seq of the newest GAP
	from    int64                  // the seq since which changed has every change
	said    int64                  // the status as the tape has it; see status
	doubted bool                   // the stream was taken up anew since: a change has GAP
	apart   bool                   // the tape was found to be older: its deltas are of another quote
}

// rowsMax bounds the board: as many as a feed's stream may have, and ten times the
// symbols of all venues.
const rowsMax = 1 << 20

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

// add makes a row for a symbol that has none, and returns its id. The caller holds mu
// and calls publish before it lets go.
func (m *master) add(symbol string) uint32 {
	id := uint32(len(m.rows))
	r := masterRow{symbol: symbol, said: codec.Absent}
	r.update.ID, r.update.Quote = id, codec.Empty
	m.rows = append(m.rows, r)
	m.ids[symbol] = id
	return id
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

// status is what the node says of a row: what the tape says, unless that is stale.
// Nothing more comes of what is closed, so silence does not make it stale.
func (r *masterRow) status() int64 {
	if r.apart || r.stream.stale.Load() && r.said != codec.Closed {
		return codec.Stale
	}
	return r.said
}

// merge applies an update of the tape to its symbol's row and adds what changed to
// the batch; false if it may not. A row is one stream's, until another has a newer image:
// the deltas of that would be merged into a quote they do not belong to. The caller holds mu.
func (m *master) merge(b *batch, s *stream, symbol []byte, u *codec.Update) bool {
	image := u.Flags&codec.Image != 0
	id, known := m.ids[string(symbol)]
	switch {
	case known && m.rows[id].stream != s && !(image && u.Seq >= m.rows[id].update.Seq), !known && len(m.rows) >= rowsMax:
		return false
	case !known:
		id = m.add(string(symbol))
	}
	r := &m.rows[id]
	if r.apart && !image || u.Seq < r.update.Seq {
		// The tape went back. What is known is newer, and what the tape adds to is not it.
		s.older = s.older || image && !r.apart
		r.apart = r.apart || image
		s.ahead = s.ahead || r.apart && u.Seq >= r.update.Seq
		return true
	}
	to, quote := &r.update, r.update.Quote
	if image {
		quote = codec.Empty
	}
	quote.Merge(&u.Quote, u.Mask)
	if image || u.Mask.Has(codec.Status) {
		r.said = quote[codec.Status]
	}
	anew, doubted := !known || image && u.History != to.History, r.doubted || r.apart || known && r.stream != s
	r.stream, r.doubted, r.apart = s, false, false
	quote[codec.Status] = r.status()
	mask, flags := quote.Diff(&to.Quote), u.Flags&codec.Gap
	if !anew && mask == 0 && u.Seq <= to.Seq {
		return true // a repeat, or a checkpoint that says what is known
	}
	if known && (anew || doubted) {
		flags |= codec.Gap // nobody knows what lies between
	}
	if flags&codec.Gap != 0 {
		if r.gap = u.Seq; mask == 0 {
			mask = 1 << codec.Status // there is nothing else to say it with
		}
	}
	if anew {
		to.History, flags, mask = u.History, flags|codec.Image, quote.Present()
		r.changed = [codec.NumFields]int64{}
	}
	if anew || flags&codec.Gap != 0 {
		r.from = u.Seq
	}
	to.Quote, to.Seq = quote, u.Seq
	for rest := uint32(mask); rest != 0; rest &= rest - 1 {
		r.changed[bits.TrailingZeros32(rest)] = to.Seq
	}
	out := b.grow()
	*out = *to
	out.Mask, out.Flags = mask, flags
	return true
}

// doubt has the rows of a stream that is taken up anew say stale unless it names
// them, once restate is called. The caller holds mu.
func (m *master) doubt(s *stream) {
	for i := range m.rows {
		if r := &m.rows[i]; r.stream == s {
			r.doubted = true
			if r.said != codec.Closed {
				r.said = codec.Stale
			}
		}
	}
}

// restate brings the status of a stream's rows to what the node now says of them,
// without a seq of their own. The caller holds mu.
func (m *master) restate(b *batch, s *stream) {
	for i := range m.rows {
		r := &m.rows[i]
		if r.stream != s || r.status() == r.update.Quote[codec.Status] {
			continue
		}
		r.update.Quote[codec.Status] = r.status()
		out := b.grow()
		*out = r.update
		out.Mask, out.Flags = 1<<codec.Status, 0
	}
}
