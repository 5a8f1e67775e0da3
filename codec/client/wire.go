package client

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/gobwas/ws"

	"github.com/tickwire/tickwire/codec"
)

const (
	dialTimeout  = 10 * time.Second // dial, TLS, upgrade; and again until hello
	writeTimeout = 10 * time.Second
	byeTimeout   = 100 * time.Millisecond // a close frame may take so long
	messageMax   = 4 << 20                // bytes; a node ends its messages at 16 KiB
	readBuffer   = 64 << 10
	reasonMax    = 512 // bytes kept of an HTTP refusal's body
)

var (
	// errPromise: the node broke a promise of the protocol.
	errPromise = errors.New("protocol error")
	// errDistrust: as that, or we lost count, so that what is held may be wrong.
	errDistrust = fmt.Errorf("%w: out of step", errPromise)
)

// wire is one WebSocket: whole messages in, frames out.
type wire struct {
	conn net.Conn
	in   *bufio.Reader

	// deadline is asked before a read that may block: the peer's bytes are due then.
	deadline func() time.Time

	head    [ws.MaxHeaderSize]byte
	unread  int    // bytes of the last message that still lie in in
	joined  []byte // a message of several frames, or larger than in
	control [ws.MaxControlFramePayloadSize]byte

	mu  sync.Mutex // one frame at a time
	out []byte
}

// dial opens the WebSocket.
func dial(ctx context.Context, cfg *Config, token string) (*wire, error) {
	protocol := codec.ProtocolMsgpack
	if cfg.Encoding == "json" {
		protocol = codec.ProtocolJSON
	}
	var reason string
	d := ws.Dialer{
		Timeout:   dialTimeout,
		Protocols: []string{protocol},
		TLSConfig: cfg.TLS,
		OnStatusError: func(_ int, _ []byte, answer io.Reader) {
			reason = readReason(answer)
		},
	}
	if token != "" {
		d.Header = ws.HandshakeHeaderHTTP(http.Header{"Authorization": {"Bearer " + token}})
	}
	// Who echoes no subprotocol is told from a node by its hello.
	conn, early, _, err := d.Dial(ctx, cfg.URL)
	var status ws.StatusError
	switch {
	case errors.As(err, &status):
		if status == http.StatusUnauthorized || status == http.StatusForbidden {
			return nil, &FinalError{Code: int(status), Reason: reason}
		}
		return nil, fmt.Errorf("HTTP %d %s: %s", int(status), http.StatusText(int(status)), reason)
	case err != nil:
		return nil, err
	}
	return newWire(conn, early), nil
}

// newWire reads what came early, with the answer to the upgrade, and then conn.
func newWire(conn net.Conn, early *bufio.Reader) *wire {
	var from io.Reader = conn
	if early != nil {
		first, _ := early.Peek(early.Buffered())
		from = io.MultiReader(bytes.NewReader(bytes.Clone(first)), conn)
		ws.PutReader(early)
	}
	return &wire{conn: conn, in: bufio.NewReaderSize(from, readBuffer)}
}

// readReason is the body of an HTTP refusal, as one line.
func readReason(answer io.Reader) string {
	r, err := http.ReadResponse(bufio.NewReader(answer), nil)
	if err != nil {
		return ""
	}
	defer r.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(r.Body, reasonMax))
	return printable(string(body))
}

// printable is a peer's text as one line that does a terminal no harm.
func printable(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, text)
	return strings.Join(strings.Fields(text), " ")
}

