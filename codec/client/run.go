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
	Reason string // the node's
}

// advice is what to do about a close code, or an HTTP status.
var advice = map[int]string{
	1002: "this client and the node do not understand each other: update the older one",
	1003: "this client and the node do not understand each other: update the older one",
	1007: "a request was not UTF-8: check the names of the symbols",
	1008: "it was asked too much: put more symbols into fewer requests",
	1009: "a request was too long: ask for fewer symbols at a time",
	4001: "the token was refused: get one for this node, and connect with it",
	4002: "the token has expired: get a new one, and call Auth before it expires",

	http.StatusUnauthorized: "connect with a token that this node takes",
	http.StatusForbidden:    "this token, or this origin, may not connect here: ask whoever runs the node",
}

func (e *FinalError) Error() string {
	text, ok := advice[e.Code]
	if !ok {
		text = "connecting again as before cannot help"
	}
	if e.Reason != "" {
		text = e.Reason + ": " + text
	}
	return fmt.Sprintf("client: refused with %d: %s", e.Code, text)
}

// isFinal reports whether a close code says that coming back cannot help.
func isFinal(code ws.StatusCode) bool {
	switch code {
	case ws.StatusProtocolError, ws.StatusUnsupportedData, ws.StatusInvalidFramePayloadData,
		ws.StatusPolicyViolation, ws.StatusMessageTooBig:
		return true
	}
	return code >= 4000 && code < 4100
}

// errDrained: the moment to leave a node that restarts has come.
var errDrained = errors.New("the node restarts")

// Run stays connected until ctx ends, and returns its error; or ErrConfig, or a
// *FinalError. It must not be called twice at a time.
func (c *Client) Run(ctx context.Context) error {
	if err := c.cfg.check(); err != nil {
		return err
	}
	for attempt := 0; ; attempt++ {
		end := c.connect(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if final := new(FinalError); errors.As(end.err, &final) {
			return final
		}
		if end.talked {
			attempt = 0 // only data, or a reply, proves that the way is free
		}
		wait := rand.N(min(c.pace.backoffMost, c.pace.backoffFirst<<min(attempt, 10)))
		if !end.leave.IsZero() {
			wait = max(0, time.Until(end.leave))
		}
		c.event(Event{Kind: Disconnected, Err: end.err, After: wait})
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
}

// ending is how a connection went.
type ending struct {
	err    error
	talked bool      // data or a reply came
	leave  time.Time // zero, or when to be elsewhere
}

// connect lives through one connection.
func (c *Client) connect(ctx context.Context) ending {
	c.mu.Lock()
	token := c.token
	c.mu.Unlock()
	w, err := dial(ctx, &c.cfg, token)
	if err != nil {
		return ending{err: err}
	}
	s := newSession(c, w)
	left := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		w.bye(ws.StatusNormalClosure, "") // ends the read under way
		close(left)
	})
	err = s.run()
	if !stop() {
		<-left
	}
	if errors.Is(err, errDistrust) {
		c.mu.Lock()
		c.board.distrust()
		c.mu.Unlock()
	}
	switch {
	case errors.Is(err, errPromise):
		w.bye(ws.StatusProtocolError, "")
	case errors.Is(err, errDrained):
		w.bye(ws.StatusNormalClosure, "")
	}
	w.conn.Close()
	s.end()
	return ending{s.explain(err), s.talked, s.leave}
}

// explain is why a connection ended, for people.
func (s *session) explain(err error) error {
	var end *closed
	if errors.As(err, &end) && isFinal(end.code) {
		return &FinalError{int(end.code), end.reason}
	}
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		if f := s.failed.Load(); f != nil {
			return f.err
		}
		if s.greeted {
			return fmt.Errorf("nothing heard for %v", s.silence)
		}
		return fmt.Errorf("no hello within %v: what answers there is no node", s.silence)
	}
	return err
}
