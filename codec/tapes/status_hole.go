package tapes

import (
	"cmp"
	"context"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tickwire/tickwire/codec"
)

// Hole is where an entry does not add to the one before it, or cannot be read. Of those that
// are not read for a status, nothing is known but their ids: Verify reads all.
type Hole struct {
	ID  string        `json:"id"` // of the entry
	Age time.Duration `json:"age_ns"`
}

// holes finds the newest hole in entries that follow each other, taken from the newest on.
type holes struct {
	after  codec.Entry // the entry after the one taken; zero: there is none, or it cannot be read
	newest *Hole
}

// take is the entry's header.
func (h *holes) take(m *redis.XMessage) (codec.Entry, error) {
	e, _, err := codec.ParseEntry(EntryBytes(m))
	switch {
	case h.newest != nil:
	case err != nil || e.ID.String() != m.ID:
		h.newest = &Hole{ID: m.ID}
		if h.after.SentAt > 0 {
			h.newest.Age = age(h.after.SentAt)
		}
	case h.after.ID != (codec.ID{}) && h.after.Prev != e.ID:
		h.newest = &Hole{h.after.ID.String(), age(h.after.SentAt)}
	}
	h.after = e
	return e, err
}

// hole finds the newest one without reading all entries. A reign's ids count from 0, so that
// the last of each says how many entries there are if none is missing; and how they begin is
// read. Only if one is missing are all of them read, back to there.
func (r *Redis) hole(ctx context.Context, stream string, l *look) (*Hole, error) {
	newest, entries, err := r.reigns(ctx, stream, l)
	if err != nil || entries == l.length {
		return newest, err
	}
	var h holes
	err = r.back(ctx, stream, func(m *redis.XMessage) bool {
		h.take(m)
		return h.newest == nil
	})
	return cmp.Or(h.newest, newest), err
}

// reigns reads the first two entries of every reign, and the one before them: the newest
// hole there, and how many entries there are if none is missing. That is -1 if it cannot be
// said: an id is no feed's, or reigns were trimmed meanwhile.
func (r *Redis) reigns(ctx context.Context, stream string, l *look) (newest *Hole, entries int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	oldest, err1 := codec.ParseID(l.first.ID)
	last, err2 := codec.ParseID(l.last.ID) // of the reign
	if err1 != nil || err2 != nil {
		return nil, -1, nil
	}
	for h := new(holes); ; {
		second := codec.ID{Epoch: last.Epoch, N: 1}
		begin, err := r.Now().XRevRangeN(ctx, codec.TapeKey(stream), second.String(), "-", 3).Result()
		if err != nil {
			return nil, 0, r.failed(err)
		}
		h.after = codec.Entry{} // is not read
		prior := last
		for i := 0; i < len(begin) && prior.Epoch == last.Epoch; i++ {
			h.take(&begin[i])
			if prior, err = codec.ParseID(begin[i].ID); err != nil {
				return h.newest, -1, nil
			}
		}
		switch {
		case last.Epoch == oldest.Epoch:
			return h.newest, entries + last.N - oldest.N + 1, nil
		case prior.Epoch == last.Epoch:
			return h.newest, -1, nil
		}
		entries += last.N + 1
		last = prior
	}
}
