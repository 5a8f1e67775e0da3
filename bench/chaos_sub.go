package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/gobwas/ws"

	"github.com/tickwire/tickwire/codec"
)

// How patient a subscriber is, as PROTOCOL.md has it, but that its waits are no longer
// than the time in which it must be whole again.
const (
	backoffFirst = 250 * time.Millisecond
	backoffMost  = 4 * time.Second
	askFirst     = time.Second
	askMost      = 2 * time.Second
	dialWithin   = 3 * time.Second
	silenceMost  = 12500 * time.Millisecond // two and a half heartbeats

	// A subscriber leaves after a while, and comes back at once to any node: so at all times
	// some are about to resume.
	stayLeast = 10 * time.Second
	stayMost  = time.Minute
)

// subscriber is one of a chaos run: a goroutine and a socket, that holds whole quotes
// through whatever happens and says when it is shown what cannot be.
type subscriber struct {
	crowd  *crowd
	number int

	mu   sync.Mutex // protects what follows: the run asks who has what
	node int
	conn net.Conn // nil: none
	held []holding

	msg   codec.Message // the goroutine's, as is what follows
	leave time.Time     // when it goes elsewhere
	asks  []int         // of held, what the node cannot say yet
	askAt time.Time
	pause time.Duration // before that is asked again
}

func newSubscriber(c *crowd, number int, ids []int) *subscriber {
	s := &subscriber{crowd: c, number: number}
	for _, id := range ids {
		s.held = append(s.held, holding{id: id, quote: codec.Empty})
	}
	return s
}

// run stays connected until ctx ends: after a loss it waits, with full jitter, and goes to
// any node.
func (s *subscriber) run(ctx context.Context) {
	for attempt := 0; ctx.Err() == nil; attempt++ {
		talked, err := s.connect(ctx)
		if talked {
			attempt = 0
		}
		switch wait := min(backoffMost, backoffFirst<<min(attempt, 10)); {
		case err == errLeft:
			s.crowd.left.Add(1)
		case talked:
			s.crowd.lost.Add(1)
			fallthrough
		default:
			sleep(ctx, rand.N(wait))
		}
		if errors.Is(err, errServer) && ctx.Err() == nil {
			if err != errLie {
				s.violated(protocolViolation, "%v", err)
			}
			s.distrust()
		}
	}
}

// errLeft: it was time to go elsewhere.
var errLeft = errors.New("left")

// errLie has been added to the violations.
var errLie = fmt.Errorf("%w: as was said", errServer)

func (s *subscriber) violated(kind, format string, args ...any) error {
	s.crowd.violations.add(kind, "subscriber %d of node %d: "+format, append([]any{s.number, s.node + 1}, args...)...)
	return errLie
}

// connect lives through one connection; talked is whether data or a reply came.
func (s *subscriber) connect(ctx context.Context) (talked bool, err error) {
	node := rand.IntN(len(s.crowd.nodes))
	d := ws.Dialer{Timeout: dialWithin, Protocols: []string{codec.ProtocolMsgpack}}
	conn, in, _, err := d.Dial(ctx, s.crowd.nodes[node])
	if err != nil {
		return false, err
	}
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if in == nil {
		in = bufio.NewReader(conn)
	}
	s.begin(conn, node)
	defer s.end()
	if err := s.ask(nil); err != nil {
		return false, err
	}
	for {
		payload, err := s.next(in)
		if err == nil {
			err = codec.ParseMessage(payload, &s.msg)
			if err != nil {
				err = fmt.Errorf("%w: %w", errServer, err)
			}
		}
		if err == nil {
			talked = talked || s.msg.Type == codec.TypeData || s.msg.Type == codec.TypeReply
			err = s.take()
		}
		if err != nil {
			return talked, err
		}
	}
}

func (s *subscriber) begin(conn net.Conn, node int) {
	s.crowd.connects.Add(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conn, s.node = conn, node
	for i := range s.held {
		s.held[i].numbered, s.held[i].refused = false, "not answered"
	}
	s.leave = time.Now().Add(stayLeast + rand.N(stayMost-stayLeast))
	s.asks, s.askAt, s.pause = nil, time.Time{}, askFirst
}

func (s *subscriber) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conn.Close()
	s.conn = nil
}

// ask subscribes to what is held, or some of it, and resumes from it.
func (s *subscriber) ask(some []int) error {
	r := codec.Request{Op: codec.OpSubscribe, ID: 1}
	s.mu.Lock()
	for i := range s.held {
		h := &s.held[i]
		if len(some) > 0 && !slices.Contains(some, i) {
			continue
		}
		symbol := []byte(s.crowd.ledger.rows[h.id].symbol)
		r.Symbols = append(r.Symbols, symbol)
		if h.at.seq > 0 {
			r.Resume = append(r.Resume, codec.Position{Symbol: symbol, History: h.at.history, Seq: h.at.seq})
		}
	}
	s.mu.Unlock()
	return s.send(ws.OpBinary, codec.AppendRequest(nil, &r))
}

func (s *subscriber) send(op ws.OpCode, payload []byte) error {
	s.conn.SetWriteDeadline(time.Now().Add(dialWithin))
	_, err := s.conn.Write(appendFrame(nil, op, payload))
	return err
}

