package client

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"
	"unicode"

	"github.com/tickwire/tickwire/codec"
)

const (
	renewLeast = 5 * time.Second    // before its end a token is renewed, if it has so long
	renewPause = time.Second        // between two tokens at the least
	ttlMost    = 365 * 24 * 60 * 60 // seconds; more is as good
)

// errToken: text that is no token, and would not be a header's.
var errToken = fmt.Errorf("%w: token: it has a blank, a newline or the like", ErrConfig)

func checkToken(token string) error {
	if strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r >= unicode.MaxASCII }) {
		return errToken
	}
	return nil
}

// pass is the token in use, and when another is due.
type pass struct {
	token string
	due   time.Time // when Renew is to be asked; zero: nobody said how long the token is good
	spent bool      // a node said that it has expired
}

// ttlOf is for how long a node says that a token is good; 0 when it does not.
func ttlOf(seconds *int64) time.Duration {
	if seconds == nil {
		return 0
	}
	return time.Duration(min(max(0, *seconds), ttlMost)) * time.Second
}

// lasts notes for how long the token is good: a node may say so again, but never has it
// renewed later than it said first.
func (p *pass) lasts(seconds *int64) {
	if seconds == nil {
		return
	}
	if due := time.Now().Add(renewAfter(ttlOf(seconds))); p.due.IsZero() || due.Before(p.due) {
		p.due = due
	}
}

// renewAfter is how long a token that is good for so long is left alone: two thirds of it,
// or less for one that would then end within renewLeast; a tenth less or not, so that
// tokens given out together are not renewed together.
func renewAfter(left time.Duration) time.Duration {
	wait := max(renewPause, left/3, min(left*2/3, left-renewLeast))
	return wait - rand.N(wait/10)
}

// Auth has the node take a new token in place of the one that will expire, on this
// connection and on later ones; requests wait until it has. What the new one does not
// cover ends, and comes as Refused; what the old one did not cover is asked for. When the
// node refuses the new one, that comes as Refused without a symbol, and the old one counts
// again, on later connections too. Without a connection the new one is what the next shows.
func (c *Client) Auth(token string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pass = pass{token: token}
	if s := c.session; s != nil {
		s.auth, s.authLater = true, false
		s.kick()
	}
}

