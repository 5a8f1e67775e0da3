package codec

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"sync"

	"github.com/vmihailenco/msgpack/v5"
	"github.com/vmihailenco/msgpack/v5/msgpcode"
)

// What a parser may refuse, besides ErrSyntax and ErrRange.
var (
	ErrTruncated = errors.New("codec: the bytes end too early")
	ErrTrailing  = errors.New("codec: bytes after the end")
	ErrType      = errors.New("codec: not of the type it should be")
	ErrCount     = errors.New("codec: not the number of elements it should have")
)

// writer is msgpack's encoder over a slice of the caller's. Encoders are pooled: a
// new one would allocate.
type writer struct {
	buf []byte
	enc *msgpack.Encoder
}

var writers = sync.Pool{New: func() any {
	w := new(writer)
	w.enc = msgpack.NewEncoder(w)
	return w
}}

func getWriter(dst []byte) *writer {
	w := writers.Get().(*writer)
	w.buf = dst
	return w
}

// put gives the writer back and returns what it wrote.
func (w *writer) put() []byte {
	buf := w.buf
	w.buf = nil
	writers.Put(w)
	return buf
}

func (w *writer) Write(p []byte) (int, error) { w.buf = append(w.buf, p...); return len(p), nil }
func (w *writer) WriteByte(b byte) error      { w.buf = append(w.buf, b); return nil }

// int writes an integer in the fewest bytes. It is most of what there is, so it does
// without the encoder, which takes five times as long.
func (w *writer) int(v int64) {
	switch u := uint64(v); {
	case v >= 0 && v <= math.MaxInt8 || v < 0 && v >= -32:
		w.buf = append(w.buf, byte(v))
	case v >= 0 && v <= math.MaxUint8:
		w.buf = append(w.buf, msgpcode.Uint8, byte(v))
	case v >= 0 && v <= math.MaxUint16:
		w.buf = binary.BigEndian.AppendUint16(append(w.buf, msgpcode.Uint16), uint16(u))
	case v >= 0 && v <= math.MaxUint32:
		w.buf = binary.BigEndian.AppendUint32(append(w.buf, msgpcode.Uint32), uint32(u))
	case v >= 0:
		w.buf = binary.BigEndian.AppendUint64(append(w.buf, msgpcode.Uint64), u)
	case v >= math.MinInt8:
		w.buf = append(w.buf, msgpcode.Int8, byte(v))
	case v >= math.MinInt16:
		w.buf = binary.BigEndian.AppendUint16(append(w.buf, msgpcode.Int16), uint16(u))
	case v >= math.MinInt32:
		w.buf = binary.BigEndian.AppendUint32(append(w.buf, msgpcode.Int32), uint32(u))
	default:
		w.buf = binary.BigEndian.AppendUint64(append(w.buf, msgpcode.Int64), u)
	}
}

// The encoder's errors are its writer's, which has none.

func (w *writer) null()           { w.enc.EncodeNil() }
func (w *writer) array(n int)     { w.enc.EncodeArrayLen(n) }
func (w *writer) string(s string) { w.enc.EncodeString(s) }

// reader is msgpack's decoder over a slice, stricter: no nil for a number, no
// integer beyond 53 bits, and nothing allocated because a length says so.
type reader struct {
	src bytes.Reader
	all []byte
	dec *msgpack.Decoder
}

var readers = sync.Pool{New: func() any {
	r := new(reader)
	r.dec = msgpack.NewDecoder(&r.src)
	return r
}}

func getReader(src []byte) *reader {
	r := readers.Get().(*reader)
	r.all = src
	r.src.Reset(src)
	r.dec.ResetReader(&r.src)
	return r
}

// put gives the reader back and passes an error on.
func (r *reader) put(err error) error {
	r.all = nil
	r.src.Reset(nil)
	readers.Put(r)
	return err
}

// rest is what has not been read yet.
func (r *reader) rest() []byte { return r.all[len(r.all)-r.src.Len():] }

// skip passes over bytes that are there.
func (r *reader) skip(n int) { r.src.Seek(int64(n), io.SeekCurrent) }

// cut turns the decoder's error into one of ours.
func cut(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return ErrTruncated
	}
	return ErrType
}

// code is the type byte that comes next.
func (r *reader) code() (byte, error) {
	if r.src.Len() == 0 {
		return 0, ErrTruncated
	}
	return r.all[len(r.all)-r.src.Len()], nil
}

// array reads an array's header.
func (r *reader) array() (int, error) {
	c, err := r.code()
	if err != nil {
		return 0, err
	}
	if !msgpcode.IsFixedArray(c) && c != msgpcode.Array16 && c != msgpcode.Array32 {
		return 0, ErrType
	}
	n, err := r.dec.DecodeArrayLen()
	if err != nil {
		return 0, cut(err)
	}
	if n > r.src.Len() {
		return 0, ErrTruncated // every element has a byte at least
	}
	return n, nil
}

// integer reads an integer of at most 53 bits. It is most of what there is, so it is
// taken from the bytes: the decoder takes ten times as long.
func (r *reader) integer() (int64, error) {
	c, err := r.code()
	switch {
	case err != nil:
		return 0, err
	case msgpcode.IsFixedNum(c):
		r.skip(1)
		return int64(int8(c)), nil
	case c < msgpcode.Uint8 || c > msgpcode.Int64:
		return 0, ErrType
	}
	size := 1 << ((c - msgpcode.Uint8) % 4)
	if r.src.Len() < 1+size {
		return 0, ErrTruncated
	}
	var bits uint64
	for _, b := range r.rest()[1 : 1+size] {
		bits = bits<<8 | uint64(b)
	}
	r.skip(1 + size)
	if c >= msgpcode.Int8 {
		unused := 64 - 8*size
		bits = uint64(int64(bits<<unused) >> unused)
	} else if bits > MaxInt {
		return 0, ErrRange
	}
	if v := int64(bits); v <= MaxInt && v >= -MaxInt {
		return v, nil
	}
	return 0, ErrRange
}

// uint reads an integer from 0 to most.
func (r *reader) uint(most int64) (int64, error) {
	v, err := r.integer()
	if err == nil && (v < 0 || v > most) {
		return 0, ErrRange
	}
	return v, err
}

// value reads a field's value: an integer, or nil for Absent.
func (r *reader) value() (int64, error) {
	c, err := r.code()
	if err != nil {
		return 0, err
	}
	if c == msgpcode.Nil {
		r.skip(1)
		return Absent, nil
	}
	return r.integer()
}

// text reads a string, as a view into the source.
func (r *reader) text() ([]byte, error) {
	c, err := r.code()
	if err != nil {
		return nil, err
	}
	if !msgpcode.IsString(c) {
		return nil, ErrType
	}
	n, err := r.dec.DecodeBytesLen()
	if err != nil {
		return nil, cut(err)
	}
	if n > r.src.Len() {
		return nil, ErrTruncated
	}
	view := r.rest()[:n]
	r.skip(n)
	return view, nil
}
