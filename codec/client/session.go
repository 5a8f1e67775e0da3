package client

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/tickwire/tickwire/codec"
)

// session is one connection, as Run's goroutine reads it.
type session struct {
	client  *Client
	conn    net.Conn
	frames  wsutil.Reader
	silence time.Duration // after which the node is given up
	talked  bool
	drain   time.Duration

	raw bytes.Buffer
	msg codec.Message
	out Update
}

// next reads and acts on one frame.
func (s *session) next() error {
	s.conn.SetReadDeadline(time.Now().Add(s.silence))
	h, err := s.frames.NextFrame()
	if err != nil {
		return s.failed(err)
	}
	if h.OpCode.IsControl() {
		return s.control(h, &s.frames)
	}
	s.raw.Reset()
	if n, err := s.raw.ReadFrom(io.LimitReader(&s.frames, messageMax+1)); err != nil {
		return s.failed(err)
	} else if n > messageMax {
		return fmt.Errorf("%w: a message of more than %d bytes", errPromise, messageMax)
	}
	parse := codec.ParseMessage
	if h.OpCode == ws.OpText {
		parse = codec.ParseMessageJSON
	}
	if err := parse(s.raw.Bytes(), &s.msg); err != nil {
		return fmt.Errorf("%w: %w", errPromise, err)
	}
	return s.take()
}

func (s *session) failed(err error) error {
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return fmt.Errorf("nothing heard for %v", s.silence)
	}
	return err
}

// control answers pings and reads the peer's close.
func (s *session) control(h ws.Header, r io.Reader) error {
	payload := make([]byte, h.Length)
	if _, err := io.ReadFull(r, payload); err != nil {
		return err
	}
	switch h.OpCode {
	case ws.OpPing:
		return s.client.write(ws.OpPong, payload)
	case ws.OpClose:
		code, reason := ws.ParseCloseFrameData(payload)
		s.client.write(ws.OpClose, payload[:min(2, len(payload))])
		if isFinal(code) {
			return &FinalError{code, reason}
		}
		return fmt.Errorf("closed by the node: %d %s", code, reason)
	}
	return nil
}

// take acts on one message.
func (s *session) take() error {
	c, m := s.client, &s.msg
	switch m.Type {
	case codec.TypeData:
		s.talked = true
		return s.data()
	case codec.TypeHello:
		if m.Hello.Heartbeat > 0 {
			s.silence = time.Duration(staleBeats*float64(m.Hello.Heartbeat)) * time.Millisecond
		}
		c.event(Event{Kind: Connected, Hello: m.Hello})
		return c.greeted(s.conn, m.Hello)
	case codec.TypeReply:
		s.talked = true
		c.answered(m.Reply)
	case codec.TypeHeartbeat:
		return c.compare(m.Heartbeat)
	case codec.TypeLag:
		c.event(Event{Kind: Lagged, After: time.Duration(m.Lag.BlockedMS) * time.Millisecond})
	case codec.TypeDrain:
		s.drain = time.Duration(m.Drain.WithinMS) * time.Millisecond
		c.event(Event{Kind: Draining, After: s.drain})
	case codec.TypeError:
		c.failedRequest(m.Error)
		c.event(Event{Kind: Refused, Err: m.Error})
	}
	return nil
}

// data merges a message's updates.
func (s *session) data() error {
	c := s.client
	for i := range s.msg.Updates {
		c.mu.Lock()
		ok, err := c.board.merge(&s.msg, i, &s.out)
		if err != nil {
			c.board = newBoard() // nothing held can be trusted: no resume
		}
		c.mu.Unlock()
		if err != nil {
			return err
		}
		if ok && c.OnUpdate != nil {
			c.OnUpdate(&s.out)
		}
	}
	return nil
}