// next is the next message. Meanwhile control frames are answered, and what the node did
// not have is asked for again when it is time.
func (s *subscriber) next(in *bufio.Reader) ([]byte, error) {
	for {
		if len(s.asks) > 0 && time.Now().After(s.askAt) {
			some := s.asks
			s.asks = nil
			if err := s.ask(some); err != nil {
				return nil, err
			}
		}
		now := time.Now()
		if now.After(s.leave) {
			return nil, errLeft
		}
		silent, until := now.Add(silenceMost), s.leave
		if len(s.asks) > 0 && s.askAt.Before(until) {
			until = s.askAt
		}
		if silent.Before(until) {
			until = silent
		}
		s.conn.SetReadDeadline(until)
		if _, err := in.Peek(1); errors.Is(err, os.ErrDeadlineExceeded) && until != silent {
			continue
		} else if err != nil {
			return nil, err
		}
		s.conn.SetReadDeadline(time.Now().Add(silenceMost))
		h, err := ws.ReadHeader(in)
		if err == nil && (!h.Fin || h.Masked || h.Rsv != 0 || h.Length > messageMax) {
			err = fmt.Errorf("%w: a frame with header %+v", errServer, h)
		}
		if err != nil {
			return nil, err
		}
		payload := make([]byte, h.Length)
		if _, err := io.ReadFull(in, payload); err != nil {
			return nil, err
		}
		switch h.OpCode {
		case ws.OpBinary:
			return payload, nil
		case ws.OpPing:
			if err := s.send(ws.OpPong, payload); err != nil {
				return nil, err
			}
		case ws.OpClose:
			code, reason := ws.ParseCloseFrameData(payload)
			err := fmt.Errorf("closed: %d %s", code, reason)
			if codec.IsFinalClose(int(code)) { // nothing was done to deserve it
				err = fmt.Errorf("%w: %w", errServer, err)
			}
			return nil, err
		case ws.OpPong:
		default:
			return nil, fmt.Errorf("%w: op code %d", errServer, h.OpCode)
		}
	}
}

// take acts on a message.
func (s *subscriber) take() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch m := s.msg.Control.(type) {
	case *codec.Reply:
		return s.reply(m)
	case *codec.Error:
		return fmt.Errorf("%w: a request was refused: %w", errServer, m)
	}
	for i := range s.msg.Updates {
		if err := s.update(&s.msg.Updates[i]); err != nil {
			return err
		}
	}
	return nil
}

// reply numbers what is subscribed to, and notes what is to be asked for again.
func (s *subscriber) reply(r *codec.Reply) error {
	for i := range r.Results {
		x := &r.Results[i]
		at := -1
		for j := range s.held {
			if s.crowd.ledger.rows[s.held[j].id].symbol == x.Symbol {
				at = j
			}
		}
		switch {
		case at < 0:
			return fmt.Errorf("%w: a result of %q, which was not asked for", errServer, x.Symbol)
		case x.Error != nil && x.Error.Retry:
			s.asks, s.held[at].refused = append(s.asks, at), x.Error.Text
		case x.Error != nil:
			return fmt.Errorf("%w: %s: %w", errServer, x.Symbol, x.Error)
		case x.ID == nil:
			return fmt.Errorf("%w: a result of %s without a number", errServer, x.Symbol)
		default:
			s.held[at].number, s.held[at].numbered = *x.ID, true
		}
	}
	if len(s.asks) > 0 {
		s.askAt, s.pause = time.Now().Add(s.pause), min(askMost, s.pause*3/2)
	}
	return nil
}

// update merges an update, unless it says what cannot be.
func (s *subscriber) update(u *codec.Update) error {
	var h *holding
	for i := range s.held {
		if s.held[i].numbered && s.held[i].number == u.ID {
			h = &s.held[i]
		}
	}
	if h == nil {
		return fmt.Errorf("%w: an update of number %d, which is nothing subscribed to", errServer, u.ID)
	}
	s.crowd.updates.Add(1)
	if u.Flags&codec.Gap != 0 {
		s.crowd.gaps.Add(1)
	}
	symbol := s.crowd.ledger.rows[h.id].symbol
	at, quote := position{h.at.history, u.Seq}, h.quote
	if u.Flags&codec.Image != 0 {
		at.history, quote = u.History, codec.Empty
	} else if h.at.seq == 0 {
		return fmt.Errorf("%w: %s: a delta of nothing", errServer, symbol)
	}
	quote.Merge(&u.Quote, u.Mask)
	before, now := h.quote[codec.EventTime], quote[codec.EventTime]
	switch {
	case at.seq < h.at.seq:
		return s.violated(seqViolation, "%s: %v after %v, flags %v", symbol, at, h.at, u.Flags.Words())
	case now < before:
		return s.violated(timeViolation, "%s: by %v, at %v after %v, flags %v", symbol, time.Duration(before-now)*time.Microsecond, at, h.at, u.Flags.Words())
	}
	if wrong := s.crowd.ledger.compare(h.id, at, &quote); wrong != "" {
		return s.violated(valueViolation, "%s: %v, flags %v:%s", symbol, at, u.Flags.Words(), wrong)
	}
	h.at, h.quote = at, quote
	return nil
}
