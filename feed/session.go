package feed

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/tickwire/tickwire/codec"
)

// session is a source: one venue, live. Everything that venues have in common is
// here, once: dialling, subscribing, checking what was confirmed, pings, silence,
// coming back, and leaving before the venue closes.
//
//	dial -> subscribe -> read ... -> silence, close or error -> stale -> back off -> dial
//	                      |
//	                      +-> rotation: the next connection is live before this one is left
type session struct {
	venue   *venue
	url     string
	symbols []string // canonical, without the venue
	in      *source
	log     *slog.Logger

	failed int // dials in a row without data
}

const (
	dialTimeout  = 10 * time.Second
	silenceLimit = 20 * time.Second // of the whole connection; a heartbeat counts
	pingAfter    = 8 * time.Second
	ackTimeout   = 10 * time.Second
	ackTries     = 3
	backoffFirst = 500 * time.Millisecond
	backoffMost  = 30 * time.Second
	downAfter    = 3 // failed dials
	frameMax     = 16 << 20
)

// run keeps a connection to the venue until ctx ends.
func (s *session) run(ctx context.Context) error {
	for {
		err := s.connect(ctx)
		if ctx.Err() != nil {
			return nil
		}
		s.failed++
		wait := rand.N(min(backoffMost, backoffFirst<<min(s.failed, 6)))
		s.log.Warn("disconnected", "venue", s.venue.name, "err", err, "again_in", wait.Round(time.Millisecond))
		b := newBlock()
		b.status, b.gap = codec.Stale, true
		if s.failed >= downAfter {
			b.status = codec.Down
		}
		s.in.send(ctx, b)
		if !pause(ctx, wait) {
			return nil
		}
	}
}

// line is one connection to the venue and what it confirmed.
type line struct {
	conn   net.Conn
	frames chan received
	failed chan error
	missed map[ack]bool // subscriptions not confirmed yet
	began  time.Time
	tries  int
}

// received is a frame and when it came.
type received struct {
	raw []byte
	us  int64
}

// dial connects and subscribes; a goroutine reads until the connection is closed.
func (s *session) dial(ctx context.Context) (*line, error) {
	dialer := ws.Dialer{Timeout: dialTimeout}
	conn, early, _, err := dialer.Dial(ctx, s.url)
	if err != nil {
		return nil, fmt.Errorf("%s: dial: %w", s.venue.name, err)
	}
	l := &line{conn: conn, frames: make(chan received, 256), failed: make(chan error, 1), missed: make(map[ack]bool), began: time.Now()}
	var native []string
	for _, symbol := range s.symbols {
		n := s.venue.native(symbol)
		native = append(native, n)
		for _, channel := range s.venue.asked {
			l.missed[ack{channel: channel, symbol: n}] = true
		}
	}
	if err := s.subscribe(l, native); err != nil {
		conn.Close()
		return nil, err
	}
	var from io.Reader = conn
	if early != nil {
		from = io.MultiReader(io.LimitReader(early, int64(early.Buffered())), conn)
	}
	go s.read(l, from)
	return l, nil
}

func (s *session) subscribe(l *line, native []string) error {
	for i, message := range s.venue.subscribe(native) {
		if i > 0 {
			time.Sleep(300 * time.Millisecond) // Binance takes five a second, pongs included
		}
		l.conn.SetWriteDeadline(time.Now().Add(dialTimeout))
		if err := wsutil.WriteClientText(l.conn, message); err != nil {
			return fmt.Errorf("%s: subscribe: %w", s.venue.name, err)
		}
	}
	return nil
}

// read is step 1: a frame arrives, and its receive time is taken here.
func (s *session) read(l *line, from io.Reader) {
	defer close(l.frames)
	control := wsutil.ControlFrameHandler(l.conn, ws.StateClientSide)
	rd := wsutil.Reader{Source: from, State: ws.StateClientSide, CheckUTF8: true, MaxFrameSize: frameMax, OnIntermediate: control}
	for {
		l.conn.SetReadDeadline(time.Now().Add(silenceLimit))
		h, err := rd.NextFrame()
		if err == nil && h.OpCode.IsControl() {
			err = control(h, &rd)
			if err == nil {
				continue
			}
		}
		var raw []byte
		us := time.Now().UnixMicro()
		if err == nil {
			raw, err = io.ReadAll(io.LimitReader(&rd, frameMax))
		}
		if err != nil {
			l.failed <- fmt.Errorf("%s: read: %w", s.venue.name, err)
			return
		}
		l.frames <- received{raw, us}
	}
}

