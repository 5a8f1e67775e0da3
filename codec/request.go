package codec

import (
	"errors"
	"fmt"
	"math"

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

// What is wrong with a request, where it is not its bytes.
var (
	ErrUnknownOp = errors.New("codec: no such op") // none of Ops
	ErrResume    = errors.New("resume is an array of [symbol, history, seq]")
)

// Request is what a client asks. Parsed, its bytes are views that live until it is
// parsed into again.
type Request struct {
	ID      int64 // echoed in the reply; 0 when the client gave none, -1 after an error when it could not be read
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

// ParseRequestJSON reads a JSON request.
func ParseRequestJSON(src []byte, r *Request) error {
	r.clear()
	v, err := parseJSON(&r.json, src)
	if err != nil {
		return err
	}
	if depth(src) > depthMax {
		return fmt.Errorf("%w: nested too deeply", ErrType)
	}
	o, err := v.Object()
	if err != nil {
		return fmt.Errorf("%w: a request is a map", ErrType)
	}
	r.ID = 0
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
	r.ID, r.Op, r.Rate, r.HasRate, r.Token = -1, "", 0, false, nil
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
		return fmt.Errorf("%w %.32q", ErrUnknownOp, name)
	case "id":
		if r.ID, err = natural(v); err != nil {
			r.ID = -1
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
		if math.IsInf(r.Rate, 0) {
			return fmt.Errorf("%w: rate", ErrRange)
		}
		r.HasRate = true
	case "resume":
		if err := r.takeResume(v); err != nil {
			return fmt.Errorf("%w: %w", err, ErrResume)
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
		history, err := natural(part[1])
		if err != nil {
			return err
		}
		seq, err := natural(part[2])
		if err != nil {
			return err
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

// sentRequest is a request as a client sends it.
type sentRequest struct {
	Op      Op       `json:"op"`
	ID      int64    `json:"id"`
	Symbols []string `json:"symbols,omitempty"`
	Fields  []string `json:"fields,omitempty"`
	Rate    *float64 `json:"rate,omitempty"`
	Resume  [][3]any `json:"resume,omitempty"` // symbol, history, seq
	Token   string   `json:"token,omitempty"`
}

func (r *Request) sent() *sentRequest {
	s := &sentRequest{Op: r.Op, ID: r.ID, Token: string(r.Token)}
	for _, symbol := range r.Symbols {
		s.Symbols = append(s.Symbols, string(symbol))
	}
	for _, name := range r.Fields {
		s.Fields = append(s.Fields, string(name))
	}
	if r.HasRate {
		s.Rate = &r.Rate
	}
	for _, p := range r.Resume {
		s.Resume = append(s.Resume, [3]any{string(p.Symbol), p.History, p.Seq})
	}
	return s
}

// AppendRequestJSON appends a request as a client sends it.
func AppendRequestJSON(dst []byte, r *Request) []byte { return append(dst, marshal(r.sent())...) }

// AppendRequest appends a request as msgpack: the same map.
func AppendRequest(dst []byte, r *Request) []byte {
	w := getWriter(dst)
	w.object(r.sent())
	return w.put()
}
