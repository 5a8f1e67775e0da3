package codec

import (
	"errors"
	"math/bits"
)

// Flags say what kind of update it is.
type Flags uint8

const (
	Image     Flags = 1 << 0 // replaces everything; fields not in the mask are absent
	Conflated Flags = 1 << 1 // merges several updates, for the reason in bits 2-3

	ReasonMask    Flags = 3 << 2
	ReasonRate    Flags = 1 << 2 // the rate asked for
	ReasonSlow    Flags = 2 << 2 // the socket took nothing
	ReasonCatchUp Flags = 3 << 2 // they came together, or while the client was away

	Gap Flags = 1 << 4 // the venue's stream was interrupted before this
)

// reasonNames are the words for a conflated update's reason.
var reasonNames = [...]string{"", "rate", "slow", "catch-up"}

// Words lists what the flags say: image, conflated and its reason, gap.
func (f Flags) Words() (words []string) {
	if f&Image != 0 {
		words = append(words, "image")
	}
	if f&Conflated != 0 {
		words = append(words, "conflated")
		if reason := reasonNames[f&ReasonMask>>2]; reason != "" {
			words = append(words, reason)
		}
	}
	if f&Gap != 0 {
		words = append(words, "gap")
	}
	return words
}

// Update is changed fields of one symbol at one seq.
type Update struct {
	ID      uint32 // the node's number for the symbol; nothing on the tape
	Seq     int64
	Flags   Flags
	Mask    Mask
	History int64 // of an image: Unix ms of the birth of the history its seqs belong to
	// Quote is the full newest quote when appended; when parsed it has the fields of
	// Mask, and from JSON the scales that their decimals were printed in.
	Quote Quote
}

// AppendDataHeader appends the opening of a data message of n updates, which
// AppendUpdate appends after it: [0, sent_at, update...].
func AppendDataHeader(dst []byte, sentAt int64, n int) []byte {
	w := getWriter(dst)
	w.array(2 + n)
	w.int(int64(TypeData))
	w.int(sentAt)
	return w.put()
}

// AppendUpdate appends the msgpack [id, seq, flags, mask, history if an image, value...].
func AppendUpdate(dst []byte, u *Update) []byte {
	w := getWriter(dst)
	w.array(4 + u.extra())
	w.int(int64(u.ID))
	w.updateTail(u)
	return w.put()
}

// extra is how many elements follow the mask.
func (u *Update) extra() int {
	n := bits.OnesCount32(uint32(u.Mask))
	if u.Flags&Image != 0 {
		n++
	}
	return n
}

// updateTail writes all but the array header and the key.
func (w *writer) updateTail(u *Update) {
	w.int(u.Seq)
	w.int(int64(u.Flags))
	w.int(int64(u.Mask))
	if u.Flags&Image != 0 {
		w.int(u.History)
	}
	for rest := uint32(u.Mask & AllFields); rest != 0; rest &= rest - 1 {
		if v := u.Quote[bits.TrailingZeros32(rest)]; v == Absent {
			w.null()
		} else {
			w.int(v)
		}
	}
}

// ParseUpdate reads what AppendUpdate wrote into u and returns the bytes after it.
// It writes only the fields of the mask to u.Quote, and checks and skips the values
// of fields that this package does not know.
func ParseUpdate(src []byte, u *Update) (rest []byte, err error) {
	r := getReader(src)
	if err := r.update(u); err != nil {
		return src, r.put(err)
	}
	rest = r.rest()
	return rest, r.put(nil)
}

// update reads an update under its number.
func (r *reader) update(u *Update) error {
	n, err := r.array()
	if err != nil {
		return err
	}
	id, err := r.uint(1<<32 - 1)
	if err != nil {
		return err
	}
	u.ID = uint32(id)
	return r.updateTail(u, n-1)
}

// updateTail reads an update after its key; n elements are left of its array.
func (r *reader) updateTail(u *Update, n int) error {
	if n < 3 {
		return ErrCount
	}
	seq, err := r.uint(MaxInt)
	if err != nil {
		return err
	}
	flags, err := r.uint(255)
	if err != nil {
		return err
	}
	mask, err := r.uint(1<<32 - 1)
	if err != nil {
		return err
	}
	u.Seq, u.Flags, u.Mask, u.History = seq, Flags(flags), Mask(mask), 0
	if n != 3+u.extra() {
		return ErrCount
	}
	if u.Flags&Image != 0 {
		if u.History, err = r.uint(MaxInt); err != nil {
			return err
		}
	}
	for rest := uint32(mask); rest != 0; rest &= rest - 1 {
		v, err := r.value()
		if err != nil {
			return err
		}
		if f := Field(bits.TrailingZeros32(rest)); f < NumFields {
			if v != Absent && !f.holds(v) {
				return ErrRange
			}
			u.Quote[f] = v
		}
	}
	u.Mask &= AllFields
	return nil
}

// ErrScale: decimals printed in another scale than the one held, which JSON names
// when it changes.
var ErrScale = errors.New("codec: decimals of another scale than the one held")

// MergeUpdate merges an update of a Message into the quote that its receiver holds; an
// image replaces it. On ErrScale q is as it was: the update would move the point of
// the fields that it does not bring.
func (q *Quote) MergeUpdate(u *Update) error {
	if u.Flags&Image != 0 {
		*q = Empty
	}
	fields := u.Mask
	for _, g := range groups {
		printed := u.Quote[g.scale]
		if u.Mask.Has(g.scale) || printed == Absent {
			continue
		}
		if held := q[g.scale]; held != Absent && held != printed {
			return ErrScale
		}
		fields |= 1 << g.scale
	}
	q.Merge(&u.Quote, fields)
	return nil
}
