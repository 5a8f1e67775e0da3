package feed

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gobwas/ws"

	"github.com/tickwire/tickwire/codec"
)

// session is a source: one venue, live. Everything that venues have in common is
// here, once: dialling, subscribing, checking what was confirmed, pings, silence,
// coming back, and leaving before the venue closes.
//
// One goroutine owns it all; links only dial and read. A leg, the symbols and
// channels of one connection, holds a link, and two while it rotates:
//
//	      dial             data
//	away -------> joining -----> live ------> live and next (joining)
//	 ^  failed: back off, down     |  rotation       | all confirmed: the old one is left
//	 +-----------------------------+                 v
//	   silence, close or error: stale, GAP          live
type session struct {
	venue   *venue
	url     string   // of the venue, or another that stands in for it
	symbols []string // canonical, without the venue
	in      *source
	log     *slog.Logger
	pace    pace // zero: livePace

	inbox   chan inbound
	legs    []*leg
	workers sync.WaitGroup // links' goroutines
}

// leg is what one connection is asked for.
type leg struct {
	part    part
	symbols []string // in the venue's spelling

	links    []*link   // the one in use, and while it rotates the next
	failed   int       // links in a row that brought no data
	dialAt   time.Time // not before
	rotateAt time.Time
	had      bool                 // data came, ever: what comes after an end has a gap
	refused  map[string]time.Time // symbols the venue will not have, and until when we believe it
}

// pace is how long things take. Tests are in more of a hurry than venues.
type pace struct {
	clock      time.Duration // how often what is due is looked for
	dial       time.Duration
	ping       time.Duration // of silence, before a ping
	silence    time.Duration // of the whole connection; a heartbeat and a pong count
	ack        time.Duration // before asking again, doubled each time
	backoff    time.Duration
	backoffMax time.Duration
	linger     time.Duration // on the old link when the next is ready: what is under way arrives
	overlap    time.Duration // of a rotation, at the most
	again      time.Duration // before symbols given up are asked for again
}

var livePace = pace{
	clock: 50 * time.Millisecond, dial: 10 * time.Second,
	ping: 8 * time.Second, silence: 20 * time.Second, ack: 5 * time.Second,
	backoff: 500 * time.Millisecond, backoffMax: 30 * time.Second,
	linger: time.Second, overlap: time.Minute, again: 10 * time.Minute,
}

// downAfter is how many links in a row may fail before its symbols are down.
const downAfter = 3

// run keeps the venue's connections until ctx ends.
func (s *session) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer func() {
		cancel() // closes what links have open
		s.workers.Wait()
	}()
	s.begin()
	clock := time.NewTicker(s.pace.clock)
	defer clock.Stop()
	for {
		select {
		case <-ctx.Done():
			for _, g := range s.legs {
				for _, l := range g.links {
					l.close()
				}
			}
			return nil
		case a := <-s.inbox:
			s.arrive(a)
			for more := len(s.inbox); more > 0 && !s.in.full(); more-- {
				s.arrive(<-s.inbox)
			}
		case now := <-clock.C:
			for _, g := range s.legs {
				s.tend(ctx, g, now)
			}
		}
		s.in.flush(ctx)
	}
}

// begin spreads the symbols over legs: the venue bounds a connection.
func (s *session) begin() {
	if s.pace == (pace{}) {
		s.pace = livePace
	}
	s.inbox = make(chan inbound, 256)
	var symbols []string
	for _, symbol := range s.symbols {
		symbols = append(symbols, s.venue.native(symbol))
	}
	slices.Sort(symbols)
	symbols = slices.Compact(symbols)
	for _, part := range s.venue.parts {
		for some := range slices.Chunk(symbols, s.venue.symbolsMax) {
			s.legs = append(s.legs, &leg{part: part, symbols: some, refused: make(map[string]time.Time)})
		}
	}
}

func (s *session) tend(ctx context.Context, g *leg, now time.Time) {
	switch {
	case len(g.links) == 2:
		next := g.links[1]
		if next.up && (next.ready && now.Sub(next.readyAt) > s.pace.linger || now.Sub(next.began) > s.pace.overlap) {
			s.rotate(g)
		}
	case now.Before(g.dialAt):
	case len(g.links) == 0, g.links[0].up && !g.rotateAt.IsZero() && !now.Before(g.rotateAt):
		g.links = append(g.links, s.dial(ctx, g))
	}
	for _, l := range slices.Clone(g.links) {
		if !l.up {
			continue
		}
		if err := s.keep(l, now); err != nil {
			s.end(l, err)
		}
	}
}

// keep sends what a link has to send, and finds out whether the venue is there.
func (s *session) keep(l *link, now time.Time) error {
	if err := s.ask(l, now); err != nil {
		return err
	}
	quiet := now.Sub(l.heard)
	if quiet > s.pace.silence {
		s.in.counts.event("silent")
		return fmt.Errorf("silent for %v", quiet.Round(time.Millisecond))
	}
	if quiet > s.pace.ping && now.Sub(l.pinged) > s.pace.ping {
		l.pinged = now
		if err := l.write(ws.OpPing, nil); err != nil {
			return fmt.Errorf("ping: %w", err)
		}
	}
	return nil
}

