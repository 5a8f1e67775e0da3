package client

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/gobwas/ws"

	"github.com/tickwire/tickwire/codec"
)

// staleBeats is how many heartbeats may fail to come before the node is given up.
const staleBeats = 2.5

// session is one connection.
type session struct {
	client *Client
	wire   *wire

	// Run's goroutine's.
	silence time.Duration // after which the node is given up
	leave   time.Time     // zero, or when to go if a node that drains has not sent us away
	began   time.Time
	talked  bool // data or a reply came
	msg     codec.Message
	out     Update

	writer sync.WaitGroup
	wake   chan struct{}   // for the writer: something was put below
	aged   chan struct{}   // for the renewal: the token is another, or was refused
	over   chan struct{}   // closed at the end
	life   context.Context // ends with the connection

	// Under Client.mu.
	hello     *codec.Hello // nil before it came
	queue     []*want      // to be asked for, or to be unsubscribed
	calls     []*call
	events    []Event // to be told by Run's goroutine
	token     string  // that the node took last
	auth      bool    // a new token is to be told
	authLater bool    // at askAt, again
	authing   bool    // it was, and is not answered
	paused    bool    // what the node was told
	requests  int64
	asked     map[int64]*asked // requests not answered yet
	askAt     time.Time        // zero, or when wants that are later are due
	askDelay  time.Duration    // the next pause before that
}

func newSession(c *Client, w *wire) *session {
	s := &session{
		client: c, wire: w, silence: dialTimeout, began: time.Now(),
		wake: make(chan struct{}, 1), aged: make(chan struct{}, 1), over: make(chan struct{}),
		asked: make(map[int64]*asked), askDelay: c.pace.askFirst,
	}
	w.deadline = s.deadline
	return s
}

// deadline is when the node's next bytes are due at the latest.
func (s *session) deadline() time.Time {
	at := time.Now().Add(s.silence)
	if !s.leave.IsZero() && s.leave.Before(at) {
		at = s.leave
	}
	return at
}

// run reads messages until the connection ends.
func (s *session) run() error {
	for {
		op, message, err := s.wire.message()
		if !s.leave.IsZero() && !time.Now().Before(s.leave) {
			s.wire.bye(ws.StatusNormalClosure)
			return errDrained
		}
		if err != nil {
			return err
		}
		parse := codec.ParseMessage
		if op == ws.OpText {
			parse = codec.ParseMessageJSON
		}
		if err := parse(message, &s.msg); err != nil {
			return fmt.Errorf("%w: %w", errPromise, err)
		}
		if err := s.take(); err != nil {
			return err
		}
	}
}

// end stops the writer and leaves the client without a connection.
func (s *session) end() {
	c := s.client
	c.mu.Lock()
	c.session = nil
	close(s.over)
	c.mu.Unlock()
	s.writer.Wait()
}

// kick has the writer look. The caller holds mu; s may be nil.
func (s *session) kick() {
	if s == nil {
		return
	}
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// take acts on one message.
func (s *session) take() error {
	s.tell()
	if s.msg.Type == codec.TypeData {
		s.talked = true
		return s.data()
	}
	switch m := s.msg.Control.(type) {
	case *codec.Hello:
		return s.greet(m)
	case *codec.Reply:
		s.talked = true
		return s.replied(m)
	case *codec.Heartbeat:
		return s.compare(m)
	case *codec.Lag:
		s.client.event(Event{Kind: Lag, After: time.Duration(m.BlockedMS) * time.Millisecond})
	case *codec.Drain:
		s.drain(m)
	case *codec.Error:
		return s.failed(m)
	}
	return nil
}

// tell is for what others than Run's goroutine have to say.
func (s *session) tell() {
	c := s.client
	c.mu.Lock()
	events := s.events
	s.events = nil
	c.mu.Unlock()
	for _, e := range events {
		c.event(e)
	}
}

// greet begins: everything wanted is asked for, but for what this token is known not to
// cover.
func (s *session) greet(hello *codec.Hello) error {
	if s.hello != nil {
		return nil
	}
	if hello.Protocol != codec.Version {
		return s.refuse("it speaks version %d of the protocol, not %d", hello.Protocol, codec.Version)
	}
	for f, name := range hello.Fields[:min(len(hello.Fields), codec.NumFields)] {
		if name != codec.FieldNames[f] {
			return s.refuse("its field %d is %q, not %q", f, name, codec.FieldNames[f])
		}
	}
	for _, limit := range [...]int{hello.Limits.RequestBytes, hello.Limits.RequestSymbols, hello.Limits.RequestsPerSecond, hello.Limits.Subs} {
		if limit < 1 || limit > codec.LimitMax {
			return fmt.Errorf("%w: a limit of %d in hello", errPromise, limit)
		}
	}
	if hello.Heartbeat > 0 && hello.Heartbeat < int64(time.Hour/time.Millisecond) {
		s.silence = time.Duration(staleBeats * float64(hello.Heartbeat) * float64(time.Millisecond))
	}
	c := s.client
	c.mu.Lock()
	s.hello = hello
	for _, w := range c.inOrder() {
		w.state = idle
		if w.barred == "" || w.barred != s.token {
			w.state, w.barred = queued, ""
			s.queue = append(s.queue, w)
		}
	}
	if s.auth = c.pass.token != s.token; !s.auth { // unless Auth was called since we dialed
		c.pass.lasts(hello.TokenTTL)
	}
	c.session = s
	c.board.reset(hello.Limits.Subs)
	c.mu.Unlock()
	c.event(Event{Kind: Live, Hello: hello})
	s.writer.Go(s.write)
	if c.cfg.Renew != nil {
		s.writer.Go(s.renew)
	}
	return nil
}

// refuse leaves a node that this client is not made for.
func (s *session) refuse(format string, args ...any) error {
	s.wire.bye(ws.StatusProtocolError)
	return &FinalError{Code: int(ws.StatusProtocolError), Text: fmt.Sprintf(format, args...)}
}

// data merges a message's updates.
func (s *session) data() error {
	c := s.client
	s.out.ReceivedAt = time.Now().UnixMicro()
	told := false
	for i := range s.msg.Updates {
		c.mu.Lock()
		r := c.board.find(&s.msg, i)
		if r == nil {
			c.mu.Unlock()
			continue
		}
		err := c.board.merge(r, &s.msg, i, &s.out)
		c.mu.Unlock()
		if err != nil {
			return err
		}
		if c.OnUpdate != nil {
			c.OnUpdate(&s.out)
			told = true
		}
	}
	if told && c.OnMessage != nil {
		c.OnMessage()
	}
	return nil
}

// compare holds a heartbeat against what we believe to be subscribed to, when no
// request is under way.
func (s *session) compare(h *codec.Heartbeat) error {
	c := s.client
	c.mu.Lock()
	defer c.mu.Unlock()
	if b := c.board; len(s.asked)+len(s.queue) == 0 && (h.Subs != b.subs || h.Hash != b.hash) {
		return fmt.Errorf("%w: the node has %d subscriptions, hash %08x; we have %d, %08x", errDistrust, h.Subs, h.Hash, b.subs, b.hash)
	}
	return nil
}

// drain notes by when a node that restarts will have sent us away.
func (s *session) drain(d *codec.Drain) {
	within := time.Duration(min(max(d.WithinMS, 0), int64(time.Hour/time.Millisecond))) * time.Millisecond
	s.leave = time.Now().Add(within)
	s.client.event(Event{Kind: Drain, After: within})
}
