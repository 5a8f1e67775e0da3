package tapes

import "github.com/tickwire/tickwire/codec"

// board is the newest quote of every symbol of a stream, as one who looks knows it.
type board map[string]*row

// row is one symbol.
type row struct {
	quote   codec.Quote
	whole   bool // the tape has brought all of it: an image, and what came since
	history int64
	seq     int64 // of the quote
	written int64 // the newest seq on the tape; 0: none was read
	breaks  int   // how many there were when that came; see Report.Breaks
	named   int   // the last checkpoint that had it
}

// row is that of a symbol, made if need be.
func (b board) row(symbol []byte) *row {
	r := b[string(symbol)]
	if r == nil {
		r = &row{quote: codec.Empty}
		b[string(symbol)] = r
	}
	return r
}

// merge brings an update into the quote; one that is older than a checkpoint had it is
// followed by those that are not.
func (r *row) merge(u *codec.Update) {
	if u.Flags&codec.Image != 0 {
		r.quote, r.whole = codec.Empty, true
	}
	r.quote.Merge(&u.Quote, u.Mask)
	if u.History != r.history {
		r.history, r.seq, r.written = u.History, 0, 0
	}
	r.seq = max(r.seq, u.Seq)
}
