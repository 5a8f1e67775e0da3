package fanout

import (
	"errors"
	"fmt"
	"time"
)

// Limits are those of one connection, each as far as it is a stranger's to reach; an
// operator may change them.
type Limits struct {
	// A head holds a browser's fields, below 2 KiB, and a token of at most 4.
	HeadBytes int `default:"8192" env:"TICKWIRE_HEAD_BYTES" placeholder:"N" help:"Of a request head, at the most; a longer one is answered 431. From 1024 to 65536. [${default}]"`
	// A client across the world, on a line that loses packets, has shaken hands in two.
	HandshakeTime time.Duration `default:"10s" env:"TICKWIRE_HANDSHAKE_TIME" placeholder:"TIME" help:"For a request head, and before it for TLS and for a PROXY header, to come whole. [${default}]"`
	// A handshake under way takes some 30 KB, 106 of one whose hello is as long as may be and
	// never ends: 60 MB, 220 at the worst.
	Handshakes int `default:"2048" env:"TICKWIRE_HANDSHAKES" placeholder:"N" help:"TLS handshakes under way, of a node; with one more, the oldest is ended. [${default}]"`
	// 4,096 symbols of 16 bytes.
	RequestBytes int `default:"65536" env:"TICKWIRE_REQUEST_BYTES" placeholder:"N" help:"Of a request, fragments joined; a longer one closes with 1009. From 1024 to 65536. [${default}]"`
	// A request takes a token, and one more for so many bytes, results and subs looked
	// through (tokenBytes and the like), which it may owe: at most 0.5 ms each. Other frames
	// take one too, but for the answer to a ping. A conn keeps those of two seconds: 10,000
	// subs fit, ten full requests with what is held of each.
	Requests int `default:"50" env:"TICKWIRE_REQUESTS" placeholder:"N" help:"Requests a second of one connection; twice as many at once. [${default}]"`
}

// limitBytesMost is what a node has room for: of a request, in its read buffer.
const limitBytesMost = 64 << 10

// validate refuses what cannot work.
func (l *Limits) validate() error {
	switch {
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
	tokenBytes     = 16 << 10
	tokenResults   = 1024
	tokenSubs      = 16 << 10
	tokenRenewed   = 4 << 10 // subs held against a new token: 0.12 us each
	// floodMax frames without a token, and no second of calm, close with 1008.
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

	// hostTime is in how long a host may make --host-conns connects: all its clients come
	// again at once when a node restarts, and then not for a while. A connect that is
	// refused costs some 15 us.
	hostTime = 10 * time.Second
	// verifiesMax bounds the tokens of a node that wait to be verified, 1 KB each: those
	// of a reconnect storm. At 66 us, EdDSA, they take half a second of a core.
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
