package client

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"time"

	"github.com/gobwas/ws"

	"github.com/tickwire/tickwire/codec"
)

// pace is how patient a client is.
type pace struct {
	backoffFirst, backoffMost time.Duration // before connecting again
	askFirst, askMost         time.Duration // before asking again for what the node lacks
}

var defaultPace = pace{
	backoffFirst: 250 * time.Millisecond, backoffMost: 10 * time.Second,
	askFirst: time.Second, askMost: 5 * time.Second,
}

// FinalError is why the node will not have this client back: connecting again as it
// is cannot help.
type FinalError struct {
	Code   int    // of the close, or the HTTP status of the handshake
	Text   string // the node's words
	Reason string // of a status: one of the protocol's, as "expired"; "" without one
}

func (e *FinalError) Error() string {
	advice := "connecting again as before cannot help"
	switch e.Code {
	case http.StatusUnauthorized, codec.CloseRevoked, codec.CloseExpired:
		advice = "connect with a token that this node takes"
	case http.StatusForbidden:
		advice = "who runs the node says who may connect"
	case codec.CloseReplaced:
		advice = "the token allows no more connections at a time"
	case http.StatusNotFound:
		advice = "a node's stream is at " + codec.StreamPath
	case int(ws.StatusPolicyViolation), int(ws.StatusMessageTooBig):
		advice = "it was asked too much at a time"
	}
	if e.Text != "" {
		advice = e.Text + ": " + advice
	}
	return fmt.Sprintf("client: refused with %d: %s", e.Code, advice)
}

// isFinal reports whether a close code, or the HTTP status of an answer to the
// upgrade, says that coming back cannot help.
func isFinal(code int) bool {
	switch code {
	case http.StatusRequestTimeout, http.StatusTooManyRequests:
		return false
	}
	return code >= 400 && code < 500 || codec.IsFinalClose(code)
}

var (
	errSilent = errors.New("nothing heard")
	// errDrained: a node that restarts has sent us away, or was to have done so by now.
	errDrained = errors.New("the node restarts")
)

// retryError is an answer to the upgrade that may be another later.
type retryError struct {
	status int
	reason string
	after  time.Duration // that the node wants to be left alone at the least
}

func (e *retryError) Error() string {
	return fmt.Sprintf("HTTP %d %s: %s", e.status, http.StatusText(e.status), e.reason)
}

// Run stays connected until ctx ends, and returns its error; or ErrConfig, or a
// *FinalError. It must not be called twice at a time.
func (c *Client) Run(ctx context.Context) error {
	if err := c.cfg.check(); err != nil {
		return err
	}
	for attempt := 0; ; attempt++ {
		s, err := c.connect(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if final := new(FinalError); errors.As(err, &final) && !c.survives(final) {
			return final
		}
		if errors.Is(err, ErrConfig) {
			return err // of Auth's token
		}
		drained := !s.leave.IsZero()
		if s.talked && !errors.Is(err, errPromise) && !(drained && time.Since(s.began) < c.pace.backoffMost) {
			attempt = 0 // only data, or a reply, proves that the way is free
		}
		wait := rand.N(min(c.pace.backoffMost, c.pace.backoffFirst<<min(attempt, 10)))
		switch left := time.Until(s.leave); {
		case !drained:
		case left > 0 && !errors.Is(err, errDrained):
			wait = max(wait, rand.N(left)) // it ended with all its connections
		case attempt == 0:
			wait = 0 // it sends away one after the other
		}
		if later := new(retryError); errors.As(err, &later) {
			wait += later.after
		}
		kind := Connecting
		if errors.Is(err, errSilent) {
			kind = Stale
		}
		c.event(Event{Kind: kind, Err: err, After: wait})
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
}

// connect lives through one connection, and tells how it went and why it ended.
func (c *Client) connect(ctx context.Context) (*session, error) {
	token, err := c.present(ctx)
	if err != nil {
		return new(session), err
	}
	w, err := dial(ctx, &c.cfg, token)
	if err != nil {
		return new(session), err
	}
	life, end := context.WithCancel(ctx)
	defer end()
	s := newSession(c, w)
	s.token, s.life = token, life
	stop := context.AfterFunc(ctx, func() { w.bye(ws.StatusNormalClosure) }) // ends the read under way
	err = s.run()
	stop()
	if errors.Is(err, errDistrust) {
		c.mu.Lock()
		c.board.distrust()
		c.mu.Unlock()
	}
	if errors.Is(err, errPromise) {
		w.bye(ws.StatusProtocolError)
	}
	w.conn.Close()
	end()
	s.end()
	return s, s.explain(err)
}

// explain is why a connection ended, for people.
func (s *session) explain(err error) error {
	var timeout net.Error
	switch {
	case errors.Is(err, net.ErrClosed):
		return fmt.Errorf("the node took no request for %v", writeTimeout)
	case !errors.As(err, &timeout) || !timeout.Timeout():
		return err
	case s.hello == nil:
		return fmt.Errorf("no hello within %v: what answers there is no node", s.silence)
	}
	return fmt.Errorf("%w for %v", errSilent, s.silence)
}
