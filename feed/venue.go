package feed

import (
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

// set puts an integer.
func (t *tick) set(f codec.Field, v int64) {
	t.quote[f] = v
	t.mask |= 1 << f
}

// channel is what kind of message a tick came in. Numbers are compared within one,
// and the nearer to the trade wins where two say the same.
type channel uint8

const (
	chBook     channel = iota // best bid and ask
	chTrade                   // single trades
	chAggTrade                // trades of one taker order
	chStats                   // the day so far, once a second: its bid, ask and last are older
	chStatus                  // what we say of the venue: of all its symbols if none is named
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

// venue is an exchange: facts and a parse, no state.
type venue struct {
	name string
	url  string
	// tag is what recordings call it, besides its name.
	tag string
	// symbols are subscribed to when none are named.
	symbols []string
	// native is a canonical symbol, without the venue, as the exchange spells it;
	// canonical is the way back.
	native    func(symbol string) string
	canonical func(native string) string
	// parts are the connections a symbol is spread over; most venues need one.
	parts []part
	// subscribe makes the message that asks for a channel of some symbols, in the
	// exchange's spelling. id numbers the requests of a connection from 1.
	subscribe func(id int, channel string, native []string) []byte
	// byData: acknowledgements name no symbol, so its first data confirms it.
	byData bool
	// parse reads a frame into f. It never keeps raw. messages are for it: what frames
	// are, by the name in them, and what is read of them.
	parse    func(f *frame, raw []byte) error
	messages map[string]message

	// symbolsMax bounds the symbols of one connection, batchMax those of one request.
	symbolsMax, batchMax int
	// requestGap and dialGap are the least time between two requests on a connection
	// and between two dials of it; rotate is how long a connection may last, 0 for ever.
	requestGap, dialGap, rotate time.Duration
}

// message is a kind of frame that the venue documents.
type message struct {
	kind kind
	read func(*frame, *fastjson.Value) // nil: there is nothing in it for us
}

// part is a connection: the path after the venue's url, and the channels asked there.
type part struct {
	path     string
	channels []string
}

// venues is every exchange we read, by name. A new one is one file and one line.
var venues = map[string]*venue{
	"binance":       &binance,
	"binance-usdm":  &binanceUSDM,
	"binance-coinm": &binanceCoinM,
	"coinbase":      &coinbase,
	"kraken":        &kraken,
}

// venueTagged finds a venue by its name or by what recordings call it.
func venueTagged(tag string) *venue {
	for name, v := range venues {
		if tag != "" && (tag == name || tag == v.tag) {
			return v
		}
	}
	return nil
}
