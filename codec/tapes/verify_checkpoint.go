package tapes

import (
	"context"
	"fmt"
	"math/bits"
	"slices"
	"strings"
	"time"

	"github.com/tickwire/tickwire/codec"
)

// sync waits for a checkpoint of what is not read yet, reads up to it, and compares it with
// what the entries add up to; or has the board be as it says, where they add to nothing.
func (v *verifier) sync(ctx context.Context) error {
	v.syncs++
	if v.over {
		return nil
	}
	c, e, err := v.upcoming(ctx)
	if err != nil || c == nil {
		return err
	}
	end := time.Now().Add(newerWithin)
	if err := v.read(ctx, func() bool { return !v.at.ID.Less(e.ID) || v.end && time.Now().After(end) }); err != nil || v.over {
		return err
	}
	if v.at.ID != e.ID {
		v.find("the checkpoint is as of %s, and no entry has that id", e.ID)
		return nil
	}
	if e.History != v.at.History {
		v.find("checkpoint %s is of history %d, the entry of %d", e.ID, e.History, v.at.History)
	}
	v.newer = make(map[string]*codec.TapeItem)
	for i := range c.Items {
		v.image(&e, &c.Items[i])
	}
	v.lacking(&e)
	if v.whole {
		v.AsOf, v.Symbols = e.ID.String(), len(c.Items)
	}
	v.whole = true
	return nil
}

// upcoming is the next checkpoint that is beyond what was read; nil when there is none.
func (v *verifier) upcoming(ctx context.Context) (*codec.Cursor, codec.Entry, error) {
	for end := time.Now().Add(checkpointWithin); ; {
		e, err := v.checkpoint(ctx, v.stream)
		if err == nil && v.at.ID.Less(e.ID) {
			c, _ := codec.NewCursor(v.stream) // the name is good: it has a reader
			if e, err = v.images(ctx, v.stream, &c); err == nil {
				return &c, e, nil
			}
		}
		switch bad := bytesBad(err); {
		case bad != nil:
			v.find("the checkpoint cannot be read: %v", bad)
			return nil, e, nil
		case err != nil:
			return nil, e, err
		case time.Now().After(end) && e.ID == (codec.ID{}):
			v.find("no checkpoint: a node that begins now has no quotes")
			return nil, e, nil
		case time.Now().After(end):
			v.find("the checkpoint is as of %s, and for %v there was no other: a writer has one every second", e.ID, checkpointWithin)
			return nil, e, nil
		}
		if !sleep(ctx, coverEvery) {
			return nil, e, ctx.Err()
		}
	}
}

// image checks one symbol of a checkpoint.
func (v *verifier) image(e *codec.Entry, it *codec.TapeItem) {
	u, r := &it.Update, v.board[string(it.Symbol)]
	if u.History != e.History || u.Flags&codec.Image == 0 {
		v.find("checkpoint %s is of history %d, and %s in it is no image of that", e.ID, e.History, it.Symbol)
	}
	if r != nil {
		r.named = v.syncs
	}
	switch {
	case r != nil && r.history == u.History && (u.Seq < r.written || v.whole && u.Seq < r.seq):
		v.find("checkpoint %s has %s at seq %d, the entries up to it at %d", e.ID, it.Symbol, u.Seq, r.seq)
	case !v.whole:
		r = v.board.row(it.Symbol)
		known := r.quote.Present()
		if r.whole {
			known = codec.AllFields
		}
		if r.history == u.History && r.seq == u.Seq {
			v.differ(it, differences(r, u, known))
		}
		r.merge(u)
		r.named = v.syncs
	case r == nil || r.seq < u.Seq:
		v.newer[string(it.Symbol)] = it // it was ahead of the tape
	default:
		v.same(r, it)
	}
}

// lacking finds the symbols that a checkpoint should have. What was written before a break
// is not known to the writer, if that is what it has lost.
func (v *verifier) lacking(e *codec.Entry) {
	var names []string
	for symbol, r := range v.board {
		switch {
		case r.named == v.syncs:
		case r.breaks == v.Breaks && r.history == e.History:
			names = append(names, symbol)
		default:
			delete(v.board, symbol)
		}
	}
	slices.Sort(names)
	for _, symbol := range names {
		v.find("checkpoint %s lacks %s, which the entries up to it have at seq %d", e.ID, symbol, v.board[symbol].seq)
	}
}

// same compares a symbol with its image of the same seq.
func (v *verifier) same(r *row, it *codec.TapeItem) {
	texts := differences(r, &it.Update, codec.AllFields)
	if v.differ(it, texts); len(texts) == 0 {
		v.Compared++
	}
}

func (v *verifier) differ(it *codec.TapeItem, texts []string) {
	if len(texts) > 0 {
		v.find("%s at seq %d: %s", it.Symbol, it.Update.Seq, strings.Join(texts, ", "))
	}
}

// differences says in what of some fields an image is not what the entries add up to.
func differences(r *row, u *codec.Update, in codec.Mask) (texts []string) {
	image := codec.Empty
	image.Merge(&u.Quote, u.Mask)
	for rest := uint32(image.Diff(&r.quote) & in); rest != 0; rest &= rest - 1 {
		f := codec.Field(bits.TrailingZeros32(rest))
		texts = append(texts, fmt.Sprintf("%s is %s in the checkpoint, the entries add up to %s",
			f, codec.AppendText(nil, &image, f), codec.AppendText(nil, &r.quote, f)))
	}
	return texts
}
