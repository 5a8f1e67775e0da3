package tapes

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"github.com/tickwire/tickwire/codec"
)

// How much is read back for a rate, whichever comes first.
const (
	rateOver    = 3 * time.Second
	rateEntries = 256 // of 100,000 updates a second, gathered, some 6 MB
)

// Status is a stream at a glance. Ages are by this machine's clock; a zero one is not known.
type Status struct {
	Stream  string `json:"stream"`
	Writer  string `json:"writer"`  // the feed that has the lease; "": none
	Standby string `json:"standby"` // one that is ready to take over, and how many streams it writes

	Epoch  int64         `json:"epoch"`   // Unix ms: when the reign began
	N      int64         `json:"n"`       // of the newest entry
	SentAt int64         `json:"sent_at"` // of the newest entry, us since the Unix epoch
	Lag    time.Duration `json:"lag_ns"`  // since then
	Silent bool          `json:"silent"`  // for too long

	EntryRate  float64       `json:"entries_per_second"` // over the last seconds of the tape
	UpdateRate float64       `json:"updates_per_second"`
	Entries    int64         `json:"entries"`
	Bytes      int64         `json:"bytes"` // that Redis has for them; 0: it does not say
	Retained   time.Duration `json:"retained_ns"`

	Symbols    int           `json:"symbols"`           // in the checkpoint
	Checkpoint time.Duration `json:"checkpoint_age_ns"` // how old it is
	Hole       *Hole         `json:"hole"`              // the newest that is retained
	Trouble    string        `json:"trouble,omitempty"` // what could not be read
}

// Statuses looks at streams.
func (r *Redis) Statuses(ctx context.Context, streams []string) ([]Status, error) {
	all := make([]Status, len(streams))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(8)
	for i, stream := range streams {
		g.Go(func() (err error) {
			if all[i], err = r.status(ctx, stream); spoken(err) {
				all[i].Trouble, err = err.Error(), nil
			}
			return err
		})
	}
	return all, g.Wait()
}

func (r *Redis) status(ctx context.Context, stream string) (Status, error) {
	s := Status{Stream: stream}
	l, err := r.look(ctx, stream)
	if err != nil {
		return s, err
	}
	s.Writer, s.Standby, s.Entries = codec.Printable(l.writer), codec.Printable(l.standby), l.length
	var troubles []string
	trouble := func(format string, args ...any) { troubles = append(troubles, fmt.Sprintf(format, args...)) }
	switch c, _, err := codec.ParseEntry(l.head); {
	case len(l.head) == 0:
		trouble("no checkpoint")
	case err != nil:
		trouble("the checkpoint cannot be read: %v", err)
	default:
		s.Symbols, s.Checkpoint = c.Count, age(c.SentAt)
	}
	if l.last == nil {
		trouble("no entries")
		s.Trouble = strings.Join(troubles, "; ")
		return s, nil
	}
	last, _, err := codec.ParseEntry(EntryBytes(l.last))
	if id, bad := codec.ParseID(l.last.ID); bad == nil {
		s.Epoch, s.N = id.Epoch, id.N
	}
	if err != nil {
		trouble("the newest entry cannot be read: %v", err)
	} else {
		s.SentAt, s.Lag = last.SentAt, age(last.SentAt)
		s.Silent = s.Lag > Silence
	}
	s.Trouble = strings.Join(troubles, "; ")
	if first, _, err := codec.ParseEntry(EntryBytes(l.first)); err == nil {
		s.Retained = max(0, time.Duration(last.SentAt-first.SentAt)*time.Microsecond)
	}
	if err := r.recent(ctx, &s); err != nil {
		return s, err
	}
	if s.Hole == nil {
		if s.Hole, err = r.hole(ctx, stream, &l); err != nil {
			return s, err
		}
	}
	short, cancel := context.WithTimeout(ctx, smallTimeout)
	defer cancel()
	s.Bytes = r.Now().MemoryUsage(short, codec.TapeKey(stream)).Val() // not every user may ask
	return s, nil
}

// age is the time since a moment, us since the Unix epoch.
func age(at int64) time.Duration { return time.Since(time.UnixMicro(at)) }

// recent reads the newest entries: for the rates, and for a hole among them.
func (r *Redis) recent(ctx context.Context, s *Status) error {
	var newest, oldest int64
	var entries, updates, held int // held: by the oldest, which came at the window's beginning
	var h holes
	err := r.back(ctx, s.Stream, func(m *redis.XMessage) bool {
		e, err := h.take(m)
		if err != nil {
			return true
		}
		if newest == 0 {
			newest = e.SentAt
		}
		if time.Duration(newest-e.SentAt)*time.Microsecond > rateOver {
			return false
		}
		oldest, held = e.SentAt, e.Count
		entries, updates = entries+1, updates+e.Count
		return entries < rateEntries
	})
	if over := float64(newest-oldest) / 1e6; over > 0 {
		s.EntryRate, s.UpdateRate = float64(entries-1)/over, float64(updates-held)/over
	}
	s.Hole = h.newest
	return err
}
