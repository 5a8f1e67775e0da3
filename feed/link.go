package feed

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/gobwas/ws"
)

// link is one connection to a venue. Its reader goroutine only reads; all else,
// writing too, is the session's.
type link struct {
	leg    *leg
	conn   net.Conn
	cancel context.CancelFunc // ends the dial and the reader
	up     bool               // dialled
	gone   bool               // given up: what still arrives is void
	began  time.Time
	heard  time.Time // the last frame, pongs too
	pinged time.Time

	queue   [][]byte      // requests to send
	sendAt  time.Time     // the next of them
	asked   int           // requests made: their ids
	wanted  map[want]bool // subscriptions not confirmed yet
	ready   bool          // all were confirmed once, or given up: at readyAt
	readyAt time.Time
	tries   int
	askAt   time.Time       // when to ask again for what is wanted; zero while the queue is not empty
	spoke   map[string]bool // symbols whose data came
	gap     bool            // what came before was interrupted: a symbol's first data says so
}

// inbound is what a link's goroutines tell the session.
type inbound struct {
	link *link
	op   ws.OpCode
	raw  *[]byte  // goes back to buffers
	us   int64    // receive time, us since the epoch
	conn net.Conn // dialled
	err  error    // of the dial, or the end of the connection
}

// readBytes is a link's read buffer: some 300 frames of a busy second.
const readBytes = 64 << 10

// frameMax bounds a frame. Coinbase's book snapshots, the largest that come unasked,
// have some 3 MB.
const frameMax = 16 << 20

var buffers = sync.Pool{New: func() any { return new([]byte) }}

// userAgent names us: the doors in front of some venues refuse the nameless.
var userAgent = ws.HandshakeHeaderHTTP{"User-Agent": {"tickwire"}}

// open dials, tells the session, and reads until the connection ends.
func (l *link) open(ctx context.Context, url string, timeout time.Duration, inbox chan<- inbound) {
	dialer := ws.Dialer{Timeout: timeout, ReadBufferSize: readBytes, Header: userAgent}
	conn, from, _, err := dialer.Dial(ctx, url)
	if err != nil {
		post(ctx, inbox, inbound{link: l, err: err})
		return
	}
	if from == nil {
		from = bufio.NewReaderSize(conn, readBytes)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if !post(ctx, inbox, inbound{link: l, conn: conn}) {
		return
	}
	r := receiver{link: l, from: from, state: ws.StateClientSide}
	for {
		a, err := r.read()
		if err != nil {
			post(ctx, inbox, inbound{link: l, err: err})
			return
		}
		if !post(ctx, inbox, a) {
			return
		}
	}
}

func post(ctx context.Context, inbox chan<- inbound, a inbound) bool {
	select {
	case inbox <- a:
		return true
	case <-ctx.Done():
		return false
	}
}

// receiver reads messages. It belongs to the link's goroutine.
type receiver struct {
	link   *link
	from   *bufio.Reader
	header [ws.MaxHeaderSize]byte
	state  ws.State
	begun  inbound // a message of which fragments are missing
}

// read is step 1: a message arrives, and its receive time is taken here.
func (r *receiver) read() (inbound, error) {
	for {
		h, err := ws.ReadHeaderBuffer(r.from, r.header[:])
		if err != nil {
			return inbound{}, err
		}
		if err := ws.CheckHeader(h, r.state); err != nil {
			return inbound{}, err
		}
		a := inbound{link: r.link, op: h.OpCode, us: time.Now().UnixMicro()}
		if h.OpCode == ws.OpContinuation {
			a, r.begun = r.begun, inbound{}
		} else {
			a.raw = buffers.Get().(*[]byte)
			*a.raw = (*a.raw)[:0]
		}
		if h.Length > frameMax-int64(len(*a.raw)) {
			return inbound{}, fmt.Errorf("a message of more than %d bytes", frameMax)
		}
		if err := grow(a.raw, r.from, int(h.Length)); err != nil {
			return inbound{}, err
		}
		if h.OpCode.IsControl() {
			return a, nil
		}
		if h.Fin {
			r.state = r.state.Clear(ws.StateFragmented)
			return a, nil
		}
		r.state, r.begun = r.state.Set(ws.StateFragmented), a
	}
}

// grow appends n bytes, allocating no more than has come for what a peer only claims.
func grow(dst *[]byte, from io.Reader, n int) error {
	for n > 0 {
		part := min(n, readBytes)
		at := len(*dst)
		if cap(*dst) < at+part {
			*dst = append(*dst, make([]byte, part)...)
		}
		*dst = (*dst)[:at+part]
		if _, err := io.ReadFull(from, (*dst)[at:]); err != nil {
			return err
		}
		n -= part
	}
	return nil
}

// writeTimeout bounds a write. Requests are small: a socket that does not take one
// has been dead for long.
const writeTimeout = 2 * time.Second

// write sends a message, in one write to the socket.
func (l *link) write(op ws.OpCode, payload []byte) error {
	b, err := ws.CompileFrame(ws.MaskFrame(ws.NewFrame(op, true, payload)))
	if err != nil {
		return err
	}
	l.conn.SetWriteDeadline(time.Now().Add(writeTimeout))
	_, err = l.conn.Write(b)
	return err
}

// close gives the link up; the venue is told when it can be.
func (l *link) close() {
	if l.gone {
		return
	}
	l.gone = true
	if l.conn != nil {
		l.write(ws.OpClose, ws.NewCloseFrameBody(ws.StatusNormalClosure, ""))
	}
	l.cancel()
}
