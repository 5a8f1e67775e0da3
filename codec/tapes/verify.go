package tapes

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tickwire/tickwire/codec"
)

const (
	findingsMax      = 20              // of a stream, that are told
	checkpointWithin = 3 * time.Second // a writer has one every second
	newerWithin      = 2 * time.Second // what a checkpoint was ahead of the tape with comes
	syncsMax         = 3               // after a break one checkpoint is taken up before the next can be compared
)

// Report is what Verify has checked of a stream, and what is wrong.
type Report struct {
	Stream  string `json:"stream"`
	From    string `json:"from"` // id of the first entry that was read
	To      string `json:"to"`   // and of the last
	Entries int64  `json:"entries"`
	Updates int64  `json:"updates"`

	Reigns  int   `json:"reigns"`  // that began within
	Breaks  int   `json:"breaks"`  // where one says that it does not go on from the entry before
	Jumps   int64 `json:"jumps"`   // updates whose seq is not the next: they were merged, or a reign began
	Trimmed int   `json:"trimmed"` // times that entries were gone before they were read: they are not checked

	Symbols  int    `json:"symbols"`    // in the checkpoint that was compared
	Compared int    `json:"compared"`   // of which the entries since an earlier one add up to its very quote
	Merged   int    `json:"merged"`     // and of which no entry has the seq that it has: it was ahead, and they were merged
	AsOf     string `json:"checkpoint"` // the id that it is as of; "": none could be compared

	Findings []string `json:"findings"` // what is wrong
	More     int      `json:"more"`     // and how much more that is not told
}

// Good reports whether nothing is wrong.
func (r *Report) Good() bool { return len(r.Findings) == 0 }

// find adds what is wrong, once.
func (r *Report) find(format string, args ...any) {
	text := codec.Printable(fmt.Sprintf(format, args...))
	switch {
	case slices.Contains(r.Findings, text):
	case len(r.Findings) == findingsMax:
		r.More++
	default:
		r.Findings = append(r.Findings, text)
	}
}

// Verify checks streams, all at a time: what is retained, what comes for a while, and that
// the entries from one checkpoint to a later one add up to it.
func (r *Redis) Verify(ctx context.Context, streams []string, during time.Duration) ([]Report, error) {
	all := make([]Report, len(streams))
	end := time.Now().Add(during)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(StreamsMax)
	for i, stream := range streams {
		g.Go(func() error {
			v := verifier{Report: Report{Stream: stream, Findings: []string{}}, board: make(board)}
			err := v.run(ctx, r, end)
			if spoken(err) {
				v.find("cannot be read: %v", err)
				err = nil
			}
			all[i] = v.Report
			return err
		})
	}
	return all, g.Wait()
}

// verifier is one stream under way.
type verifier struct {
	Report
	*reader
	board board
	at    codec.Entry // read last
	whole bool        // the quotes on the board are as of it: a checkpoint, and all entries since
	syncs int         // checkpoints taken up or compared
	newer map[string]*codec.TapeItem
	heard time.Time
	end   bool // there were no more entries
	over  bool // nothing more can be checked
}

// run checks the stream, at least until a moment.
func (v *verifier) run(ctx context.Context, r *Redis, until time.Time) (err error) {
	if v.reader, err = r.reader(v.Report.Stream); err != nil {
		v.find("no node reads it: %v", err)
		return nil
	}
	v.heard = time.Now()
	if err := v.begin(ctx); err != nil {
		return err
	}
	if err := v.read(ctx, func() bool { return v.end }); err != nil { // what is retained
		return err
	}
	known := v.Entries
	if err := v.read(ctx, func() bool { return v.Entries > known }); err != nil { // or it is silent
		return err
	}
	if err := v.sync(ctx); err != nil {
		return err
	}
	if err := v.read(ctx, func() bool { return time.Now().After(until) }); err != nil {
		return err
	}
	for v.AsOf == "" && v.syncs < syncsMax && !v.over {
		if err := v.sync(ctx); err != nil {
			return err
		}
	}
	if v.AsOf == "" && v.Good() {
		v.find("no checkpoint could be compared with the entries before it")
	}
	return v.settle(ctx)
}

// begin looks at what there is before any of it is read.
func (v *verifier) begin(ctx context.Context) error {
	l, err := v.look(ctx, v.stream)
	if err != nil {
		return err
	}
	if l.last == nil {
		v.over = true
		v.find("no entries: is a feed writing it? If there is to be none, tickwire tape drop %s", v.stream)
		return nil
	}
	c, _, err := codec.ParseEntry(l.head)
	first, _, bad := codec.ParseEntry(EntryBytes(l.first))
	last, _ := codec.ParseID(l.last.ID)
	switch {
	case len(l.head) == 0:
		v.find("no checkpoint: a node that begins now has no quotes")
	case err != nil:
		v.find("the checkpoint cannot be read: %v", err)
	case bad == nil && c.ID.Less(first.ID) && c.ID != first.Prev:
		v.find("the checkpoint is as of %s, and the oldest entry, %s, adds to %s: a node that begins now finds a hole", c.ID, first.ID, first.Prev)
	case last.Less(c.ID):
		v.find("the checkpoint is as of %s, the newest entry is %s: Redis has lost entries", c.ID, last)
	}
	return nil
}

// read takes entries until there are enough, which is asked after each and each page, or
// the stream is silent.
func (v *verifier) read(ctx context.Context, enough func() bool) error {
	for !v.over {
		entries, err := v.next(ctx)
		if err != nil {
			return err
		}
		for i := range entries {
			v.end = false
			if err := v.take(ctx, &entries[i]); err != nil || v.over {
				return err
			}
			if enough() {
				v.full = true // what is left of the page is there
				return nil
			}
		}
		if v.end = len(entries) < pageCount; len(entries) > 0 {
			v.heard = time.Now()
		} else if time.Since(v.heard) > Silence {
			v.over = true
			v.find("silent: nothing came for %v after %s, and an idle stream has an entry every 250ms: is a feed writing it? If there is to be none, tickwire tape drop %s", Silence, v.last, v.stream)
		}
		if enough() {
			return nil
		}
	}
	return nil
}

// lost is called where entries do not add to what was read: quotes are not known then.
func (v *verifier) lost() {
	v.whole = false
	for _, r := range v.board {
		r.quote, r.whole = codec.Empty, false
	}
}

// settle follows on until what a checkpoint was ahead of the tape with has come.
func (v *verifier) settle(ctx context.Context) error {
	end := time.Now().Add(newerWithin)
	err := v.read(ctx, func() bool { return len(v.newer) == 0 || time.Now().After(end) })
	if err != nil || v.over {
		return err
	}
	for symbol, it := range v.newer {
		r, u := v.board[symbol], &it.Update
		// A reign that may lack something has seqs go on from its beginning, in us.
		if r != nil && u.Seq%1000 == 0 && u.Seq/1000 <= v.at.ID.Epoch && len(differences(r, u, codec.AllFields)) == 0 {
			v.Compared++
			continue
		}
		v.find("checkpoint %s has %s at seq %d, which no entry has brought", v.AsOf, symbol, u.Seq)
	}
	return nil
}

// bytesBad is the unreadable that err is, if it is one.
func bytesBad(err error) (bad *unreadable) {
	errors.As(err, &bad)
	return bad
}
