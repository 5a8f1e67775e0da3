package client

import (
	"fmt"
	"maps"

	"github.com/tickwire/tickwire/codec"
)

// Update is an update, and the quote that it was merged into.
type Update struct {
	codec.Update // its Quote is the whole one; its History always that of Seq
	Symbol       string
	// Conflated counts the updates before this one, since the last one of the symbol,
	// that did not come by themselves: this one holds what they changed. With Terms'
	// Fields those count too that changed no field of them. It is 0 after a gap, which
	// does not say.
	Conflated  int64
	SentAt     int64 // when the node sent it, us since the Unix epoch by its clock
	ReceivedAt int64 // when it was read, us since the Unix epoch by ours
}

// board is what a client holds: merged quotes by symbol, and the node's numbers.
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
	history, seq int64 // seq is 0 until a quote came

	id   uint32
	live bool // the node has confirmed it on this connection
}

func newBoard() *board {
	return &board{rows: make(map[string]*row), byID: make(map[uint32]*row)}
}

// reset begins a connection, which may have so many symbols: quotes stay, the node's numbers
// are another's. Those that the last connection did not have go when they are many: nodes may
// name others each time.
func (b *board) reset(most int) {
	if len(b.rows) > 2*most {
		maps.DeleteFunc(b.rows, func(_ string, r *row) bool { return !r.live })
	}
	for _, r := range b.rows {
		b.count(r, false)
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
	b.count(r, false)
	r.id, r.view = id, view
	r.whole = r.whole && resumes
	b.count(r, true)
}

// count has a row counted, or not, as one that the node sends.
func (b *board) count(r *row, live bool) {
	if r.live == live {
		return
	}
	r.live = live
	b.hash ^= codec.SymbolHash(r.symbol)
	if live {
		b.subs++
		b.byID[r.id] = r
	} else {
		b.subs--
		delete(b.byID, r.id)
	}
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
	if err := r.quote.MergeUpdate(u); err != nil {
		return fmt.Errorf("%w: %s: %w", errDistrust, r.symbol, err)
	}
	out.Conflated = 0
	if r.seq > 0 && !renewed && u.Flags&codec.Gap == 0 {
		out.Conflated = max(0, u.Seq-r.seq-1)
	}
	if image {
		r.history, r.whole = u.History, true
	}
	r.seq = u.Seq
	out.Update, out.Symbol, out.SentAt = *u, r.symbol, m.SentAt
	out.Quote, out.History = r.quote, r.history
	return nil
}
