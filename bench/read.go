package bench

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/gobwas/ws"

	"github.com/tickwire/tickwire/fanout/epoll"
)

// read takes what a conn's socket has.
func (w *worker) read(c *conn) { w.readInto(c, w.in) }

// readInto takes what a conn's socket has into buf, behind what is left of a frame;
// after some rounds others have a turn.
func (w *worker) readInto(c *conn, buf []byte) {
	if c.fd < 0 {
		return
	}
	for range readRounds {
		had := copy(buf, c.rest)
		n, err := c.receive(buf[had:])
		if err == epoll.ErrAgain {
			return
		}
		if err != nil || n == 0 {
			why := "closed by the server"
			if err != nil {
				why = err.Error()
			}
			w.lose(c, why)
			return
		}
		w.now = time.Now().UnixMicro()
		rest, err := w.digest(c, buf[:had+n])
		if err != nil {
			if errors.Is(err, errServer) {
				w.wrong(err.Error(), errServer.Error())
			}
			w.lose(c, err.Error())
			return
		}
		if c.fd < 0 {
			return
		}
		c.rest = append(c.rest[:0], rest...)
		if len(c.rest) == 0 {
			c.rest = nil
		}
		if w.slowed(c) {
			return
		}
	}
	w.again = append(w.again, w.index(c))
}

const (
	readRounds = 8
	headMax    = 16 << 10 // bytes of an answer to the upgrade
)

var blankLine = []byte("\r\n\r\n")

// digest takes what is whole off p and returns the rest.
func (w *worker) digest(c *conn, p []byte) (rest []byte, err error) {
	if c.state == connUpgrading {
		end := bytes.Index(p, blankLine)
		if end < 0 && len(p) > headMax {
			return nil, fmt.Errorf("%w: an answer to the upgrade without an end", errServer)
		}
		if end < 0 {
			return p, nil
		}
		line, _, _ := bytes.Cut(p, []byte("\r\n"))
		if !bytes.HasPrefix(line, []byte("HTTP/1.1 101 ")) {
			return nil, refusal(p)
		}
		c.state, c.heard = connOpen, false
		w.dialling--
		w.open++
		w.count.Connects++
		w.speak.opened(w, c)
		p = p[end+len(blankLine):]
	}
	for len(p) > 0 && c.fd >= 0 {
		op, fin, payload, rest, ok, err := parseFrame(p)
		if err != nil || !ok {
			return p, err
		}
		w.count.Bytes += int64(len(p) - len(rest))
		p = rest
		switch {
		case op.IsControl() && (!fin || len(payload) > ws.MaxControlFramePayloadSize):
			return nil, fmt.Errorf("%w: a control frame in parts, or a long one", errServer)
		case op == ws.OpPing:
			w.out = appendFrame(w.out[:0], ws.OpPong, payload)
			w.write(c, w.out)
		case op == ws.OpClose:
			code, reason := ws.ParseCloseFrameData(payload)
			return nil, fmt.Errorf("closed by the server: %d %s", code, reason)
		case op == ws.OpPong:
		case op != ws.OpText && op != ws.OpBinary && op != ws.OpContinuation:
			return nil, fmt.Errorf("%w: op code %d", errServer, op)
		case !fin || op == ws.OpContinuation:
			return nil, fmt.Errorf("%w: fragments, which no server here sends", errServer)
		default:
			c.heard = true
			if err := w.speak.message(w, c, op, payload); err != nil {
				return nil, fmt.Errorf("%w: %w", errServer, err)
			}
		}
	}
	return p, nil
}

// refusal says why a server does not upgrade, in its own words.
func refusal(answer []byte) error {
	r, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(answer)), nil)
	if err != nil {
		return fmt.Errorf("upgrade: %w", err)
	}
	defer r.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(r.Body, 200)) // what has come of it
	return fmt.Errorf("upgrade: %s%s", printable(r.Status+" "+string(bytes.TrimSpace(body))), advice(r.StatusCode))
}

// slowed reports whether a conn is being slow: while it is measured.
func (w *worker) slowed(c *conn) bool { return c.slow && w.measuring && c.state == connOpen }

// readSlow gives slow readers their share.
func (w *worker) readSlow() {
	if w.load.SlowBytes == 0 || !w.measuring || time.Now().Before(w.slowAt) {
		return
	}
	w.slowAt = time.Now().Add(slowEvery)
	share := min(readBytes, max(1, w.load.SlowBytes/int(time.Second/slowEvery)))
	for i := range w.conns {
		if c := &w.conns[i]; w.slowed(c) && c.fd >= 0 {
			w.readInto(c, w.in[:len(c.rest)+share])
		}
	}
}
