package feed

import "github.com/tickwire/tickwire/codec"

// restore merges the updates of an entry or a checkpoint into the state.
func (q *sequencer) restore(items []codec.TapeItem) {
	for i := range items {
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

// seqJump is what seqs jump by where updates may have been lost: more than a symbol
// can have had of them since, at any rate.
const seqJump = 1 << 20

// settle makes the restored state the sequencer's own, for a reign of that epoch,
// with no claim that anything is live. If it is not whole, seqs go on beyond any that
// may have been lost.
func (q *sequencer) settle(history, epoch int64, whole bool) {
	q.history, q.base, q.gap = history, history, !whole
	if !whole {
		q.base = max(history, epoch) + seqJump // of symbols we do not know of
	}
	for i := range q.states {
		s := &q.states[i]
		s.update.History = history
		if !whole {
			s.update.Seq = max(s.update.Seq, epoch) + seqJump
			q.base = max(q.base, s.update.Seq)
		}
		if !s.known() { // all that is left of it is a seq
			s.update.Quote[codec.Status] = codec.Down
		}
	}
	q.all(codec.Stale, true)
}
