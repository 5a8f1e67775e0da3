package codec

import (
	"errors"
	"math"
	"math/bits"
)

// Field names one number of a quote. The order is that of the wire and of hello;
// a new field goes to the end, so that old clients see one more name and ignore it.
type Field uint8

// Do not reorder this list. New fields must be added only to the end.
const (
	Bid Field = iota
	BidSize
	Ask
	AskSize
	Last
	LastSize
	Volume
	Turnover
	Open
	High
	Low
	VWAP
	Trades
	Status
	EventTime // venue's clock, us since the Unix epoch
	RecvTime  // when the feed received it, us since the Unix epoch
	PriceScale
	SizeScale
	VolumeScale
	NumFields = iota
)

// FieldNames are the names on the wire, in order.
var FieldNames = [NumFields]string{
	"bid", "bid_size", "ask", "ask_size", "last", "last_size", "volume", "turnover",
	"open", "high", "low", "vwap", "trades", "status", "event_time", "recv_time",
	"price_scale", "size_scale", "volume_scale",
}

// FieldByName finds a field by its name on the wire.
func FieldByName(name string) (Field, bool) {
	for f, n := range FieldNames {
		if n == name {
			return Field(f), true
		}
	}
	return 0, false
}

func (f Field) String() string { return FieldNames[f] }

// Scale is the field that holds the number of decimals f is expressed in; false
// for what is no decimal.
func (f Field) Scale() (Field, bool) {
	switch m := Mask(1) << f; {
	case m&Prices != 0:
		return PriceScale, true
	case m&Sizes != 0:
		return SizeScale, true
	case m&Volumes != 0:
		return VolumeScale, true
	}
	return 0, false
}

// holds reports whether v is a value of f: of 53 bits, a scale from 0 to MaxScale, a
// status from 0 on. A newer peer may know more statuses.
func (f Field) holds(v int64) bool {
	switch {
	case Scales.Has(f):
		return v >= 0 && v <= MaxScale
	case f == Status:
		return v >= 0 && v <= MaxInt
	}
	return v >= -MaxInt && v <= MaxInt
}

// Mask is a set of fields.
type Mask uint32

// The sets that share a scale, and some others.
const (
	Prices    Mask = 1<<Bid | 1<<Ask | 1<<Last | 1<<Open | 1<<High | 1<<Low | 1<<VWAP
	Sizes     Mask = 1<<BidSize | 1<<AskSize | 1<<LastSize
	Volumes   Mask = 1<<Volume | 1<<Turnover
	Scales    Mask = 1<<PriceScale | 1<<SizeScale | 1<<VolumeScale
	AllFields Mask = 1<<NumFields - 1
)

// groups are the sets with the scale each is expressed in.
var groups = [...]struct {
	scale Field
	mask  Mask
}{{PriceScale, Prices}, {SizeScale, Sizes}, {VolumeScale, Volumes}}

// Has reports whether f is in the set.
func (m Mask) Has(f Field) bool { return m&(1<<f) != 0 }

// WithScales adds the scales without which the decimals in m mean nothing.
func (m Mask) WithScales() Mask {
	for _, g := range groups {
		if m&g.mask != 0 {
			m |= 1 << g.scale
		}
	}
	return m
}

const (
	// Absent stands in a Quote for a field that is not known; it is nil on the wire.
	Absent int64 = math.MinInt64
	// MaxInt is the largest magnitude of any integer on the wire: JavaScript's.
	MaxInt = 1<<53 - 1
	// MaxScale is the most decimals: 10^15 still fits MaxInt.
	MaxScale = 15
)

// Values of Status.
const (
	Live int64 = iota
	Stale
	Down
	Halted
	Closed
)

// StatusNames are the values of Status as JSON has them.
var StatusNames = [...]string{"live", "stale", "down", "halted", "closed"}

// ErrRange: an integer beyond 53 bits, a scale that is not from 0 to MaxScale, a
// negative id, seq or status.
var ErrRange = errors.New("codec: number out of range")

// Quote is all fields of one symbol: mantissas in the scales of their groups.
type Quote [NumFields]int64

// Empty is the quote of which nothing is known. It is never written to.
var Empty = func() (q Quote) {
	for f := range q {
		q[f] = Absent
	}
	return q
}()

// Present is the set of fields that are known.
func (q *Quote) Present() (m Mask) {
	for f, v := range q {
		if v != Absent {
			m |= 1 << f
		}
	}
	return m
}

// Diff is the set of fields in which q differs from old.
func (q *Quote) Diff(old *Quote) (m Mask) {
	for f, v := range q {
		if v != old[f] {
			m |= 1 << f
		}
	}
	return m
}

// Merge copies the fields of m, which both quotes express in the same scales.
func (q *Quote) Merge(from *Quote, m Mask) {
	for rest := uint32(m & AllFields); rest != 0; rest &= rest - 1 {
		f := bits.TrailingZeros32(rest)
		q[f] = from[f]
	}
}
