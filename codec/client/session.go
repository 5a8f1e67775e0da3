package client

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
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
	greeted bool
	silence time.Duration // after which the node is given up
	leave   time.Time     // zero, or when to connect elsewhere
	talked  bool
	msg     codec.Message
	out     Update

	writer sync.WaitGroup
	wake   chan struct{} // for the writer: something was put below
	over   chan struct{} // closed at the end
	failed atomic.Pointer[failure]

	// Under Client.mu.
	hello    *codec.Hello
	queue    []*want  // to be asked for
	drops    []string // to be unsubscribed
	calls    []*call
	auth     bool // a new token is to be told
	paused   bool // what the node was told
	requests int64
	asked    map[int64]*asked // requests not answered yet
	askAt    time.Time        // zero, or when wants that are later are due
	askDelay time.Duration    // the next pause before that
}

// failure is a request that could not be written. The reader goes on for a moment:
// the node may have said why it closed.
type failure struct {
	err   error
	until time.Time
}

const lastWords = time.Second

func newSession(c *Client, w *wire) *session {
	s := &session{
		client: c, wire: w, silence: dialTimeout,
		wake: make(chan struct{}, 1), over: make(chan struct{}),
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
	if f := s.failed.Load(); f != nil && f.until.Before(at) {
		at = f.until
	}
	return at
}

// run reads messages until the connection ends.
func (s *session) run() error {
	for {
		op, message, err := s.wire.read()
		if !s.leave.IsZero() && !time.Now().Before(s.leave) {
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
	c, m := s.client, &s.msg
	if m.Type == codec.TypeData {
		s.talked = true
		return s.data()
	}
	switch m := m.Control.(type) {
	case *codec.Hello:
		return s.greet(m)
	case *codec.Reply:
		s.talked = true
		s.answered(m)
	case *codec.Heartbeat:
		return s.compare(m)
	case *codec.Lag:
		c.event(Event{Kind: Lagged, After: time.Duration(m.BlockedMS) * time.Millisecond})
	case *codec.Drain:
		s.drain(m)
	case *codec.Error:
		return s.refused(m)
	}
	return nil
}

// greet begins: everything wanted is asked for.
func (s *session) greet(hello *codec.Hello) error {
	if s.greeted {
		return nil
	}
	for f, name := range hello.Fields[:min(len(hello.Fields), codec.NumFields)] {
		if name != codec.FieldNames[f] {
			return &FinalError{1002, fmt.Sprintf("its field %d is %q, not %q", f, name, codec.FieldNames[f])}
		}
	}
	s.greeted = true
	if hello.Heartbeat > 0 && hello.Heartbeat < int64(time.Hour/time.Millisecond) {
		s.silence = time.Duration(staleBeats * float64(hello.Heartbeat) * float64(time.Millisecond))
	}
	c := s.client
	c.mu.Lock()
	s.hello = hello
	c.begin(s)
	c.mu.Unlock()
	c.event(Event{Kind: Connected, Hello: hello})
	s.writer.Go(s.write)
	return nil
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
		muted := r.muted
		c.mu.Unlock()
		if err != nil {
			return err
		}
		if c.OnUpdate != nil && !muted {
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
	if b := c.board; len(s.asked) == 0 && (h.Subs != b.subs || h.Hash != b.hash) {
		return fmt.Errorf("%w: the node has %d subscriptions, hash %08x; we have %d, %08x", errDistrust, h.Subs, h.Hash, b.subs, b.hash)
	}
	return nil
}

// drain chooses when to leave, so that not all clients do so at once.
func (s *session) drain(d *codec.Drain) {
	within := time.Duration(min(max(d.WithinMS, 0), int64(time.Hour/time.Millisecond))) * time.Millisecond
	wait := rand.N(within + 1)
	s.leave = time.Now().Add(wait)
	s.client.event(Event{Kind: Draining, After: wait})
}

// begin has a new connection ask for everything.
func (c *Client) begin(s *session) {
	c.session = s
	c.board.reset()
	for symbol := range c.board.rows {
		if c.takes(symbol) == 0 || c.except[symbol] {
			c.board.forget(symbol)
		}
	}
	for _, w := range c.inOrder(func(*want) bool { return true }) {
		w.state, w.op = queued, codec.OpSubscribe
		s.queue = append(s.queue, w)
	}
}

// postpone puts off a want that the node may have in a moment; all of those are
// asked for at once then. It returns how long that is.
func (s *session) postpone(w *want) time.Duration {
	w.state = later
	if s.askAt.IsZero() {
		// A fifth more or less, so that clients do not stay in step.
		s.askAt = time.Now().Add(time.Duration(float64(s.askDelay) * (0.8 + 0.4*rand.Float64())))
		s.askDelay = min(2*s.askDelay, s.client.pace.askMost)
		s.kick()
	}
	return time.Until(s.askAt)
}

// askAgain queues what was put off.
func (s *session) askAgain() {
	s.askAt = time.Time{}
	for _, w := range s.client.inOrder(func(w *want) bool { return w.state == later }) {
		s.client.ask(w, codec.OpSubscribe)
	}
}
