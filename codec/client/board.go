package client

import (
	"errors"
	"fmt"

	"github.com/tickwire/tickwire/codec"
)

// errPromise: the node broke a promise of the protocol, or we lost count.
var errPromise = errors.New("protocol")

// Update is one symbol's quote after an update was merged into it.
type Update struct {
	Symbol  string
	Seq     int64
	Flags   codec.Flags
	Mask    codec.Mask // fields that the update carried
	Skipped int64      // updates between this and the one before that were merged into it
	SentAt  int64      // us since the Unix epoch, when the node sent it
	Quote   codec.Quote
}

// board is what a client holds: merged quotes by symbol, and the node's numbers.
type board struct {
	held map[string]*held
	byID map[uint32]*held
	subs int
	hash uint32 // XOR of the subscribed symbols' hashes
}

// held is one symbol.
type held struct {
	symbol     string
	history    int64
	seq        int64
	quote      codec.Quote
	subscribed bool // the node has confirmed it on this connection
}

func newBoard() *board {
	return &board{held: make(map[string]*held), byID: make(map[uint32]*held)}
}

// reset begins a connection: quotes stay, the node's numbers are another's.
func (b *board) reset() {
	clear(b.byID)
	b.subs, b.hash = 0, 0
	for _, h := range b.held {
		h.subscribed = false
	}
}

// confirm notes the node's number for a symbol.
func (b *board) confirm(symbol string, id uint32) {
	h := b.held[symbol]
	if h == nil {
		h = &held{symbol: symbol, quote: codec.Empty}
		b.held[symbol] = h
	}
	if !h.subscribed {
		h.subscribed = true
		b.subs++
		b.hash ^= codec.SymbolHash(symbol)
	}
	b.byID[id] = h
}

// forget drops a symbol.
func (b *board) forget(symbol string) {
	h := b.held[symbol]
	if h == nil {
		return
	}
	if h.subscribed {
		b.subs--
		b.hash ^= codec.SymbolHash(symbol)
	}
	delete(b.held, symbol)
	for id, of := range b.byID {
		if of == h {
			delete(b.byID, id)
		}
	}
}

// find is the symbol an update of a message is about; nil when it was dropped a
// moment ago.
func (b *board) find(m *codec.Message, i int) *held {
	if i < len(m.Symbols) {
		return b.held[m.Symbols[i]]
	}
	return b.byID[m.Updates[i].ID]
}

// merge brings the i-th update of a message to its quote and describes it in out;
// false when the symbol is no more subscribed to.
func (b *board) merge(m *codec.Message, i int, out *Update) (bool, error) {
	h, u := b.find(m, i), &m.Updates[i]
	if h == nil {
		return false, nil
	}
	renewed := u.Flags&codec.Image != 0 && u.History != h.history
	if u.Seq < h.seq && !renewed {
		return false, fmt.Errorf("%w: %s: seq went back from %d to %d", errPromise, h.symbol, h.seq, u.Seq)
	}
	out.Skipped = 0
	if u.Flags&codec.Image != 0 {
		h.quote, h.history = codec.Empty, u.History
	} else if h.seq > 0 {
		out.Skipped = max(0, u.Seq-h.seq-1)
	}
	mask := u.Mask
	if i < len(m.Symbols) {
		mask |= u.Quote.Present() & codec.Scales // JSON prints decimals in their scale
	}
	h.quote.Merge(&u.Quote, mask)
	h.seq = u.Seq
	out.Symbol, out.Seq, out.Flags, out.Mask, out.SentAt, out.Quote = h.symbol, u.Seq, u.Flags, u.Mask, m.SentAt, h.quote
	return true, nil
}