// present is the token to connect with: the one in use, unless another is due.
func (c *Client) present(ctx context.Context) (string, error) {
	c.mu.Lock()
	p := c.pass
	c.mu.Unlock()
	if c.cfg.Renew == nil || !p.spent && p.token != "" && (p.due.IsZero() || time.Now().Before(p.due)) {
		return p.token, checkToken(p.token)
	}
	token, err := c.renewed(ctx)
	switch {
	case err == nil:
	case p.spent || p.token == "":
		return "", err
	default: // it may still be good
		c.event(Event{Kind: Token, Err: err})
		return p.token, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pass == p { // nobody has called Auth meanwhile
		c.pass = pass{token: token}
	}
	return c.pass.token, checkToken(c.pass.token)
}

// renewed asks for a token.
func (c *Client) renewed(ctx context.Context) (string, error) {
	token, err := c.cfg.Renew(ctx)
	if err == nil && token == "" {
		err = errors.New("there is none")
	}
	if err == nil {
		err = checkToken(token)
	}
	if err != nil {
		return "", fmt.Errorf("no new token: %v", err) // also of ErrConfig: it may be better later
	}
	return token, nil
}

// survives reports whether another token may help against what refused this one.
func (c *Client) survives(why *FinalError) bool {
	expired := why.Code == codec.CloseExpired || why.Code == http.StatusUnauthorized && why.Reason == "expired"
	if c.cfg.Renew == nil || !expired {
		return false
	}
	c.mu.Lock()
	c.pass.spent = true
	c.mu.Unlock()
	return true
}

// renew has the token of a connection renewed before it ends.
func (s *session) renew() {
	c, pause := s.client, s.client.pace.askFirst
	for s.life.Err() == nil { // it may end while Renew runs, with another token still due
		c.mu.Lock()
		p, wait := c.pass, time.Hour
		if !p.due.IsZero() && !s.renewing() {
			wait = time.Until(p.due)
		}
		c.mu.Unlock()
		if wait > 0 {
			select {
			case <-s.over:
				return
			case <-s.aged:
			case <-time.After(wait):
			}
			continue
		}
		token, err := c.renewed(s.life)
		c.mu.Lock()
		switch {
		case s.life.Err() != nil || c.pass != p: // lost, or Auth was called
		case err == nil && token != p.token:
			c.pass, s.auth, pause = pass{token: token}, true, c.pace.askFirst
			s.kick()
		default:
			// A tenth more or less, so that clients do not stay in step.
			after := time.Duration(float64(pause) * (0.9 + 0.2*rand.Float64()))
			c.pass.due, pause = time.Now().Add(after), min(2*pause, c.pace.backoffMost)
			if err != nil {
				s.events = append(s.events, Event{Kind: Token, Err: err, After: after})
			}
		}
		c.mu.Unlock()
	}
}

// renewing reports whether the node is to take a new token. The caller holds mu, here and
// below.
func (s *session) renewing() bool { return s.auth || s.authLater || s.authing }

// age has the renewal look at the clock.
func (s *session) age() {
	select {
	case s.aged <- struct{}{}:
	default:
	}
}

// authorized takes the reply to auth: what the new token ends, and what it slows down. It
// has what the one before did not cover asked for, and what that slowed down.
func (s *session) authorized(r *codec.Reply, a *asked) (events []Event) {
	c := s.client
	s.token = a.token
	if c.pass.token == s.token {
		c.pass.due = time.Time{}
		c.pass.lasts(r.TokenTTL)
		s.age()
	}
	events = append(events, Event{Kind: Token, After: ttlOf(r.TokenTTL)})
	var again []*want
	for _, w := range c.inOrder() {
		if w.state == idle && w.barred != "" || w.state == held && w.slowed {
			again = append(again, w)
		}
	}
	for i := range r.Results {
		if e, ok := s.narrowed(&r.Results[i]); ok {
			events = append(events, e)
		}
	}
	for _, w := range again {
		if w.barred != s.token {
			c.ask(w)
		}
	}
	return events
}

// narrowed takes what a new token did to a symbol, or to a pattern. What ended keeps its
// quote, as through a lost connection: it may be covered again.
func (s *session) narrowed(x *codec.Result) (e Event, news bool) {
	c, w := s.client, s.client.wants[x.Symbol]
	if w == nil && c.takes(x.Symbol) == 0 {
		return e, false // unsubscribed meanwhile
	}
	r := c.board.rows[x.Symbol]
	if x.Error != nil {
		if w != nil && w.state != queued {
			w.state, w.barred = idle, s.token
		}
		if r != nil {
			c.board.count(r, false)
		}
		return Event{Kind: Refused, Symbol: x.Symbol, Err: x.Error}, true
	}
	if x.ID == nil {
		return e, false
	}
	c.board.confirm(x.Symbol, *x.ID, allOr(x.Fields), false)
	e = Event{Kind: Subscribed, Symbol: x.Symbol, Matched: 1}
	if x.Rate != nil {
		e.Rate = *x.Rate
	}
	for w := range c.takers(x.Symbol) {
		w.slowed = true
	}
	return e, true
}

// unauthorized is when the node is asked again to take the token that it refused; 0 for
// never. Then that before it counts again, here and on later connections, as the node has
// it, and Renew, if there is one, is asked for another in a while.
func (s *session) unauthorized(a *asked, retry bool) time.Duration {
	c := s.client
	if s.authLater = retry && c.pass.token == a.token; s.authLater {
		return s.putOff()
	}
	if c.pass.token == a.token {
		c.pass = pass{token: s.token, due: time.Now().Add(c.pace.backoffMost)}
		s.auth = false // Auth was called again with this one: the node has the other
		s.age()
	}
	return 0
}
