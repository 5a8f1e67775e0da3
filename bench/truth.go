package bench

import (
	"slices"
	"sync"
	"time"

	"github.com/tickwire/tickwire/codec"
)

// truth is what the feed published, quote by quote, as the harness itself has read it
// from the tape. A witness writes it, the subscribers of one process ask it.
type truth struct {
	mu        sync.Mutex // protects what follows
	depth     int        // versions kept of each symbol, a power of two
	ids       map[string]uint32
	rows      []truthRow
	holes     int   // entries that the witness could not follow: what it says then is worth nothing
	from, to  int64 // us since the Unix epoch: while it was measured
	published int64 // updates that were sent then
	staleSaid int64 // updates that a node called stale of its own, as it may
	// readTo is when the witness last found that it had read everything.
	readTo  time.Time
	ends    []int64          // by symbol, when nothing more can come: a peer's publisher has said so
	heard   map[string]int64 // by stream, us since the Unix epoch: what was sent until then was read
	trouble string           // why it cannot read now
}

// truthRow is one symbol.
type truthRow struct {
	history int64
	seq     int64
	start   int64  // seq of the first image
	first   int64  // and of the last that did not follow on: each change since is known
	stream  string // whose tape names it
	quote   codec.Quote
	changed [codec.NumFields]int64 // the seq at which each field last changed
	ring    []version              // by seq
}

// version is a symbol's quote at one seq.
type version struct {
	seq   int64
	quote codec.Quote
	since [codec.NumFields]uint32 // updates ago that each field last changed; the most is "or earlier"
}

// truthBytes bounds what the versions of all symbols take.
const truthBytes = 256 << 20

func newTruth(symbols []string) *truth {
	const versionBytes = 8 + 12*codec.NumFields
	depth := 64
	for depth < 1<<16 && 2*depth*len(symbols)*versionBytes <= truthBytes {
		depth *= 2
	}
	t := &truth{depth: depth, heard: make(map[string]int64), ids: make(map[string]uint32, len(symbols))}
	for i, symbol := range symbols {
		t.ids[symbol] = uint32(i)
		t.rows = append(t.rows, truthRow{quote: codec.Empty})
	}
	return t
}

// apply takes an update of the tape; symbols that nobody here can want are passed over.
func (t *truth) apply(stream string, symbol []byte, u *codec.Update) {
	id, ok := t.ids[string(symbol)]
	if !ok {
		return
	}
	r := &t.rows[id]
	quote := r.quote
	if u.Flags&codec.Image != 0 {
		quote = codec.Empty
		if u.History != r.history {
			r.history, r.ring, r.start = u.History, nil, 0
		}
		if u.Seq > r.seq+1 { // a checkpoint's: what it changed lies between
			r.first = u.Seq
		}
	}
	if r.start == 0 {
		r.start = u.Seq
	}
	r.stream = stream
	quote.Merge(&u.Quote, u.Mask)
	for f := range quote {
		if quote[f] != r.quote[f] {
			r.changed[f] = u.Seq
		}
	}
	r.quote, r.seq = quote, u.Seq
	if r.ring == nil {
		r.ring = make([]version, t.depth)
	}
	v := &r.ring[int(u.Seq)&(t.depth-1)]
	v.seq, v.quote = u.Seq, quote
	for f, changed := range &r.changed {
		v.since[f] = uint32(min(u.Seq-changed, 1<<32-1))
	}
}

// measured has updates counted that are sent from one moment to another.
func (t *truth) measured(from, to int64) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.from != from {
		t.published = 0
	}
	t.from, t.to = from, to
}

// verdict is what the truth says of an update that a subscriber received.
type verdict uint8

const (
	right    verdict = iota
	early            // the witness has not read so far yet
	aged             // it has read further than it remembers
	foreign          // of another history
	invented         // a value that the feed did not publish at that seq
	missing          // a field that changed is not in it
)

var verdictNames = [...]string{"right", "early", "aged", "of another history", "a value that was not published", "a field that changed was left out"}

// check judges an update of a symbol for a subscriber who held seq prev of its quote, 0
// for nothing. A node may say stale of its own.
func (t *truth) check(id uint32, prev int64, u *codec.Update) verdict {
	r := &t.rows[id]
	image := u.Flags&codec.Image != 0
	switch {
	case u.Seq > r.seq:
		return early
	case image && u.History != r.history:
		return foreign
	case len(r.ring) == 0:
		return aged
	}
	v := &r.ring[int(u.Seq)&(t.depth-1)]
	switch {
	case v.seq == u.Seq:
	case u.Seq < r.start:
		return invented
	case v.seq > u.Seq || u.Seq < r.first:
		return aged
	default:
		return invented
	}
	for _, f := range scales { // JSON shows it by how a number is written
		if !u.Mask.Has(f) && u.Quote[f] != codec.Absent && u.Quote[f] != v.quote[f] {
			return invented
		}
	}
	for f := codec.Field(0); f < codec.NumFields; f++ {
		switch {
		case u.Mask.Has(f):
			if u.Quote[f] == v.quote[f] {
				continue
			}
			if f != codec.Status || u.Quote[f] != codec.Stale {
				return invented
			}
			t.staleSaid++
		case image && v.quote[f] != codec.Absent:
			return missing
		case !image && prev >= r.first && u.Seq-int64(v.since[f]) > prev:
			return missing
		}
	}
	if !image && prev < r.first {
		return aged
	}
	return right
}

var scales = [...]codec.Field{codec.PriceScale, codec.SizeScale, codec.VolumeScale}

// heardOf is until when the witness has read what is said of a symbol, us since the Unix
// epoch.
func (t *truth) heardOf(id uint32) int64 {
	at := t.readTo.UnixMicro()
	if name := t.rows[id].stream; name != "" {
		return max(at, t.heard[name])
	}
	for _, one := range t.heard { // nobody has named it
		at = max(at, one)
	}
	return at
}

// newest is the seq that a symbol's subscriber must have in the end: that of the last
// change.
func (t *truth) newest(id uint32) int64 {
	if t.ends != nil {
		return t.ends[id]
	}
	return slices.Max(t.rows[id].changed[:])
}
