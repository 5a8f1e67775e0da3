package feed

import (
	"time"

	"github.com/tickwire/tickwire/codec"
)

// restored is what a restored state is as of.
type restored struct {
	id      codec.ID
	history int64
	sentAt  int64 // us; of the newest entry read
	partial bool  // something is missing, or may be
	since   int64 // us; what is missing came after it, so that seqs jump; 0: before all that was read
}

// reset forgets everything, for another attempt at restoring.
func (q *sequencer) reset() {
	clear(q.ids)
	q.states, q.pending = q.states[:0], batch{}
	q.counts.symbols.Set(0)
}

// restore merges the updates of an entry or a checkpoint into the state: all of
// them, or none if one cannot be read.
func (q *sequencer) restore(body []byte, count int) error {
	var u codec.Update
	rest := body
	for range count {
		_, after, err := codec.ParseTapeUpdate(rest, &u)
		if err != nil {
			return err
		}
		rest = after
	}
	if len(rest) > 0 {
		return codec.ErrTrailing
	}
	for range count {
		symbol, after, _ := codec.ParseTapeUpdate(body, &u)
		body = after
		if i := q.state(string(symbol)); i >= 0 {
			q.states[i].restore(&u)
		}
	}
	return nil
}

// restore merges one update. Decimals whose scale is not known are not: a price may
// be old, but never wrong by a factor of ten.
func (s *state) restore(u *codec.Update) {
	mask := u.Mask
	if u.Flags&codec.Image != 0 {
		s.update.Quote = codec.Empty
		s.sure = codec.Scales
	}
	s.sure |= mask & codec.Scales
	for _, g := range [...]struct{ scale, decimals codec.Mask }{
		{1 << codec.PriceScale, codec.Prices}, {1 << codec.SizeScale, codec.Sizes}, {1 << codec.VolumeScale, codec.Volumes},
	} {
		if s.sure&g.scale == 0 {
			mask &^= g.decimals
		}
	}
	s.update.Quote.Merge(&u.Quote, mask)
	s.update.Seq = max(s.update.Seq, u.Seq)
	s.flags = 0
}

// doubt notes that updates are missing here: a scale may have changed in them.
func (q *sequencer) doubt() {
	for i := range q.states {
		q.states[i].sure = 0
	}
}

// seqSlack is added where seqs jump: ms for clocks that differ.
const seqSlack = 1000

// settle makes the restored state the sequencer's own, for a reign of that epoch:
// seqs beyond any that may have been lost, of which there is at most one a
// millisecond, and no claim that anything is live.
func (q *sequencer) settle(last restored, epoch int64, now time.Time) {
	q.history, q.base, q.gap = last.history, last.history, last.partial
	jump := int64(0)
	if last.since > 0 {
		jump = max(0, now.UnixMicro()-last.since)/1000 + seqSlack
	}
	if last.partial {
		q.base = max(epoch, last.history) // of symbols we do not know of
	}
	for i := range q.states {
		s := &q.states[i]
		s.update.Seq += jump
		s.update.History = q.history
		if last.partial {
			q.base = max(q.base, s.update.Seq)
		}
		if !s.known() { // all that is left of it is a seq
			s.update.Quote[codec.Status] = codec.Down
		}
	}
	q.all(codec.Stale, true)
}
