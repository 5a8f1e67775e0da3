package feed

import (
	"errors"
	"time"

	"github.com/valyala/fastjson"

	"github.com/tickwire/tickwire/codec"
)

// tick is what one frame says of one symbol.
type tick struct {
	symbol  string      // canonical: venue:BASE-QUOTE
	quote   codec.Quote // in scales of its own
	mask    codec.Mask  // fields the frame carried; one that is Absent is known to be none
	channel channel
	order   int64 // the venue's own number within the channel; 0 none
	gap     bool  // the venue's stream was interrupted before this
}

// channel is what kind of message a tick came in. Numbers are compared within one,
// and the nearer to the trade wins where two say the same.
type channel uint8

const (
	chBook     channel = iota // best bid and ask
	chTrade                   // single trades
	chAggTrade                // trades of one taker order
	chStats                   // the day so far, once a second: its bid, ask and last are older
	chStatus                  // what we say of the venue
	numChannels
)

// kind is what a frame was.
type kind uint8

const (
	kindData    kind = iota // quotes
	kindControl             // acknowledgements, heartbeats, errors
	kindIgnored             // known, and not for us
)

func (k kind) String() string { return [...]string{"data", "control", "ignored"}[k] }

// ErrFrame: a frame that is not what the venue documents; it is refused whole.
var ErrFrame = errors.New("not a frame of this venue")

// frame is a received frame under way through a venue's parse, which fills it. It
// is used again: a parse costs no allocation once symbols are known.
type frame struct {
	kind  kind
	name  string // the venue's name for it: "ticker", "subscriptions"
	ticks []tick
	acks  []ack
	event event

	json   fastjson.Parser
	number []byte            // scratch: a number's text
	names  map[string]string // venue's symbol -> canonical
}

// ack is the venue's answer to a subscription: to all channels of a symbol, or to
// one; err says why not.
type ack struct {
	channel, symbol string
	err             string
}

// event is what a control frame asks of the session.
type event uint8

const (
	eventNone   event = iota
	eventRotate       // the venue is about to close: connect anew, then leave
	eventOnline
	eventOffline // the venue trades no more for now
)

// reset makes the frame ready for the next parse.
func (f *frame) reset() {
	f.kind, f.name, f.event = 0, "", eventNone
	f.ticks, f.acks = f.ticks[:0], f.acks[:0]
}

// recvAt has every tick of the frame received at that time, in us since the epoch;
// 0 is not known.
func (f *frame) recvAt(us int64) {
	if us == 0 {
		return
	}
	for i := range f.ticks {
		f.ticks[i].quote[codec.RecvTime] = us
		f.ticks[i].mask |= 1 << codec.RecvTime
	}
}

// add begins a tick.
func (f *frame) add(symbol string, ch channel) *tick {
	f.ticks = append(f.ticks, tick{symbol: symbol, channel: ch, quote: codec.Empty})
	return &f.ticks[len(f.ticks)-1]
}

// put puts a number, as text or as a JSON number, into a field of a tick. Empty
// text, null and what is missing leave the field: the frame did not say.
func (f *frame) put(t *tick, field codec.Field, v *fastjson.Value) error {
	if v == nil {
		return nil
	}
	var text []byte
	switch v.Type() {
	case fastjson.TypeNull:
		return nil
	case fastjson.TypeString:
		text, _ = v.StringBytes()
	case fastjson.TypeNumber:
		f.number = v.MarshalTo(f.number[:0]) // the token as it came: never a float
		text = f.number
	default:
		return ErrFrame
	}
	if len(text) == 0 {
		return nil
	}
	if err := t.quote.SetText(field, text); err != nil {
		return err
	}
	t.mask |= 1 << field
	return nil
}

// side puts a price and its size; both zero is no quote on that side.
func (f *frame) side(t *tick, price, size codec.Field, p, s *fastjson.Value) error {
	if err := f.put(t, price, p); err != nil {
		return err
	}
	if err := f.put(t, size, s); err != nil {
		return err
	}
	if t.mask.Has(price) && t.quote[price] == 0 && (!t.mask.Has(size) || t.quote[size] == 0) {
		t.quote[price], t.quote[size] = codec.Absent, codec.Absent
		t.mask |= 1<<price | 1<<size
	}
	return nil
}

// count puts a whole number that is not a decimal.
func (f *frame) count(t *tick, field codec.Field, v *fastjson.Value) error {
	if v == nil || v.Type() == fastjson.TypeNull {
		return nil
	}
	n, err := v.Int64()
	if err != nil || n < 0 || n > codec.MaxInt {
		return ErrFrame
	}
	t.set(field, n)
	return nil
}

// eachOf reads all elements of a frame that has several.
func (f *frame) eachOf(all []*fastjson.Value, read func(*frame, *fastjson.Value) error) error {
	for _, v := range all {
		if err := read(f, v); err != nil {
			return err
		}
	}
	return nil
}

// set puts an integer.
func (t *tick) set(f codec.Field, v int64) {
	t.quote[f] = v
	t.mask |= 1 << f
}

// oldest is the beginning of 1971 in us: venues send times before it for "never".
const oldest = 365 * 24 * 3600 * 1_000_000

// time puts a time as text of RFC 3339; none, and "never", leave the field.
func (t *tick) time(text []byte) error {
	if len(text) == 0 {
		return nil
	}
	var at time.Time
	if at.UnmarshalText(text) != nil {
		return ErrFrame
	}
	if us := at.UnixMicro(); us > oldest {
		t.set(codec.EventTime, us)
	}
	return nil
}

// millis puts a time in ms since the epoch.
func (t *tick) millis(v *fastjson.Value) error {
	if v == nil || v.Type() == fastjson.TypeNull {
		return nil
	}
	ms, err := v.Int64()
	if err != nil || ms > codec.MaxInt/1000 {
		return ErrFrame
	}
	if ms*1000 > oldest {
		t.set(codec.EventTime, ms*1000)
	}
	return nil
}

// namesMax bounds the symbols that are remembered; those beyond are made each time.
const namesMax = 100_000

// symbol is the canonical name of a venue's own, made once.
func (f *frame) symbol(prefix string, native []byte, name func([]byte) string) string {
	if s, ok := f.names[string(native)]; ok {
		return s
	}
	s := prefix + name(native)
	if f.names == nil {
		f.names = make(map[string]string)
	}
	if len(f.names) < namesMax {
		f.names[string(native)] = s
	}
	return s
}

// venue is an exchange: facts and a parse, no state.
type venue struct {
	name string
	url  string
	// symbols are subscribed to when none are named.
	symbols []string
	// native is a canonical symbol, without the venue, as the exchange spells it.
	native func(symbol string) string
	// subscribe makes the messages that ask for symbols, in the exchange's spelling.
	subscribe func(native []string) [][]byte
	// asked lists the channels each symbol is acknowledged for; none: not at all.
	asked []string
	// ping is sent when nothing was received for a while; "" is a WebSocket ping.
	ping string
	// rotate is how long a connection lasts at the most, in hours; 0 for ever.
	rotate int
	// parse reads a frame into f. It never keeps raw.
	parse func(f *frame, raw []byte) error
}

// venues is every exchange we read, by name. A new one is one file and one line.
var venues = map[string]*venue{
	"binance":       &binance,
	"binance-usdm":  &binanceUSDM,
	"binance-coinm": &binanceCoinM,
	"coinbase":      &coinbase,
	"kraken":        &kraken,
}
