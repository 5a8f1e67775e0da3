package fanout

import (
	"math/bits"

	"github.com/tickwire/tickwire/codec"
)

// board is the newest quote of every symbol as one loop knows it, with the cycle in
// which each field last changed. From these alone follows what to send to anyone: the
// fields that changed after his base.
type board struct {
	// cur is the cycle of each row's last change, apart from the rows because
	// scanning a conn's subs reads nothing else of most of them.
	cur     []uint64
	rows    []row
	changed []uint32 // rows changed in this cycle, each once
	names   []string // symbols by row id, as the master board lists them
	ids     map[string]uint32
}

// row is one symbol. Invariant: prev < board.cur, prevSeq <= update.Seq.
type row struct {
	update  codec.Update // ID, Seq, History, the full Quote; Mask and Flags are scratch
	changed [codec.NumFields]uint64
	prev    uint64     // cycle of the change before the last
	prevSeq int64      // seq at the end of that cycle
	gap     uint64     // cycle of the newest GAP
	renewed uint64     // cycle in which a new history began
	last    codec.Mask // what changed in the last cycle that changed anything
	hash    uint32     // codec.SymbolHash of the name

	subscribers laneSet

	// Four: of either encoding, merged or not. With one, a tenth more is encoded.
	variants    [4]variant
	nextVariant uint8 // to be replaced
}

// variant is one encoding of a row's newest quote, shared by all conns in the
// same state. It is valid while the arena that has it is, a cycle at most.
type variant struct {
	arena    uint64 // its number
	mask     codec.Mask
	flags    codec.Flags
	json     bool
	off, len uint32 // in loop.arena
}

// grow makes rows for all names that it has none for.
func (b *board) grow(names []string) {
	b.names = names
	for id := len(b.rows); id < len(names); id++ {
		r := row{hash: codec.SymbolHash(names[id])}
		r.update.ID = uint32(id)
		r.update.Quote = codec.Empty
		b.rows = append(b.rows, r)
		b.ids[names[id]] = uint32(id)
		b.cur = append(b.cur, 0)
	}
}

// apply merges an update into its row in cycle now.
func (b *board) apply(u *codec.Update, now uint64) {
	r := &b.rows[u.ID]
	if u.Seq < r.update.Seq {
		return // was queued when this loop read the master board, which knew better
	}
	mask := u.Mask
	if u.Flags&codec.Image != 0 {
		quote := codec.Empty
		quote.Merge(&u.Quote, u.Mask)
		mask = quote.Diff(&r.update.Quote)
		r.update.Quote = quote
		if r.update.History != u.History {
			r.update.History = u.History
			r.renewed = now
		}
	} else {
		r.update.Quote.Merge(&u.Quote, u.Mask)
	}
	b.change(r, mask, u.Seq, now)
	if u.Flags&codec.Gap != 0 {
		r.gap = now
	}
}

// change notes that the fields of mask changed at seq in cycle now.
func (b *board) change(r *row, mask codec.Mask, seq int64, now uint64) {
	id := r.update.ID
	if b.cur[id] != now {
		r.prev, r.prevSeq, r.last = b.cur[id], r.update.Seq, 0
		b.cur[id] = now
		b.changed = append(b.changed, id)
	}
	r.last |= mask
	r.update.Seq = max(r.update.Seq, seq)
	for m := uint32(mask); m != 0; m &= m - 1 {
		r.changed[bits.TrailingZeros32(m)] = now
	}
}

// catchUp merges the master board's row, of which this loop missed updates: what
// differs changed now.
func (b *board) catchUp(m *masterRow, now uint64) {
	r := &b.rows[m.update.ID]
	mask := m.update.Quote.Diff(&r.update.Quote)
	renewed := m.update.History != r.update.History
	if mask == 0 && !renewed && m.update.Seq == r.update.Seq {
		return
	}
	before := r.update.Seq
	if m.gap > before && mask == 0 {
		mask = 1 << codec.Status // there is nothing else to say GAP with
	}
	r.update.Quote, r.update.History = m.update.Quote, m.update.History
	b.change(r, mask, m.update.Seq, now)
	if renewed {
		r.renewed = now
	}
	if m.gap > before {
		r.gap = now
	}
}

// since returns the fields of a row that changed after the cycle base.
func (r *row) since(base uint64) (m codec.Mask) {
	if base >= r.prev {
		return r.last // nobody on the common path looks further
	}
	for f, cycle := range &r.changed {
		if cycle > base {
			m |= 1 << f
		}
	}
	return m
}

// flags tells what a receiver who knows everything up to cycle base must hear
// besides the values: merged updates with their reason, and interruptions.
func (r *row) flags(base uint64, reason codec.Flags) (f codec.Flags) {
	if base < r.prev || r.update.Seq-r.prevSeq > 1 {
		f |= codec.Conflated | reason
	}
	if r.gap > base {
		f |= codec.Gap
	}
	return f
}
