package codec

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/valyala/fastjson"
)

// Op is what a request asks for.
type Op string

const (
	OpSubscribe   Op = "subscribe"
	OpUnsubscribe Op = "unsubscribe"
	OpSet         Op = "set"
	OpPause       Op = "pause"
	OpResume      Op = "resume"
	OpList        Op = "list"
	OpAuth        Op = "auth"
	OpPing        Op = "ping"
)

// Ops lists them all.
var Ops = [...]Op{OpSubscribe, OpUnsubscribe, OpSet, OpPause, OpResume, OpList, OpAuth, OpPing}

// ErrUnknownOp: a request of an op that is none of Ops.
var ErrUnknownOp = errors.New("codec: no such op")

// Request is what a client asks. Parsed, its bytes are views that live until it is
// parsed into again.
type Request struct {
	ID      int64 // echoed in the reply; 0 when the client gave none
	Op      Op
	Symbols [][]byte
	Fields  [][]byte // none: all
	Rate    float64  // updates a second and symbol; 0: as they come
	HasRate bool
	Resume  []Position
	Token   []byte

	text []byte // a msgpack request as JSON
	json fastjson.Parser
}

// Position is what a client holds of a symbol.
type Position struct {
	Symbol       []byte
	History, Seq int64
}

// ParseRequest reads a msgpack request. It costs no allocation once r has grown.
func ParseRequest(src []byte, r *Request) error {
	in := getReader(src)
	text, err := in.appendJSON(r.text[:0], 0)
	if err == nil && in.src.Len() > 0 {
		err = ErrTrailing
	}
	in.put(nil)
	r.text = text
	if err != nil {
		r.clear()
		return err
	}
	return ParseRequestJSON(r.text, r)
}

// ParseRequestJSON reads a JSON request. On an error r.ID is the request's id where
// it could be read.
func ParseRequestJSON(src []byte, r *Request) error {
	r.clear()
	v, err := r.json.ParseBytes(src)
	if err != nil {
		return ErrSyntax
	}
	o, err := v.Object()
	if err != nil {
		return fmt.Errorf("%w: a request is a map", ErrType)
	}
	var first error
	o.Visit(func(key []byte, v *fastjson.Value) {
		if err := r.take(key, v); err != nil && first == nil {
			first = err
		}
	})
	if first == nil && r.Op == "" {
		return fmt.Errorf("%w: op is missing", ErrType)
	}
	return first
}

func (r *Request) clear() {
	r.ID, r.Op, r.Rate, r.HasRate, r.Token = 0, "", 0, false, nil
	r.Symbols, r.Fields, r.Resume = r.Symbols[:0], r.Fields[:0], r.Resume[:0]
}

// take reads one key of the request; keys it does not know are a newer client's.
func (r *Request) take(key []byte, v *fastjson.Value) (err error) {
	switch string(key) {
	case "op":
		name, err := v.StringBytes()
		if err != nil {
			return fmt.Errorf("%w: op is a string", ErrType)
		}
		for _, op := range Ops {
			if string(name) == string(op) {
				r.Op = op
				return nil
			}
		}
		return fmt.Errorf("%w %q", ErrUnknownOp, name)
	case "id":
		if r.ID, err = natural(v); err != nil {
			r.ID = 0
			return fmt.Errorf("%w: id is an integer from 0 to 2^53-1", err)
		}
	case "symbols":
		if r.Symbols, err = texts(r.Symbols[:0], v); err != nil {
			return fmt.Errorf("%w: symbols is an array of strings", err)
		}
	case "fields":
		if r.Fields, err = texts(r.Fields[:0], v); err != nil {
			return fmt.Errorf("%w: fields is an array of strings", err)
		}
	case "rate":
		if r.Rate, err = v.Float64(); err != nil {
			return fmt.Errorf("%w: rate is a number", ErrType)
		}
		r.HasRate = true
	case "resume":
		if err := r.takeResume(v); err != nil {
			return fmt.Errorf("%w: resume is an array of [symbol, history, seq]", err)
		}
	case "token":
		if r.Token, err = v.StringBytes(); err != nil {
			return fmt.Errorf("%w: token is a string", ErrType)
		}
	}
	return nil
}

