package codec

import (
	"encoding/json"
	"math/bits"

	"github.com/vmihailenco/msgpack/v5"
)

// The subprotocols; Version is that of both.
const (
	Version         = 1
	ProtocolMsgpack = "tickwire.v1.msgpack" // binary messages; the default
	ProtocolJSON    = "tickwire.v1.json"    // text messages
)

// StreamPath is where a node has the stream.
const StreamPath = "/v1/stream"

// Type is the first element of a server's msgpack message, and "type" in JSON.
type Type uint8

const (
	TypeData      Type = iota // [0, sent_at, update...]
	TypeHello                 // [1, {...}], first
	TypeReply                 // [2, {...}], to a request
	TypeHeartbeat             // [3, {...}], when nothing else was sent for a while
	TypeLag                   // [4, {...}], the socket was slow
	TypeDrain                 // [5, {...}], connect elsewhere
	TypeError                 // [6, {...}]
	numTypes
)

var typeNames = [numTypes]string{"data", "hello", "reply", "heartbeat", "lag", "drain", "error"}

func (t Type) String() string {
	if t < numTypes {
		return typeNames[t]
	}
	return "unknown"
}

// Hello is the first message of a connection.
type Hello struct {
	Protocol  int      `json:"protocol"`
	Node      string   `json:"node"`
	Time      int64    `json:"time"`      // us since the Unix epoch
	Fields    []string `json:"fields"`    // names by bit of the mask
	Heartbeat int64    `json:"heartbeat"` // ms
	Periods   []int64  `json:"periods"`   // ms between updates that a rate may be rounded to
	Limits    Limits   `json:"limits"`
	TokenTTL  *int64   `json:"token_ttl"` // seconds left, nil without a token
}

// LimitMax bounds each of Limits: what a client is subscribed to is its memory.
const LimitMax = 1_000_000

// Limits are what a node takes from one connection.
type Limits struct {
	RequestBytes      int `json:"request_bytes"`   // of a message, its fragments joined
	RequestSymbols    int `json:"request_symbols"` // in a request, and as many positions
	Subs              int `json:"subs"`            // symbols subscribed to at a time
	RequestsPerSecond int `json:"requests_per_s"`  // small ones, over more than a few seconds
}

// Reply answers a request, with a result for each of its symbols.
type Reply struct {
	ID       int64    `json:"id"`
	Op       Op       `json:"op"`
	Rate     *float64 `json:"rate,omitempty"`      // in effect, updates a second and symbol; 0 is raw; of subscribe only
	Fields   Mask     `json:"fields,omitempty"`    // in effect, by name; 0 is all
	Time     int64    `json:"time,omitempty"`      // of a ping, us
	TokenTTL *int64   `json:"token_ttl,omitempty"` // of auth, seconds left
	Results  []Result `json:"results,omitempty"`
}

// Result is what became of one symbol, or pattern, of a request.
type Result struct {
	Symbol  string   `json:"symbol"`
	ID      *uint32  `json:"id,omitempty"`      // the node's number for it
	Matched *int     `json:"matched,omitempty"` // of a pattern: symbols that match now
	Rate    *float64 `json:"rate,omitempty"`    // of set, list and auth
	Fields  Mask     `json:"fields,omitempty"`  // of set, list and auth
	Error   *Error   `json:"error,omitempty"`
}

// Heartbeat says that the connection lives and what it is subscribed to.
type Heartbeat struct {
	Time int64  `json:"time"` // us since the Unix epoch
	Subs int    `json:"subs"`
	Hash uint32 `json:"hash"` // XOR of SymbolHash over them
}

// Lag says that the socket took nothing for BlockedMS; what follows is merged.
type Lag struct {
	BlockedMS int64 `json:"blocked_ms"`
}

// Drain asks to connect again, here or elsewhere, within WithinMS.
type Drain struct {
	WithinMS int64 `json:"within_ms"`
}

// Error says why a request, or a symbol of it, failed.
type Error struct {
	ID    *int64 `json:"id,omitempty"` // of the request, where it could be read
	Code  Code   `json:"code"`
	Text  string `json:"text"`  // begins with the code's name
	Retry bool   `json:"retry"` // the same may succeed later
}

func (e *Error) Error() string { return e.Text }

// Code is the stable number of an error.
type Code int