func (l *line) close() {
	l.conn.Close()
	for range l.frames { // its reader ends
	}
}

// connect lives through one connection and its rotations.
func (s *session) connect(ctx context.Context) error {
	l, err := s.dial(ctx)
	if err != nil {
		return err
	}
	defer func() { l.close() }()
	check := time.NewTicker(time.Second)
	defer check.Stop()
	heard := time.Now()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-l.failed:
			return err
		case f, open := <-l.frames:
			if !open {
				continue // failed says why
			}
			heard = time.Now()
			if s.take(ctx, l, f) == eventRotate {
				l = s.rotate(ctx, l)
			}
		case <-check.C:
			if time.Since(heard) > pingAfter {
				if err := s.ping(l); err != nil {
					return err
				}
			}
			if s.venue.rotate > 0 && time.Since(l.began) > time.Duration(s.venue.rotate)*time.Hour {
				l = s.rotate(ctx, l)
			}
			if err := s.confirm(l); err != nil {
				return err
			}
		}
	}
}

// rotate connects anew and leaves the old connection when the new one has begun to
// speak; both speak meanwhile, and older numbers are dropped by the sequencer.
func (s *session) rotate(ctx context.Context, old *line) *line {
	next, err := s.dial(ctx)
	if err != nil {
		s.log.Warn("rotation", "err", err)
		old.began = time.Now().Add(-time.Duration(s.venue.rotate)*time.Hour + time.Minute) // again in a minute
		return old
	}
	overlap := time.NewTimer(dialTimeout)
	defer overlap.Stop()
	for {
		select {
		case f, open := <-old.frames:
			if open {
				s.take(ctx, old, f)
			} else {
				old.close()
				return next
			}
		case f, open := <-next.frames:
			if open && s.take(ctx, next, f) == eventNone && len(s.in.frame.ticks) == 0 {
				continue
			}
			old.close()
			return next
		case <-overlap.C:
			old.close()
			return next
		case <-ctx.Done():
			old.close()
			return next
		}
	}
}

// take parses a frame and passes its ticks on.
func (s *session) take(ctx context.Context, l *line, f received) event {
	if err := s.in.parse(s.venue, f.raw, f.us); err != nil {
		s.log.Warn("a frame is refused", "err", err)
		return eventNone
	}
	if len(s.in.frame.ticks) > 0 {
		s.failed = 0 // only data proves that we are back
	}
	s.in.flush(ctx)
	for _, a := range s.in.frame.acks {
		if a.err != "" {
			s.log.Warn("the venue refuses", "venue", s.venue.name, "symbol", a.symbol, "reason", a.err)
			continue
		}
		delete(l.missed, ack{channel: a.channel, symbol: a.symbol})
	}
	switch s.in.frame.event {
	case eventOffline:
		b := newBlock()
		b.status = codec.Halted
		s.in.send(ctx, b)
	case eventRotate:
		return eventRotate
	}
	return eventNone
}

// confirm asks again for what the venue has not confirmed, and at last says so.
func (s *session) confirm(l *line) error {
	if len(l.missed) == 0 || time.Since(l.began) < ackTimeout*time.Duration(l.tries+1) {
		return nil
	}
	var native []string
	seen := map[string]bool{}
	for a := range l.missed {
		if !seen[a.symbol] {
			seen[a.symbol] = true
			native = append(native, a.symbol)
		}
	}
	if l.tries++; l.tries > ackTries {
		s.log.Error("never confirmed; is it listed?", "venue", s.venue.name, "symbols", native)
		clear(l.missed)
		return nil
	}
	s.log.Warn("not confirmed; asking again", "venue", s.venue.name, "symbols", native)
	return s.subscribe(l, native)
}

// ping finds out whether a silent venue is there.
func (s *session) ping(l *line) error {
	l.conn.SetWriteDeadline(time.Now().Add(dialTimeout))
	var err error
	if s.venue.ping != "" {
		err = wsutil.WriteClientText(l.conn, []byte(s.venue.ping))
	} else {
		err = wsutil.WriteClientMessage(l.conn, ws.OpPing, nil)
	}
	if err != nil {
		return fmt.Errorf("%s: ping: %w", s.venue.name, err)
	}
	return nil
}
