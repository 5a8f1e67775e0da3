package codec

import (
	"math/bits"
	"strconv"

	"github.com/valyala/fastjson"
)

var parsers fastjson.ParserPool

// parseJSON parses strictly: fastjson's parser takes 01, .5, inf and raw control
// characters for JSON. Its validator has no bound on depth, so it comes second.
func parseJSON(p *fastjson.Parser, src []byte) (*fastjson.Value, error) {
	v, err := p.ParseBytes(src)
	if err != nil || fastjson.ValidateBytes(src) != nil {
		return nil, ErrSyntax
	}
	return v, nil
}

// depth is how deeply valid JSON is nested.
func depth(src []byte) (deepest int) {
	now, quoted := 0, false
	for i := 0; i < len(src); i++ {
		switch c := src[i]; {
		case quoted && c == '\\':
			i++ // what it escapes
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '[' || c == '{':
			now++
			deepest = max(deepest, now)
		case c == ']' || c == '}':
			now--
		}
	}
	return deepest
}

// AppendDataHeaderJSON appends the opening of a data message; updates follow, with
// commas between them, then AppendDataEndJSON.
func AppendDataHeaderJSON(dst []byte, sentAt int64) []byte {
	dst = append(dst, `{"type":"data","sent_at":`...)
	return append(strconv.AppendInt(dst, sentAt, 10), `,"updates":[`...)
}

// AppendDataEndJSON closes what AppendDataHeaderJSON opened.
func AppendDataEndJSON(dst []byte) []byte { return append(dst, ']', '}') }

// AppendUpdateJSON appends an update as an object that needs no hello to be read:
// decimals are strings, and what is absent is null.
func AppendUpdateJSON(dst []byte, symbol string, u *Update) []byte {
	dst = append(dst, `{"symbol":`...)
	dst = appendString(dst, symbol)
	dst = append(dst, `,"seq":`...)
	dst = strconv.AppendInt(dst, u.Seq, 10)
	if u.Flags&Image != 0 {
		dst = append(dst, `,"image":true,"history":`...)
		dst = strconv.AppendInt(dst, u.History, 10)
	}
	if u.Flags&Conflated != 0 {
		dst = append(dst, `,"conflated":"`...)
		dst = append(dst, reasonNames[u.Flags&ReasonMask>>2]...)
		dst = append(dst, '"')
	}
	if u.Flags&Gap != 0 {
		dst = append(dst, `,"gap":true`...)
	}
	for rest := uint32(u.Mask & AllFields); rest != 0; rest &= rest - 1 {
		f := Field(bits.TrailingZeros32(rest))
		dst = append(append(append(dst, ',', '"'), FieldNames[f]...), '"', ':')
		dst = AppendFieldJSON(dst, &u.Quote, f)
	}
	return append(dst, '}')
}

// AppendFieldJSON appends a field's value as JSON: decimals and the status as strings.
func AppendFieldJSON(dst []byte, q *Quote, f Field) []byte {
	_, decimal := f.Scale()
	if q[f] == Absent || !decimal && f != Status {
		return AppendText(dst, q, f)
	}
	dst = append(dst, '"')
	return append(AppendText(dst, q, f), '"')
}

// AppendQuoteJSON appends a whole quote: its seq and every field that is known.
func AppendQuoteJSON(dst []byte, seq int64, q *Quote) []byte {
	dst = strconv.AppendInt(append(dst, `{"seq":`...), seq, 10)
	for rest := uint32(q.Present()); rest != 0; rest &= rest - 1 {
		f := Field(bits.TrailingZeros32(rest))
		dst = append(append(append(dst, ',', '"'), FieldNames[f]...), '"', ':')
		dst = AppendFieldJSON(dst, q, f)
	}
	return append(dst, '}')
}

const hexDigits = "0123456789abcdef"

// appendString appends a JSON string; bytes beyond ASCII pass as they are.
func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c < ' ':
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}
