package codec

import (
	"math"
	"strconv"
	"unicode/utf8"

	"github.com/vmihailenco/msgpack/v5/msgpcode"
)

// depthMax bounds nesting: a request has 3 levels, a reply 5.
const depthMax = 8

// appendJSON appends the next msgpack value as JSON text, so that requests and
// control messages are read in one way, whichever encoding they came in. It never
// allocates for a length that the source does not hold.
func (r *reader) appendJSON(dst []byte, depth int) ([]byte, error) {
	c, err := r.code()
	if err != nil {
		return dst, err
	}
	switch {
	case c == msgpcode.Nil:
		r.skip(1)
		return append(dst, "null"...), nil
	case c == msgpcode.True || c == msgpcode.False:
		r.skip(1)
		return strconv.AppendBool(dst, c == msgpcode.True), nil
	case msgpcode.IsString(c):
		text, err := r.text()
		if err == nil && !utf8.Valid(text) {
			err = ErrSyntax
		}
		if err != nil {
			return dst, err
		}
		return appendString(dst, string(text)), nil
	case c == msgpcode.Float || c == msgpcode.Double:
		v, err := r.dec.DecodeFloat64()
		if err != nil {
			return dst, cut(err)
		}
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return dst, ErrRange
		}
		return strconv.AppendFloat(dst, v, 'e', -1, 64), nil // 1.0 is not 1: no id, no seq
	case depth == depthMax:
		return dst, ErrType
	case msgpcode.IsFixedArray(c) || c == msgpcode.Array16 || c == msgpcode.Array32:
		return r.appendArray(dst, depth+1)
	case msgpcode.IsFixedMap(c) || c == msgpcode.Map16 || c == msgpcode.Map32:
		return r.appendMap(dst, depth+1)
	}
	v, err := r.integer()
	if err != nil {
		return dst, err
	}
	return strconv.AppendInt(dst, v, 10), nil
}

func (r *reader) appendArray(dst []byte, depth int) ([]byte, error) {
	n, err := r.array()
	if err != nil {
		return dst, err
	}
	dst = append(dst, '[')
	for i := range n {
		if i > 0 {
			dst = append(dst, ',')
		}
		if dst, err = r.appendJSON(dst, depth); err != nil {
			return dst, err
		}
	}
	return append(dst, ']'), nil
}

func (r *reader) appendMap(dst []byte, depth int) ([]byte, error) {
	n, err := r.dec.DecodeMapLen()
	if err != nil {
		return dst, cut(err)
	}
	if 2*n > r.src.Len() {
		return dst, ErrTruncated
	}
	dst = append(dst, '{')
	for i := range n {
		if i > 0 {
			dst = append(dst, ',')
		}
		key, err := r.text()
		if err != nil {
			return dst, err
		}
		dst = append(appendString(dst, string(key)), ':')
		if dst, err = r.appendJSON(dst, depth); err != nil {
			return dst, err
		}
	}
	return append(dst, '}'), nil
}
