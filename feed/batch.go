package feed

import "github.com/tickwire/tickwire/codec"

// batch is what the writer takes at once: the body of an entry, or of a checkpoint.
type batch struct {
	body     []byte // updates as AppendTapeUpdate made them
	count    int
	dirty    []int // states with an update in it, each once, in the order they came
	full     bool  // body was given up: it is made of dirty when the writer asks
	numbered int   // updates that were numbered for it; more than count if merged
}

// bodyMax bounds an entry: some 5,000 updates. Beyond it the updates of a symbol are
// merged, which bounds what an absent Redis costs to one number a symbol. What a
// patient source sends is not merged: it is held back at half, and the block that
// was let in then may go beyond.
const bodyMax = 256 << 10

// hasRoom reports whether another block of ticks can be taken without merging.
func (q *sequencer) hasRoom() bool { return len(q.pending.body) < bodyMax/2 && !q.pending.full }

// cut gives the pending batch to the writer and begins the next in the memory of
// spent. A batch that grew too large is made anew, one update a symbol, its newest;
// symbols that are beyond bodyMax then are left for the next, first come first.
func (q *sequencer) cut(spent *batch) *batch {
	b := q.pending
	taken := b.dirty
	if b.full {
		b.body, b.count = b.body[:0], 0
		for b.count < len(b.dirty) && len(b.body) < bodyMax {
			s := &q.states[b.dirty[b.count]]
			s.update.Flags, s.update.Mask = s.flags|s.marked, s.unsent
			if s.update.Flags&codec.Image != 0 {
				s.update.Mask = s.update.Quote.Present()
			}
			b.body = codec.AppendTapeUpdate(b.body, s.symbol, &s.update)
			b.count++
			s.flags = 0
		}
		taken = b.dirty[:b.count]
	}
	for _, i := range taken {
		q.states[i].unsent, q.states[i].marked = 0, 0
	}
	left := b.dirty[len(taken):]
	q.counts.merged.Add(float64(b.numbered - b.count - len(left)))
	q.pending = batch{body: spent.body[:0], dirty: append(spent.dirty[:0], left...), full: len(left) > 0, numbered: len(left)}
	b.dirty = taken
	*spent = b
	return spent
}

// images appends every symbol's whole quote: the body of a checkpoint, as of the
// batch taken last. Symbols that were left for the next batch are newer in it by
// then, which the checkpoint may be: the same seq again is harmless.
func (q *sequencer) images(dst []byte) (body []byte, count int) {
	for i := range q.states {
		s := &q.states[i]
		if !s.known() {
			continue
		}
		s.update.Flags, s.update.Mask = codec.Image, s.update.Quote.Present()
		dst = codec.AppendTapeUpdate(dst, s.symbol, &s.update)
		count++
	}
	return dst, count
}
