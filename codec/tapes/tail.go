package tapes

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tickwire/tickwire/codec"
)

const (
	listEvery = time.Second
	// bearFor is how long Redis may fail, a failover say, before a tail gives up.
	bearFor   = 5 * time.Second
	bearEvery = 200 * time.Millisecond
)

// Tail is what is to be read, and who is told of it: one at a time, in the order in which
// it came, and nobody once the context has ended.
type Tail struct {
	Streams []string // none: all that there are, and those that appear
	Symbols []string // symbols and patterns; none: all
	From    From

	OnEntry func(*Read)               // it holds what it is given until it returns
	OnPage  func()                    // there is no more for the moment
	OnNote  func(stream, note string) // what happens to a stream: a hole, silence; or, of "", to all
}

// From is where reading begins: with what comes next, unless it says otherwise.
type From struct {
	Beginning bool     // of what is retained
	ID        codec.ID // of an entry, which is the first to be read; 0-0: none
}

// ParseFrom reads "beginning", or an entry's id.
func ParseFrom(text string) (From, error) {
	if text == "" || text == "beginning" {
		return From{Beginning: text != ""}, nil
	}
	id, err := codec.ParseID(text)
	if err != nil || id == (codec.ID{}) || id.Epoch > codec.MaxInt || id.N > codec.MaxInt {
		return From{}, fmt.Errorf("%.80q is no entry's id: take beginning, or one as 1795750944246-812", text)
	}
	return From{ID: id}, nil
}

// Read is an entry, and those of its updates that were asked for.
type Read struct {
	Stream string
	codec.Entry
	Updates []Update
}

// Update is a change of a symbol, in its whole quote as far as that is known.
type Update struct {
	Symbol string
	codec.Update
	// Unknown is what cannot be said in decimals, for it is not known how many there are: the
	// scale changed since, and the last time that it was on the tape before is not retained.
	Unknown codec.Mask
}

// tailing is a Tail under way.
type tailing struct {
	*Tail
	redis   *Redis
	readers *errgroup.Group
	ctx     context.Context

	mu      sync.Mutex // held while someone is told
	streams map[string]bool
	told    bool // that there is no stream
}

// Run reads until ctx ends, which is no error, or Redis does not answer for long.
func (t *Tail) Run(ctx context.Context, r *Redis) error {
	names, err := r.Streams(ctx, t.Streams...)
	if err != nil {
		return ended(ctx, err)
	}
	readers, both := errgroup.WithContext(ctx)
	g := &tailing{Tail: t, redis: r, readers: readers, ctx: both, streams: make(map[string]bool)}
	g.list(names, t.From)
	if len(t.Streams) == 0 {
		readers.Go(g.discover)
	}
	return ended(ctx, readers.Wait())
}

// ended is err, unless ctx has ended: then that is why.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// discover has streams read that appear later, from their beginning.
func (g *tailing) discover() error {
	bear := patience{tailing: g}
	for sleep(g.ctx, listEvery) {
		names, err := g.redis.Streams(g.ctx)
		if err := bear.with(err); err != nil {
			return err
		}
		if err == nil {
			g.list(names, From{Beginning: true})
		}
	}
	return nil
}

// list has a reader for every stream.
func (g *tailing) list(names []string, from From) {
	if len(names) == 0 && !g.told {
		g.told = true
		g.note("", "there is no stream yet: is a feed running?")
	}
	for _, name := range names {
		if g.streams[name] {
			continue
		}
		g.streams[name] = true
		r, err := g.redis.reader(name)
		if err == nil && len(g.streams) > StreamsMax {
			err = fmt.Errorf("there are more than %d", StreamsMax)
		}
		if err != nil {
			g.note(name, fmt.Sprintf("is not read: %v", err))
			continue
		}
		s := &tailed{tailing: g, reader: r, board: make(board), from: from}
		g.readers.Go(s.run)
	}
}

// tell calls one of the functions, unless ctx has ended.
func (g *tailing) tell(do func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ctx.Err() == nil {
		do()
	}
}

func (g *tailing) note(stream, note string) {
	g.tell(func() { g.OnNote(codec.Printable(stream), note) })
}

// wants reports whether a symbol is to be read.
func (t *Tail) wants(symbol []byte) bool {
	for _, name := range t.Symbols {
		if prefix, pattern := strings.CutSuffix(name, "*"); pattern && bytes.HasPrefix(symbol, []byte(prefix)) || name == string(symbol) {
			return true
		}
	}
	return len(t.Symbols) == 0
}

// patience is how long a Redis that fails is asked again. It belongs to one goroutine.
type patience struct {
	*tailing
	stream string    // "": the list of them
	since  time.Time // of the first failure in a row
}

// with takes what a read ended with, and waits a little, or returns it when that is enough.
func (p *patience) with(err error) error {
	switch {
	case err == nil:
		p.since = time.Time{}
		return nil
	case p.ctx.Err() != nil || spoken(err):
		return err
	case p.since.IsZero():
		p.since = time.Now()
		if p.stream != "" {
			p.note(p.stream, fmt.Sprintf("cannot be read, trying again: %v", err))
		}
	case time.Since(p.since) > bearFor:
		return err
	}
	if p.stream != "" || len(p.streams) == 0 { // the list is looked at beside its streams
		p.redis.Reopen()
	}
	sleep(p.ctx, bearEvery)
	return nil
}
