package fanout

import (
	"errors"
	"fmt"
	"time"

	"github.com/tickwire/tickwire/codec"
)

// Limits are those that a stranger may reach, of a node, of an address, of a connection; an
// operator may change them.
type Limits struct {
	// A process may hold 20,000 descriptors on many a machine; 17,900 idle over TLS take 110 MB.
	MaxConns int `default:"18000" env:"TICKWIRE_MAX_CONNS" placeholder:"N" help:"Connections this node takes; more are refused with 503. [${default}]"`
	// An office, or a carrier's customers, behind one address; --max-conns from one is a flood.
	HostConns int `default:"1000" env:"TICKWIRE_HOST_CONNS" placeholder:"N" help:"Connections one address may have (of IPv6, 64 bits of it), and make in a row, and then a tenth as many a second; more are refused with 429. 0 is any number, of plain HTTP too. [${default}]"`
	// 5 bytes each: 900 MB if all conns had them.
	MaxSubs int           `default:"10000" env:"TICKWIRE_MAX_SUBS" placeholder:"N" help:"Subscriptions one connection may hold. [${default}]"`
	Stall   time.Duration `default:"30s" env:"TICKWIRE_STALL" placeholder:"TIME" help:"A connection whose socket takes nothing for so long is closed. [${default}]"`
	Idle    time.Duration `default:"5m" env:"TICKWIRE_IDLE" placeholder:"TIME" help:"A connection that subscribes to nothing and asks nothing for so long is closed. 0s is never. [${default}]"`
	// A head holds a browser's fields, below 2 KiB, and a token of at most 4.
	HeadBytes int `default:"8192" env:"TICKWIRE_HEAD_BYTES" placeholder:"N" help:"Of a request head, at the most; a longer one is answered 431. From 1024 to 65536. [${default}]"`
	// A client across the world, on a line that loses packets, has shaken hands in two.
	HandshakeTime time.Duration `default:"10s" env:"TICKWIRE_HANDSHAKE_TIME" placeholder:"TIME" help:"For a request head, and before it for TLS and for a PROXY header, to come whole. [${default}]"`
	// A handshake under way takes some 30 KB, 106 of one whose hello is as long as may be and
	// never ends: 60 MB, 220 at the worst.
	Handshakes int `default:"2048" env:"TICKWIRE_HANDSHAKES" placeholder:"N" help:"TLS handshakes under way, of a node; one more ends the one that has waited for its client for longest, or itself when most wait for the node. [${default}]"`
	// 4,096 symbols of 16 bytes.
	RequestBytes int `default:"65536" env:"TICKWIRE_REQUEST_BYTES" placeholder:"N" help:"Of a request, fragments joined; a longer one closes with 1009. From 1024 to 65536. [${default}]"`
	// A request costs one, and one more for so many bytes, results and subs looked
	// through (costBytes and the like), which it may owe: at most 0.5 ms each. Other frames
	// cost one too, but for the answer to a ping. A conn keeps those of two seconds: 10,000
	// subs fit, ten full requests with what is held of each.
	Requests int `default:"50" env:"TICKWIRE_REQUESTS" placeholder:"N" help:"Requests a second of one connection; twice as many at once. [${default}]"`
}

// limitBytesMost is what a node has room for: of a request, in its read buffer.
const limitBytesMost = 64 << 10

// validate refuses what cannot work.
func (l *Limits) validate() error {
	switch {
	case l.MaxConns < 1 || l.MaxSubs < 1 || l.MaxSubs > codec.LimitMax || l.HostConns < 0:
		return fmt.Errorf("--max-conns is at least 1, --max-subs from 1 to %d, --host-conns at least 0", codec.LimitMax)
	case l.Stall < time.Second || l.Idle < 0:
		return errors.New("--stall is at least 1s, --idle at least 0s")
	case l.HeadBytes < 1<<10 || l.HeadBytes > limitBytesMost || l.RequestBytes < 1<<10 || l.RequestBytes > limitBytesMost:
		return fmt.Errorf("--head-bytes and --request-bytes are from 1024 to %d", limitBytesMost)
	case l.HandshakeTime < time.Second || l.HandshakeTime > time.Minute:
		return errors.New("--handshake-time is from 1s to 1m")
	case l.Handshakes < 1 || l.Requests < 1 || l.Requests > 10_000:
		return errors.New("--handshakes is at least 1, --requests from 1 to 10000")
	}
	return nil
}

// burst is how many requests a conn may make at once.
func (l *Limits) burst() int32 { return int32(2 * l.Requests) }

