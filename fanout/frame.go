package fanout

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"

	"github.com/gobwas/ws"

	"github.com/tickwire/tickwire/codec"
)

// frame gathers the updates of one data message behind room for its headers, so
// that a message is written from one piece of memory.
type frame struct {
	buf    []byte // headroom, then the updates
	n      int    // updates
	merged int    // of which are several in one
	json   bool
	head   []byte // scratch of seal
}

// headroom holds the longest WebSocket header of a server (10) and the longest
// opening of a data message: JSON's {"type":"data","sent_at":N,"updates":[
const headroom = 10 + 64

func (f *frame) begin(json bool) {
	if cap(f.buf) == 0 {
		f.buf = make([]byte, 0, 2*messageBytes)
	}
	f.buf, f.n, f.merged, f.json = f.buf[:headroom], 0, 0, json
}

func (f *frame) put(update []byte) {
	if f.json && f.n > 0 {
		f.buf = append(f.buf, ',')
	}
	f.buf = append(f.buf, update...)
	f.n++
}

// seal closes the message and returns the frame, valid until begin.
func (f *frame) seal(sentAt int64) []byte {
	op := ws.OpBinary
	if f.json {
		op = ws.OpText
		f.buf = codec.AppendDataEndJSON(f.buf)
		f.head = codec.AppendDataHeaderJSON(f.head[:0], sentAt)
	} else {
		f.head = codec.AppendDataHeader(f.head[:0], sentAt, f.n)
	}
	at := headroom - len(f.head)
	copy(f.buf[at:], f.head)
	f.head = appendHeader(f.head[:0], op, len(f.buf)-at)
	at -= len(f.head)
	copy(f.buf[at:], f.head)
	return f.buf[at:]
}

// appendHeader appends the header of an unmasked, whole frame: RFC 6455, 5.2.
func appendHeader(dst []byte, op ws.OpCode, payload int) []byte {
	dst = append(dst, 0x80|byte(op))
	switch {
	case payload < 126:
		return append(dst, byte(payload))
	case payload < 1<<16:
		return binary.BigEndian.AppendUint16(append(dst, 126), uint16(payload))
	}
	return binary.BigEndian.AppendUint64(append(dst, 127), uint64(payload))
}

// appendFrame appends a whole frame.
func appendFrame(dst []byte, op ws.OpCode, payload []byte) []byte {
	return append(appendHeader(dst, op, len(payload)), payload...)
}

var (
	errPartial = errors.New("the frame goes on")
	errTooBig  = errors.New("the message is longer than hello says")
	errLength  = ws.ProtocolError("payload length not in its shortest form")
)

// parser reads a client's frames from memory.
type parser struct {
	most    int // bytes of a payload
	src     bytes.Reader
	scratch [ws.MaxHeaderSize]byte
}

// header reads a frame's header, all of it or nothing.
func (r *parser) header(p []byte) (h ws.Header, rest []byte, err error) {
	r.src.Reset(p)
	h, err = ws.ReadHeaderBuffer(&r.src, r.scratch[:])
	rest = p[len(p)-r.src.Len():]
	switch {
	case err == io.EOF || err == io.ErrUnexpectedEOF:
		return h, p, errPartial
	case err != nil || len(p)-len(rest) != ws.HeaderSize(h):
		return h, p, errLength
	}
	return h, rest, nil
}

// frame takes one whole frame off p, unmasking its payload in place. Anything RFC
// 6455 forbids a client is an error; errPartial asks for more bytes.
func (r *parser) frame(p []byte, fragmented bool) (h ws.Header, payload, rest []byte, err error) {
	h, rest, err = r.header(p)
	if err != nil {
		return h, nil, p, err
	}
	state := ws.StateServerSide
	if fragmented {
		state = state.Set(ws.StateFragmented)
	}
	if err := ws.CheckHeader(h, state); err != nil {
		return h, nil, p, err
	}
	if h.Length > int64(r.most) {
		return h, nil, p, errTooBig
	}
	if int64(len(rest)) < h.Length {
		return h, nil, p, errPartial
	}
	payload, rest = rest[:h.Length], rest[h.Length:]
	ws.Cipher(payload, h.Mask, 0)
	return h, payload, rest, nil
}