// read returns the next message, valid until the next call. Control frames, also
// those between the frames of a message, are answered on the way; the peer's close
// is a *closed.
func (w *wire) read() (op ws.OpCode, message []byte, err error) {
	w.in.Discard(w.unread)
	w.unread, w.joined = 0, w.joined[:0]
	state := ws.StateClientSide
	for {
		h, err := w.header(state)
		if err != nil {
			return 0, nil, err
		}
		if h.OpCode.IsControl() {
			if err := w.answer(h); err != nil {
				return 0, nil, err
			}
			continue
		}
		if h.Length > messageMax-int64(len(w.joined)) {
			return 0, nil, fmt.Errorf("%w: a message of more than %d bytes", errPromise, messageMax)
		}
		if !state.Fragmented() {
			op = h.OpCode
		}
		if h.Fin && !state.Fragmented() && h.Length <= int64(w.in.Size()) {
			message, err = w.peek(int(h.Length))
			w.unread = len(message)
		} else {
			message, err = w.join(int(h.Length))
		}
		if err != nil {
			return 0, nil, err
		}
		if h.Fin {
			if op == ws.OpText && !utf8.Valid(message) {
				return 0, nil, fmt.Errorf("%w: text that is not UTF-8", errPromise)
			}
			return op, message, nil
		}
		state = state.Set(ws.StateFragmented)
	}
}

// peek waits for n bytes, which must fit the buffer, and leaves them there.
func (w *wire) peek(n int) ([]byte, error) {
	if w.in.Buffered() < n {
		w.conn.SetReadDeadline(w.deadline())
	}
	p, err := w.in.Peek(n)
	return p, whole(err)
}

// whole tells an end amid a frame from one between frames.
func whole(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

func (w *wire) header(state ws.State) (ws.Header, error) {
	if w.in.Buffered() < ws.MaxHeaderSize {
		w.conn.SetReadDeadline(w.deadline())
	}
	h, err := ws.ReadHeaderBuffer(w.in, w.head[:])
	if err == ws.ErrHeaderLengthMSB || err == ws.ErrHeaderLengthUnexpected {
		return h, fmt.Errorf("%w: %w", errPromise, err)
	}
	if err != nil {
		return h, err
	}
	if err := ws.CheckHeader(h, state); err != nil {
		return h, fmt.Errorf("%w: %w", errPromise, err)
	}
	return h, nil
}

// join appends n bytes to the message. Memory grows with what has come, not with
// what a header promises.
func (w *wire) join(n int) ([]byte, error) {
	for n > 0 {
		p, err := w.peek(min(n, w.in.Size()))
		if err != nil {
			return nil, err
		}
		w.joined = append(w.joined, p...)
		w.in.Discard(len(p))
		n -= len(p)
	}
	return w.joined, nil
}

// answer reads a control frame and answers it.
func (w *wire) answer(h ws.Header) error {
	p, err := w.peek(int(h.Length))
	if err != nil {
		return err
	}
	payload := w.control[:copy(w.control[:], p)]
	w.in.Discard(len(p))
	switch h.OpCode {
	case ws.OpPing:
		return w.write(ws.OpPong, payload, writeTimeout)
	case ws.OpClose:
		// ws.CheckCloseFrameData does not know 1012 and 1013: a close is a close.
		code, reason := ws.ParseCloseFrameData(payload)
		w.write(ws.OpClose, payload[:min(2, len(payload)&^1)], byeTimeout)
		return &closed{code, printable(reason)}
	}
	return nil
}

// write sends one frame, masked as a client's must be.
func (w *wire) write(op ws.OpCode, payload []byte, within time.Duration) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := bytes.NewBuffer(w.out[:0])
	mask := ws.NewMask()
	ws.WriteHeader(out, ws.Header{Fin: true, OpCode: op, Masked: true, Mask: mask, Length: int64(len(payload))})
	from := out.Len()
	out.Write(payload)
	w.out = out.Bytes()
	ws.Cipher(w.out[from:], mask, 0)
	w.conn.SetWriteDeadline(time.Now().Add(within))
	_, err := w.conn.Write(w.out)
	return err
}

// bye sends a close frame and does not wait for its answer, nor for long for a write
// under way.
func (w *wire) bye(code ws.StatusCode, reason string) {
	late := time.AfterFunc(2*byeTimeout, func() { w.conn.Close() })
	w.write(ws.OpClose, ws.NewCloseFrameBody(code, reason), byeTimeout)
	late.Stop()
	w.conn.Close()
}

// closed is the close frame of a node.
type closed struct {
	code   ws.StatusCode
	reason string
}

func (e *closed) Error() string {
	if e.code == 0 {
		return "closed by the node"
	}
	return fmt.Sprintf("closed by the node: %d %s", e.code, e.reason)
}
