package tapes

import (
	"context"

	"github.com/redis/go-redis/v9"

	"github.com/tickwire/tickwire/codec"
)

// take checks the next entry.
func (v *verifier) take(ctx context.Context, m *redis.XMessage) error {
	id, err := codec.ParseID(m.ID)
	if err != nil {
		v.over = true
		v.find("entry %.60q is not a feed's, and no feed can write after it: tickwire tape drop %s", m.ID, v.stream)
		return nil
	}
	e, bad := v.parse(m)
	if v.Entries++; v.Entries == 1 {
		v.From = m.ID
		v.at = codec.Entry{ID: e.Prev, History: e.History} // which is retained no more
	} else if err := v.counts(ctx, id); err != nil {
		return err
	}
	v.To, v.last = m.ID, m.ID
	if bad != nil {
		v.find("entry %s: %v", m.ID, bad)
		v.lost()
		v.at.ID = id
		return nil
	}
	v.follows(&e)
	v.at = e
	v.Updates += int64(e.Count)
	for i := range v.cursor.Items {
		v.update(&e, &v.cursor.Items[i])
	}
	if len(v.board) > codec.UpdatesMax {
		v.over = true
		v.find("there are more than %d symbols, which no checkpoint can hold", codec.UpdatesMax)
	}
	return nil
}

// counts checks that an entry's id is the next of its reign, or begins one.
func (v *verifier) counts(ctx context.Context, id codec.ID) error {
	last := v.at.ID
	switch {
	case id.Epoch == last.Epoch && id.N == last.N+1, id.Epoch > last.Epoch && id.N == 0:
		return nil
	}
	v.lost()
	// What is trimmed while it is read is no hole: then what was read last is gone, too.
	l, err := v.look(ctx, v.stream)
	if err != nil {
		return err
	}
	v.at.ID = codec.ID{}
	if l.first == nil {
		v.Trimmed++
		return nil
	}
	if first, err := codec.ParseID(l.first.ID); err == nil && last.Less(first) {
		v.Trimmed++
		return nil
	}
	if id.Epoch == last.Epoch {
		v.find("hole: entry %s comes after %s: %d are missing", id, last, id.N-last.N-1)
	} else {
		v.find("hole: entry %s comes after %s: the beginning of its reign, and %d entries, are missing", id, last, id.N)
	}
	return nil
}

// follows checks what an entry says of the one before it. The first two of a reign may say
// that it goes on from something else, which is what nodes then look for.
func (v *verifier) follows(e *codec.Entry) {
	last := v.at.ID
	if e.ID.N == 0 {
		v.Reigns++
		if e.Count > 0 {
			v.find("entry %s begins a reign, and has %d updates: a fence has none", e.ID, e.Count)
		}
	}
	switch {
	case last == (codec.ID{}), e.Prev == last:
	case e.ID.N == 0, e.ID.N == 1 && e.Prev.Less(last):
		v.Breaks++
		v.lost()
	default:
		v.find("hole: entry %s adds to %s, and comes after %s", e.ID, e.Prev, last)
		v.lost()
	}
	if e.ID.N > 1 && e.History != v.at.History && v.at.History != 0 {
		v.find("entry %s is of history %d, the one before it of %d: one begins with a reign alone", e.ID, e.History, v.at.History)
	}
}

// update checks one update, and brings it to the board.
func (v *verifier) update(e *codec.Entry, it *codec.TapeItem) {
	u, image := &it.Update, it.Update.Flags&codec.Image != 0
	if image && u.History != e.History {
		v.find("entry %s is of history %d, its image of %s of %d", e.ID, e.History, it.Symbol, u.History)
	}
	r := v.board.row(it.Symbol)
	switch {
	case r.history == 0 && v.whole && !image:
		v.find("entry %s changes %s, of which there is no image, and which the checkpoint lacks", e.ID, it.Symbol)
	case r.history != 0 && r.history != u.History && !image:
		v.find("entry %s changes %s in history %d, in which there is no image of it", e.ID, it.Symbol, u.History)
	case r.history != u.History || r.written == 0: // nothing to compare with
	case u.Seq <= r.written:
		v.find("entry %s has %s at seq %d, after %d", e.ID, it.Symbol, u.Seq, r.written)
	case u.Seq > r.written+1:
		v.Jumps++
	}
	r.merge(u)
	r.written, r.breaks = u.Seq, v.Breaks
	if ahead := v.newer[string(it.Symbol)]; ahead != nil && u.Seq >= ahead.Update.Seq {
		delete(v.newer, string(it.Symbol))
		if u.Seq == ahead.Update.Seq {
			v.same(r, ahead)
		} else {
			v.Merged++
		}
	}
}
