package feed

import (
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/gobwas/ws"

	"github.com/tickwire/tickwire/codec"
)

// want is a subscription: a channel of a symbol, in the venue's spelling.
type want struct{ channel, native string }

// askTries is how often what was not confirmed is asked for again before it is given
// up: then it is said once, and asked for now and then.
const askTries = 3

// join begins the life of a link that has connected: it wants all of its leg.
func (l *link) join(conn net.Conn, now time.Time) {
	l.conn, l.up, l.began, l.heard, l.pinged = conn, true, now, now, now
	l.wanted = make(map[want]bool)
	for _, native := range l.leg.symbols {
		if now.Before(l.leg.refused[native]) {
			continue
		}
		for _, channel := range l.leg.part.channels {
			l.wanted[want{channel, native}] = true
		}
	}
	l.askAt = now
}

// ask sends the next request when it is due, and asks again for what the venue has
// not confirmed in time.
func (s *session) ask(l *link, now time.Time) error {
	if len(l.queue) > 0 {
		if now.Before(l.sendAt) {
			return nil
		}
		if err := l.write(ws.OpText, l.queue[0]); err != nil {
			return fmt.Errorf("subscribe: %w", err)
		}
		l.sendAt = now.Add(s.venue.requestGap)
		if l.queue = l.queue[1:]; len(l.queue) == 0 {
			wait := s.pace.again
			if l.tries <= askTries {
				wait = s.pace.ack << l.tries
			}
			l.tries++
			l.askAt = now.Add(wait)
		}
		return nil
	}
	if len(l.wanted) == 0 || now.Before(l.askAt) {
		if len(l.wanted) == 0 && !l.ready {
			l.ready, l.readyAt = true, now
			s.log.Info("subscribed", "venue", s.venue.name, "path", l.leg.part.path, "symbols", len(l.leg.symbols))
		}
		return nil
	}
	if l.tries == askTries+1 {
		s.giveUp(l)
	}
	s.enqueue(l)
	return s.ask(l, now)
}

// enqueue makes the requests for all that is wanted.
func (s *session) enqueue(l *link) {
	for _, channel := range l.leg.part.channels {
		var native []string
		for w := range l.wanted {
			if w.channel == channel {
				native = append(native, w.native)
			}
		}
		slices.Sort(native)
		for some := range slices.Chunk(native, s.venue.batchMax) {
			l.asked++
			l.queue = append(l.queue, s.venue.subscribe(l.asked, channel, some))
		}
	}
}

// giveUp says what the venue never confirmed: a symbol that it is silent about, too,
// is down.
func (s *session) giveUp(l *link) {
	l.ready, l.readyAt = true, time.Now()
	missing := make(map[string]bool)
	for w := range l.wanted {
		missing[w.native] = true
		s.in.counts.event("unconfirmed")
	}
	var names []string
	for _, native := range l.leg.symbols {
		if missing[native] {
			names = append(names, native)
			s.down(l, native)
		}
	}
	s.log.Error("never confirmed; are they listed?", "venue", s.venue.name, "symbols", names)
}

func (s *session) down(l *link, native string) {
	if symbol := s.canonical(native); !l.spoke[symbol] {
		s.in.say(symbol, codec.Down)
	}
}

// confirm strikes what the venue confirmed off the list.
func (l *link) confirm(a ack) {
	if a.channel != "" {
		delete(l.wanted, want{a.channel, a.symbol})
		return
	}
	for _, channel := range l.leg.part.channels {
		delete(l.wanted, want{channel, a.symbol})
	}
}

// refused takes a symbol that the venue will not have off the list, and asks for the
// others again: they may have been refused with it.
func (s *session) refused(l *link, a ack) {
	now := time.Now()
	if now.Before(l.leg.refused[a.symbol]) {
		return // for another of its channels
	}
	s.log.Warn("the venue refuses", "venue", s.venue.name, "symbol", a.symbol, "reason", a.err)
	s.in.counts.event("refused")
	if !slices.Contains(l.leg.symbols, a.symbol) {
		return // no symbol of ours: what is missing is asked for in time
	}
	l.confirm(ack{symbol: a.symbol})
	l.leg.refused[a.symbol] = now.Add(s.pace.again)
	s.down(l, a.symbol)
	l.tries = min(l.tries, 1)
	if soon := now.Add(s.pace.ack / 5); soon.Before(l.askAt) {
		l.askAt = soon
	}
}