// dial begins a link; its outcome arrives.
func (s *session) dial(ctx context.Context, g *leg) *link {
	linked, cancel := context.WithCancel(ctx)
	l := &link{leg: g, cancel: cancel, spoke: make(map[string]bool), gap: g.had && len(g.links) == 0}
	g.dialAt = time.Now().Add(s.venue.dialGap)
	url := s.url + g.part.path
	s.workers.Add(1)
	go func() {
		defer s.workers.Done()
		l.open(linked, url, s.pace.dial, s.inbox)
	}()
	return l
}

func (s *session) arrive(a inbound) {
	l := a.link
	switch {
	case l.gone:
	case a.err != nil:
		s.end(l, a.err)
	case a.conn != nil:
		s.in.counts.event("dialled")
		l.join(a.conn, time.Now())
		s.plan(l.leg)
		if err := s.ask(l, l.began); err != nil {
			s.end(l, err)
		}
	default:
		l.heard = time.Now()
		s.message(l, a)
	}
	if a.raw != nil {
		buffers.Put(a.raw)
	}
}

func (s *session) message(l *link, a inbound) {
	switch a.op {
	case ws.OpText, ws.OpBinary:
		s.data(l, a.raw.Bytes(), a.us)
	case ws.OpPing:
		// Binance wants the same payload back.
		if err := l.write(ws.OpPong, a.raw.Bytes()); err != nil {
			s.end(l, fmt.Errorf("pong: %w", err))
		}
	case ws.OpClose:
		code, reason := ws.ParseCloseFrameData(a.raw.Bytes())
		s.end(l, fmt.Errorf("closed by the venue: %d %s", code, reason))
	}
}

// data parses a frame into the block and heeds what it says to us.
func (s *session) data(l *link, raw []byte, us int64) {
	ticks, err := s.in.parse(raw, us)
	if err != nil {
		if sampled(s.in.refused) {
			s.log.Warn(err.Error(), "so_far", s.in.refused)
		}
		return
	}
	g := l.leg
	for i := range ticks {
		if t := &ticks[i]; !l.spoke[t.symbol] {
			l.spoke[t.symbol] = true
			t.gap = l.gap
			if s.venue.byData {
				l.confirm(ack{symbol: s.venue.native(t.symbol[len(s.venue.name)+1:])})
			}
		}
	}
	if len(ticks) > 0 {
		g.had, g.failed = true, 0 // only data proves that we are back
	}
	for _, a := range s.in.frame.acks {
		if a.err != "" {
			s.refused(l, a)
		} else {
			l.confirm(a)
		}
	}
	switch s.in.frame.event {
	case eventOffline:
		s.log.Warn("the venue trades no more for now", "venue", s.venue.name)
		s.say(g, codec.Halted, false)
	case eventRotate:
		g.rotateAt = time.Now()
	}
}

// rotate leaves a leg's old link for the one that was made ready beside it.
func (s *session) rotate(g *leg) {
	s.in.counts.event("rotated")
	s.log.Info("rotated", "venue", s.venue.name, "path", g.part.path)
	g.links[0].close()
	g.links = g.links[1:]
	s.plan(g)
}

// plan sets when a leg's link is to be left: no two at the same time.
func (s *session) plan(g *leg) {
	g.rotateAt = time.Time{}
	if life := s.venue.rotate; life > 0 {
		g.rotateAt = g.links[0].began.Add(life - rand.N(life/20+1))
	}
}

// end gives up a link that failed. Its leg backs off, with full jitter, and what the
// venue said last is stale: unless the link was only to be the next one.
func (s *session) end(l *link, err error) {
	g, event := l.leg, "disconnected"
	l.close()
	if !l.up {
		event = "dial_failed"
	}
	s.in.counts.event(event)
	wait := rand.N(min(s.pace.backoffMax, s.pace.backoff<<min(g.failed, 10)))
	g.failed++
	if at := time.Now().Add(wait); at.After(g.dialAt) {
		g.dialAt = at
	}
	level := slog.LevelWarn
	if g.failed > downAfter {
		level = slog.LevelDebug // it was said
	}
	s.log.Log(context.Background(), level, strings.ReplaceAll(event, "_", " "), "venue", s.venue.name, "path", g.part.path,
		"err", err, "in_a_row", g.failed, "again_in", time.Until(g.dialAt).Round(time.Millisecond))
	i := slices.Index(g.links, l)
	g.links = slices.Delete(g.links, i, i+1)
	if i == 1 {
		g.rotateAt = time.Now().Add(s.pace.overlap)
		return
	}
	if len(g.links) > 0 {
		// It takes over before it was ready: symbols it has not spoken of had a gap.
		g.links[0].gap = true
		s.plan(g)
	}
	gap := g.had && len(g.links) == 0 // at once: what was heard is old from now on
	switch {
	case g.failed >= downAfter:
		s.say(g, codec.Down, gap)
	case g.had:
		s.say(g, codec.Stale, gap)
	}
}

func (s *session) say(g *leg, status int64, gap bool) {
	for _, native := range g.symbols {
		s.in.say(s.canonical(native), status).gap = gap
	}
}

// canonical is a symbol as ticks have it.
func (s *session) canonical(native string) string {
	return s.venue.name + ":" + s.venue.canonical(native)
}
