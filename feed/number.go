package feed

import (
	"errors"
	"strconv"
	"time"

	"github.com/valyala/fastjson"

	"github.com/tickwire/tickwire/codec"
)

// text is a JSON number as it came, or what a string holds; nil when the frame does
// not say: it is missing, null or empty.
func (f *frame) text(v *fastjson.Value) []byte {
	if v == nil {
		return nil
	}
	switch v.Type() {
	case fastjson.TypeNull:
	case fastjson.TypeString:
		if text, _ := v.StringBytes(); len(text) > 0 {
			return text
		}
	case fastjson.TypeNumber:
		f.number = v.MarshalTo(f.number[:0]) // the token as it came: never a float
		return f.number
	default:
		f.refuse(refusedShape)
	}
	return nil
}

// unsigned are the decimals that cannot be below zero. A price can. A zero in day, the
// prices of the day so far, is none: there were no trades.
const (
	unsigned            = codec.Sizes | codec.Volumes
	day      codec.Mask = 1<<codec.Open | 1<<codec.High | 1<<codec.Low | 1<<codec.VWAP
)

// put puts a decimal, of a JSON number or of a string, into a field of a tick. What
// the frame does not say leaves the field.
func (f *frame) put(t *tick, field codec.Field, v *fastjson.Value) {
	text := f.text(v)
	if text == nil {
		return
	}
	err := t.quote.SetText(field, text)
	switch {
	case errors.Is(err, codec.ErrRange):
		f.refuse(refusedRange)
	case err != nil, unsigned.Has(field) && t.quote[field] < 0:
		f.refuse(refusedNumber)
	default:
		t.mask |= 1 << field
		if t.quote[field] == 0 && day.Has(field) {
			t.quote[field] = codec.Absent
		}
	}
}

// side puts a price and its size. Zero, with no size, is no quote on that side.
func (f *frame) side(t *tick, price, size codec.Field, p, s *fastjson.Value) {
	f.put(t, price, p)
	f.put(t, size, s)
	if t.mask.Has(price) && t.quote[price] == 0 && (!t.mask.Has(size) || t.quote[size] == 0) {
		t.set(price, codec.Absent)
		t.set(size, codec.Absent)
	}
}

// trade puts the price and size of a trade. Binance USD-M reports fills of its own
// as trades at zero: they are none of the market's.
func (f *frame) trade(t *tick, p, s *fastjson.Value) {
	f.put(t, codec.Last, p)
	f.put(t, codec.LastSize, s)
	if t.mask.Has(codec.Last) && t.quote[codec.Last] == 0 {
		t.quote[codec.Last], t.quote[codec.LastSize] = codec.Absent, codec.Absent
		t.mask &^= 1<<codec.Last | 1<<codec.LastSize
	}
}

// integer is a whole number; false when the frame does not say.
func (f *frame) integer(v *fastjson.Value) (int64, bool) {
	text := f.text(v)
	if text == nil {
		return 0, false
	}
	n, scale, err := codec.ParseDecimal(text)
	switch {
	case errors.Is(err, codec.ErrRange):
		f.refuse(refusedRange)
	case err != nil || scale != 0 || n < 0:
		f.refuse(refusedNumber)
	default:
		return n, true
	}
	return 0, false
}

// count puts a whole number.
func (f *frame) count(t *tick, field codec.Field, v *fastjson.Value) {
	if n, ok := f.integer(v); ok {
		t.set(field, n)
	}
}

// order puts the venue's own number; beyond 63 bits it is none.
func (f *frame) order(t *tick, v *fastjson.Value) {
	text := f.text(v)
	if text == nil {
		return
	}
	n, err := strconv.ParseInt(string(text), 10, 64)
	switch {
	case err == nil:
		t.order = n
	case errors.Is(err, strconv.ErrSyntax):
		f.refuse(refusedNumber)
	}
}

// oldest is the beginning of 1971 in us: venues send times before it for "never".
const oldest = 365 * 24 * 3600 * 1_000_000

// time puts a time as text of RFC 3339; none, and "never", leave the field.
func (f *frame) time(t *tick, v *fastjson.Value) {
	text := f.text(v)
	if text == nil {
		return
	}
	var at time.Time
	if at.UnmarshalText(text) != nil {
		f.refuse(refusedTime)
	} else if us := at.UnixMicro(); us > oldest {
		t.set(codec.EventTime, us)
	}
}

// epoch puts a time in ms since the Unix epoch, or in us: ms of that size are more
// than a thousand years away.
func (f *frame) epoch(t *tick, v *fastjson.Value) {
	at, _ := f.integer(v)
	if at < 1e14 {
		if at > codec.MaxInt/1000 {
			f.refuse(refusedRange)
		}
		at *= 1000
	}
	if at > oldest {
		t.set(codec.EventTime, at)
	}
}
