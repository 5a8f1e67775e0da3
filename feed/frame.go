package feed

import (
	"cmp"
	"strconv"

	"github.com/valyala/fastjson"

	"github.com/tickwire/tickwire/codec"
)

// refusal is why a frame is refused: it is not what the venue documents. Refused
// frames say nothing at all, and are counted by reason.
type refusal string

const (
	refusedJSON   refusal = "json"   // not JSON
	refusedShape  refusal = "shape"  // a value of another type than documented, or none of the known frames
	refusedSymbol refusal = "symbol" // no symbol, or none that can be a name
	refusedNumber refusal = "number" // text that is no number, or a size below zero
	refusedRange  refusal = "range"  // a number that 53 bits cannot hold
	refusedTime   refusal = "time"   // text that is no time
	refusedLine   refusal = "line"   // a line of a recording that is none
)

func (r refusal) Error() string { return "refused: " + string(r) }

// frame is a received frame under way through a venue's parse, which fills it. It
// belongs to one venue and is used again: a parse costs no allocation once its
// symbols are known.
type frame struct {
	venue *venue
	kind  kind
	name  string // the venue's name for it: "ticker", "subscriptions"
	ticks []tick
	acks  []ack
	event event

	err     error     // the first refusal, of that type; all else that is read then is void
	spoiled []refusal // elements of an array, each refused alone
	json    fastjson.Parser
	number  []byte            // scratch: a number's text
	symbols map[string]string // venue's spelling -> canonical
	names   map[string]string // names of frames
}

// ack is the venue's answer to a subscription: to a channel of a symbol; to all of
// its channels when channel is empty. err says why not.
type ack struct {
	channel, symbol string
	err             string
}

// event is what a control frame asks of the session.
type event uint8

const (
	eventNone    event = iota
	eventRotate        // the venue is about to close: connect anew, then leave
	eventOffline       // the venue trades no more for now
)

func newFrame(v *venue) *frame {
	f := &frame{venue: v, symbols: make(map[string]string), names: make(map[string]string)}
	for name := range v.messages {
		f.names[name] = name
	}
	return f
}

// begin forgets the last frame and reads the JSON of the next. The value is valid
// until the next begin.
func (f *frame) begin(raw []byte) (*fastjson.Value, error) {
	f.kind, f.name, f.event, f.err = kindIgnored, "", eventNone, nil
	f.ticks, f.acks, f.spoiled = f.ticks[:0], f.acks[:0], f.spoiled[:0]
	v, err := f.json.ParseBytes(raw)
	if err != nil {
		return nil, refusedJSON
	}
	return v, nil
}

// is says what the frame was.
func (f *frame) is(k kind, name string) { f.kind, f.name = k, name }

// namesMax bounds the names that are counted one by one, nameBytes their length: the
// venue makes them up.
const (
	namesMax  = 64
	nameBytes = 40
)

// read reads a frame, or an element of one, by its name. One that is not of the
// venue's messages is not for us: it is counted under its own name.
func (f *frame) read(name []byte, v *fastjson.Value) {
	m, ok := f.venue.messages[string(name)]
	if !ok {
		m.kind = kindIgnored
		if f.names[string(name)] == "" && len(f.names) < namesMax && len(name) <= nameBytes && strconv.CanBackquote(string(name)) {
			f.names[string(name)] = string(name)
		}
	}
	f.is(m.kind, cmp.Or(f.names[string(name)], "other"))
	if m.read != nil {
		m.read(f, v)
	}
}

// refuse keeps the first reason.
func (f *frame) refuse(r refusal) {
	if f.err == nil {
		f.err = r
	}
}

// spellingsMax bounds the symbols that are remembered; those beyond are made each time.
const spellingsMax = 100_000

// each reads the elements of an array. One is refused alone: it is of another symbol
// than those beside it. When nothing is left, the frame is.
func (f *frame) each(all []*fastjson.Value, read func(*frame, *fastjson.Value)) {
	for _, v := range all {
		before := len(f.ticks)
		read(f, v)
		if f.err != nil {
			f.spoiled = append(f.spoiled, f.err.(refusal))
			f.ticks, f.err = f.ticks[:before], nil
		}
	}
	if len(f.spoiled) > 0 && len(f.ticks) == 0 {
		f.err, f.spoiled = f.spoiled[0], f.spoiled[1:]
	}
}

// tick begins a tick of a symbol in the venue's spelling. It is valid until the next.
func (f *frame) tick(native []byte, ch channel) *tick {
	symbol, ok := f.symbols[string(native)]
	if !ok {
		symbol = f.venue.name + ":" + f.venue.canonical(string(native))
		if !codec.ValidSymbol([]byte(symbol)) {
			f.refuse(refusedSymbol)
		} else if len(f.symbols) < spellingsMax {
			f.symbols[string(native)] = symbol
		}
	}
	f.ticks = append(f.ticks, tick{symbol: symbol, channel: ch, quote: codec.Empty})
	return &f.ticks[len(f.ticks)-1]
}
