package feed

import "github.com/tickwire/tickwire/codec"

// restore merges the updates of an entry or a checkpoint into the state. Symbols that are
// another shard's by now are left to it.
func (q *sequencer) restore(items []codec.TapeItem) {
	for i := range items {
		if !q.shard.has(string(items[i].Symbol)) {
			continue
		}
		at := q.state(string(items[i].Symbol))
		if at < 0 {
			continue
		}
		s, u := &q.states[at], &items[i].Update
		if u.Flags&codec.Image != 0 {
			s.update.Quote = codec.Empty
		}
		s.update.Quote.Merge(&u.Quote, u.Mask)
		s.update.Seq = max(s.update.Seq, u.Seq)
		s.flags = 0
	}
}

// settle makes the restored state the sequencer's own, for a reign of that epoch. New seqs
// begin at the epoch in us, and unless it is sure that none is above what was restored all
// go on from there, with GAP: no symbol changes more than a million times a second, so that
// no seq that was lost is above, nor one of a history that was. Each is said whole: who has
// seen more than was restored has another quote.
func (q *sequencer) settle(history, epoch int64, sure bool) {
	q.history, q.base, q.gap = history, epoch*1000, !sure
	for i := range q.states {
		s := &q.states[i]
		s.update.History, s.read = history, s.update.Seq
		if !sure {
			s.update.Seq = max(s.update.Seq, q.base)
			s.flags |= codec.Gap | codec.Image
		}
		if !s.known() { // all that is left of it is a seq
			s.update.Quote[codec.Status] = codec.Down
		}
	}
}
