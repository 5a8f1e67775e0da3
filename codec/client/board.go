package client

import (
	"fmt"
	"math"
	"strings"

	"github.com/tickwire/tickwire/codec"
)

// Update is one symbol's quote after an update was merged into it.
type Update struct {
	Symbol  string
	Seq     int64
	History int64 // Unix ms of the birth of the history that Seq belongs to
	Flags   codec.Flags
	Mask    codec.Mask // fields that the update carried; of an image, those known
	Quote   codec.Quote
	// Skipped counts the updates before this one, since the last one of the symbol,
	// that did not come by themselves: this one holds what they changed. With Terms'
	// Fields those count too that changed no field of them.
	Skipped    int64
	SentAt     int64 // when the node sent it, us since the Unix epoch by its clock
	ReceivedAt int64 // when it was read, us since the Unix epoch by ours
}

// Float is a field as a floating point number, NaN when it is not known: for
// statistics. codec.AppendText has it exactly.
func Float(q *codec.Quote, f codec.Field) float64 {
	v := q[f]
	if v == codec.Absent {
		return math.NaN()
	}
	if scale, ok := f.Scale(); ok && q[scale] > 0 {
		return float64(v) / math.Pow10(int(q[scale])) // both exact: the nearest float
	}
	return float64(v)
}

// board is what a client holds: merged quotes by symbol, and the node's numbers.
// It changes with the node's replies and in no other way, so that at a heartbeat
// both sides count the same.
type board struct {
	rows map[string]*row
	byID map[uint32]*row // of this connection
	subs int             // live rows
	hash uint32          // XOR of the live rows' hashes
}

// row is one symbol.
type row struct {
	symbol string
	quote  codec.Quote
	// quote is what the node had at seq of history, in view, if whole; else a new
	// image must come before it can be resumed from.
	whole        bool
	view         codec.Mask
	history, seq int64

	id    uint32
	live  bool // the node has confirmed it on this connection
	shown bool // a quote came
	muted bool // unsubscribed; the node has not confirmed that yet
}

func newBoard() *board {
	return &board{rows: make(map[string]*row), byID: make(map[uint32]*row)}
}

// reset begins a connection: quotes stay, the node's numbers are another's.
func (b *board) reset() {
	clear(b.byID)
	b.subs, b.hash = 0, 0
	for _, r := range b.rows {
		r.live = false
	}
}

// distrust has every symbol begin with an image.
func (b *board) distrust() {
	for _, r := range b.rows {
		r.whole = false
	}
}

// confirm notes that the node has subscribed us to a symbol, under its number. An
// image follows, unless the subscription resumes from what is held.
func (b *board) confirm(symbol string, id uint32, view codec.Mask, resumes bool) {
	r := b.rows[symbol]
	if r == nil {
		r = &row{symbol: symbol, quote: codec.Empty}
		b.rows[symbol] = r
	}
	if r.live {
		delete(b.byID, r.id)
	} else {
		r.live = true
		b.subs++
		b.hash ^= codec.SymbolHash(symbol)
	}
	r.id, r.view, r.muted = id, view, false
	r.whole = r.whole && resumes
	b.byID[id] = r
}

// forget drops a symbol.
func (b *board) forget(symbol string) {
	r := b.rows[symbol]
	if r == nil {
		return
	}
	if r.live {
		delete(b.byID, r.id)
		b.subs--
		b.hash ^= codec.SymbolHash(symbol)
	}
	delete(b.rows, symbol)
}

// matches reports whether a name is a pattern that takes a symbol.
func matches(pattern, symbol string) bool {
	prefix, ok := strings.CutSuffix(pattern, "*")
	return ok && strings.HasPrefix(symbol, prefix)
}

// find is the row the i-th update of a message is about: by name in JSON, else by
// number. Nil: we are not subscribed to it.
func (b *board) find(m *codec.Message, i int) *row {
	if i >= len(m.Symbols) {
		return b.byID[m.Updates[i].ID]
	}
	if r := b.rows[m.Symbols[i]]; r != nil && r.live {
		return r
	}
	return nil
}

// merge brings the i-th update of a message to its row and describes it in out.
func (b *board) merge(r *row, m *codec.Message, i int, out *Update) error {
	u := &m.Updates[i]
	image := u.Flags&codec.Image != 0
	renewed := image && u.History != r.history
	if r.whole && !renewed && u.Seq < r.seq {
		return fmt.Errorf("%w: %s: seq went back from %d to %d", errDistrust, r.symbol, r.seq, u.Seq)
	}
	out.Skipped = 0
	if r.shown && !renewed {
		out.Skipped = max(0, u.Seq-r.seq-1)
	}
	if image {
		r.quote, r.history, r.whole = codec.Empty, u.History, true
	}
	mask := u.Mask
	if i < len(m.Symbols) {
		mask |= u.Quote.Present() & codec.Scales // JSON has the scale in its decimals
	}
	r.quote.Merge(&u.Quote, mask)
	r.seq, r.shown = u.Seq, true
	out.Symbol, out.Seq, out.History, out.Flags, out.Mask = r.symbol, u.Seq, r.history, u.Flags, u.Mask
	out.Quote, out.SentAt = r.quote, m.SentAt
	return nil
}