func (r *Request) takeResume(v *fastjson.Value) error {
	all, err := v.Array()
	if err != nil {
		return ErrType
	}
	r.Resume = r.Resume[:0]
	for _, one := range all {
		part, err := one.Array()
		if err != nil {
			return ErrType
		}
		if len(part) != 3 {
			return ErrCount
		}
		symbol, err := part[0].StringBytes()
		if err != nil {
			return ErrType
		}
		history, err1 := natural(part[1])
		seq, err2 := natural(part[2])
		if err := errors.Join(err1, err2); err != nil {
			return ErrRange
		}
		r.Resume = append(r.Resume, Position{symbol, history, seq})
	}
	return nil
}

// natural reads an integer from 0 to MaxInt.
func natural(v *fastjson.Value) (int64, error) {
	if v == nil || v.Type() != fastjson.TypeNumber {
		return 0, ErrType
	}
	n, err := v.Int64()
	if err != nil || n < 0 || n > MaxInt {
		return 0, ErrRange
	}
	return n, nil
}

func texts(dst [][]byte, v *fastjson.Value) ([][]byte, error) {
	all, err := v.Array()
	if err != nil {
		return dst, ErrType
	}
	for _, one := range all {
		text, err := one.StringBytes()
		if err != nil {
			return dst, ErrType
		}
		dst = append(dst, text)
	}
	return dst, nil
}

// AppendRequestJSON appends a request as a client sends it.
func AppendRequestJSON(dst []byte, r *Request) []byte {
	dst = append(append(append(dst, `{"op":"`...), r.Op...), `","id":`...)
	dst = strconv.AppendInt(dst, r.ID, 10)
	dst = appendTexts(dst, `,"symbols":[`, r.Symbols)
	dst = appendTexts(dst, `,"fields":[`, r.Fields)
	if r.HasRate {
		dst = strconv.AppendFloat(append(dst, `,"rate":`...), r.Rate, 'g', -1, 64)
	}
	for i, p := range r.Resume {
		sep := `,"resume":[[`
		if i > 0 {
			sep = `,[`
		}
		dst = appendString(append(dst, sep...), string(p.Symbol))
		dst = strconv.AppendInt(append(dst, ','), p.History, 10)
		dst = append(strconv.AppendInt(append(dst, ','), p.Seq, 10), ']')
	}
	if len(r.Resume) > 0 {
		dst = append(dst, ']')
	}
	if r.Token != nil {
		dst = appendString(append(dst, `,"token":`...), string(r.Token))
	}
	return append(dst, '}')
}

func appendTexts(dst []byte, open string, all [][]byte) []byte {
	if len(all) == 0 {
		return dst
	}
	dst = append(dst, open...)
	for i, text := range all {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendString(dst, string(text))
	}
	return append(dst, ']')
}

// AppendRequest appends a request as msgpack: the same map.
func AppendRequest(dst []byte, r *Request) []byte {
	w := getWriter(dst)
	keys := 2
	for _, has := range [...]bool{len(r.Symbols) > 0, len(r.Fields) > 0, r.HasRate, len(r.Resume) > 0, r.Token != nil} {
		if has {
			keys++
		}
	}
	w.mapLen(keys)
	w.string("op")
	w.string(string(r.Op))
	w.string("id")
	w.int(r.ID)
	w.texts("symbols", r.Symbols)
	w.texts("fields", r.Fields)
	if r.HasRate {
		w.string("rate")
		w.float(r.Rate)
	}
	if len(r.Resume) > 0 {
		w.string("resume")
		w.array(len(r.Resume))
		for _, p := range r.Resume {
			w.array(3)
			w.string(string(p.Symbol))
			w.int(p.History)
			w.int(p.Seq)
		}
	}
	if r.Token != nil {
		w.string("token")
		w.string(string(r.Token))
	}
	return w.put()
}

func (w *writer) texts(key string, all [][]byte) {
	if len(all) == 0 {
		return
	}
	w.string(key)
	w.array(len(all))
	for _, text := range all {
		w.string(string(text))
	}
}