// Those that nobody has reason to change; that of symbols is told in hello.
const (
	// requestSymbols bounds the symbols of one request, patterns counted once.
	requestSymbols = 4096
	// A request costs one more of the budget for so many bytes of it, results, and
	// subs held.
	costBytes   = 16 << 10
	costResults = 1024
	costSubs    = 16 << 10
	costRenewed = 4 << 10 // subs held against a new token: 0.12 us each
	// floodMax frames beyond the budget, and no second of calm, close with 1008.
	floodMax = 1000
	// requestTime bounds what a cycle gives to requests before it flushes; after a
	// longer flush as much as that took, so that an overloaded node still lets others
	// in, but requestTimeMost at most, for what they ask for is flushed, too.
	requestTime     = 20 * time.Millisecond
	requestTimeMost = 200 * time.Millisecond
	// requestTurn bounds what one conn's requests have of it before others'.
	requestTurn = 2 * time.Millisecond
	// tailsMax bounds what a loop keeps for sockets that take nothing: beyond it
	// requests, whose answers are the larger part, are refused until the cycle ends, and
	// then those who keep the most are given up until half is left.
	tailsMax = 64 << 20
	// unfinishedMax bounds what a loop keeps of messages that have not come whole, at
	// most 192 KB each, and 145 more in TLS: beyond it, who adds to it is closed.
	unfinishedMax = 32 << 20
	messageTime   = 10 * time.Second // for a message to come whole
	// patternsMax bounds the patterns a conn may hold: each new symbol of the board
	// is matched against all of them. lanesMax bounds its lanes: each symbol of a
	// request looks for its own among them.
	patternsMax = 16
	lanesMax    = 64

	// hostTime is after how long a host may make --host-conns connects in a row again: all its
	// clients come again at once when a node restarts, and then not for a while. A connect that is
	// refused costs some 15 us.
	hostTime = 10 * time.Second
	// hostsMax is room for hosts that have no connection now, some 200 bytes each: whoever has
	// as many addresses is not stopped by what one may have.
	hostsMax = 64 << 10
	// httpMax bounds the plain HTTP connections of a node. Each serves one request and is
	// closed; until then it holds at most some 100 KB: what was read of it, net/http's
	// buffers and a piece of its answer. One host may have hostPlain of them.
	httpMax   = 256
	hostPlain = httpMax / 8
	// snapshotsMax bounds the answers of the board's size under way. Each holds a
	// piece, and 4 bytes a symbol.
	snapshotsMax = 16
	snapshotWait = time.Second // for a place
	// verifiesMax bounds the tokens of a node that wait to be verified, 1 KB each and at most
	// 4: those of a reconnect storm. At 66 us, EdDSA, they take half a second of a core.
	verifiesMax = 8192

	// messageBytes ends a data message: some 300 images. It bounds what a slow
	// socket leaves in our memory, one message, and how stale that can be.
	messageBytes = 16 << 10

	// readBytes is a loop's read buffer, behind a conn's unfinished frame:
	// a request and a header of 14 go in front of it.
	readBytes  = 64 << 10
	readRounds = 4 // reads of one conn before others have their turn
	// pongBytes are read of a conn even when there is no time for requests: who answers
	// a ping is not to wait for prices because others ask too much.
	pongBytes = 512

	// mailboxMax is how many batches, each of an entry, may wait for a loop before it is
	// lapped: a second of four busy streams of 1,000 entries a second.
	mailboxMax = 4096

	// arenaBytes bounds what one encoding for all takes: beyond it, updates are encoded
	// anew. A cycle has more only when clients want many fields each of their own.
	arenaBytes = 8 << 20

	// flushChunk is how many conns are flushed before accepts and reads have their
	// turn: some 5 ms of write(2). The clock is read more often.
	flushChunk = 512
	stampChunk = 64

	acceptChunk = 64                     // accepts per event
	sweepEvery  = 100 * time.Millisecond // a tenth of the conns each: every conn once a second
	sweepParts  = 10
	lagAfter    = time.Second     // blocked for longer, a conn is told so
	stallRate   = 1000            // bytes a second that keep a blocked conn from being closed
	lingerTime  = 2 * time.Second // for the peer to answer our close
)

// periods are the pauses between two updates of a symbol that a rate may ask for:
// few, so that conns of one period and phase share their frames. 0 is raw: as
// they come.
var periods = [...]time.Duration{
	0, 20 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond, 200 * time.Millisecond,
	500 * time.Millisecond, time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second,
}

// phases spreads the conns of one period over that many moments of it.
const phases = 8

// periodOf is the shortest period that keeps below a rate, in updates a second.
func periodOf(rate float64) (uint8, bool) {
	if rate == 0 {
		return 0, true
	}
	if !(rate > 0) {
		return 0, false
	}
	for i, p := range periods {
		if p > 0 && 1/p.Seconds() <= rate+1e-9 {
			return uint8(i), true
		}
	}
	return 0, false
}

// rateOf is what a period allows, in updates a second, as a reply has it; 0 is raw.
func rateOf(period uint8) *float64 {
	var rate float64
	if period != 0 {
		rate = float64(time.Second) / float64(periods[period])
	}
	return &rate
}