const (
	CodeMalformed       Code = 100
	CodeUnknownOp       Code = 101
	CodeBadSymbol       Code = 110
	CodeUnknownSymbol   Code = 111
	CodeNotSubscribed   Code = 112
	CodeUnknownField    Code = 113
	CodeBadRate         Code = 114
	CodeBadResume       Code = 115
	CodeTooManySymbols  Code = 120
	CodeTooManySubs     Code = 121
	CodeTooManyRequests Code = 122
	CodeNotAllowed      Code = 130
	CodeTokenRefused    Code = 131
	CodeUnavailable     Code = 140
)

// codeNames holds every code's name, and whether trying again can help.
var codeNames = map[Code]struct {
	name  string
	retry bool
}{
	CodeMalformed:       {"malformed", false},
	CodeUnknownOp:       {"unknown_op", false},
	CodeBadSymbol:       {"bad_symbol", false},
	CodeUnknownSymbol:   {"unknown_symbol", true},
	CodeNotSubscribed:   {"not_subscribed", false},
	CodeUnknownField:    {"unknown_field", false},
	CodeBadRate:         {"bad_rate", false},
	CodeBadResume:       {"bad_resume", false},
	CodeTooManySymbols:  {"too_many_symbols", false},
	CodeTooManySubs:     {"too_many_subs", false},
	CodeTooManyRequests: {"too_many_requests", true},
	CodeNotAllowed:      {"not_allowed", false},
	CodeTokenRefused:    {"token_refused", false},
	CodeUnavailable:     {"unavailable", true},
}

func (c Code) String() string { return codeNames[c].name }

// NewError makes the error of a code; id is the request's, or nil.
func NewError(id *int64, code Code, detail string) *Error {
	e := &Error{Code: code, Text: code.String() + ": " + detail, Retry: codeNames[code].retry}
	if id != nil {
		v := *id
		e.ID = &v
	}
	return e
}

// names lists the fields of a mask.
func (m Mask) names() []string {
	names := make([]string, 0, NumFields)
	for rest := uint32(m & AllFields); rest != 0; rest &= rest - 1 {
		names = append(names, FieldNames[bits.TrailingZeros32(rest)])
	}
	return names
}

// MarshalJSON writes a mask as names.
func (m Mask) MarshalJSON() ([]byte, error) { return json.Marshal(m.names()) }

// EncodeMsgpack writes a mask as names.
func (m Mask) EncodeMsgpack(enc *msgpack.Encoder) error { return enc.Encode(m.names()) }

// UnmarshalJSON reads names, and passes over those that a newer peer knows.
func (m *Mask) UnmarshalJSON(text []byte) error {
	var names []string
	if err := json.Unmarshal(text, &names); err != nil {
		return err
	}
	*m = 0
	for _, name := range names {
		if f, ok := FieldByName(name); ok {
			*m |= 1 << f
		}
	}
	return nil
}

// Control is a message other than data: *Hello, *Reply, *Heartbeat, *Lag, *Drain or
// *Error.
type Control interface{ Type() Type }

func (*Hello) Type() Type     { return TypeHello }
func (*Reply) Type() Type     { return TypeReply }
func (*Heartbeat) Type() Type { return TypeHeartbeat }
func (*Lag) Type() Type       { return TypeLag }
func (*Drain) Type() Type     { return TypeDrain }
func (*Error) Type() Type     { return TypeError }

// newControl makes an empty message of a type, nil of data.
func newControl(t Type) Control {
	switch t {
	case TypeHello:
		return new(Hello)
	case TypeReply:
		return new(Reply)
	case TypeHeartbeat:
		return new(Heartbeat)
	case TypeLag:
		return new(Lag)
	case TypeDrain:
		return new(Drain)
	case TypeError:
		return new(Error)
	}
	return nil
}

// AppendControl appends a message as msgpack: [type, {...}].
func AppendControl(dst []byte, m Control) []byte {
	w := getWriter(dst)
	w.array(2)
	w.int(int64(m.Type()))
	w.object(m)
	return w.put()
}

// AppendControlJSON appends a message as a JSON object that begins with its type.
func AppendControlJSON(dst []byte, m Control) []byte {
	dst = append(append(append(dst, `{"type":"`...), m.Type().String()...), '"', ',')
	return append(dst, marshal(m)[1:]...)
}

// object writes a struct as a map, with the names of its json tags.
func (w *writer) object(x any) {
	w.enc.SetCustomStructTag("json")
	w.enc.UseCompactInts(true)
	if err := w.enc.Encode(x); err != nil {
		panic("codec: internal error: " + err.Error())
	}
}

func marshal(x any) []byte {
	text, err := json.Marshal(x)
	if err != nil {
		panic("codec: internal error: " + err.Error())
	}
	return text
}
