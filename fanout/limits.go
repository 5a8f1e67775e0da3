package fanout

import "time"

// Everything has a limit. Those an operator may want to change are in Config;
// those that the protocol names are told in hello.
const (
	// requestBytes bounds a request message, fragments joined: 4,096 symbols of
	// 16 bytes. A longer one closes with 1009.
	requestBytes = 64 << 10
	// requestSymbols bounds the symbols of one request, patterns counted once.
	requestSymbols = 4096
	// requestsPerSecond refills a conn's bucket of requestBurst; floodMax refusals
	// in a row of seconds close it with 1008.
	requestsPerSecond = 50
	requestBurst      = 100
	floodMax          = 1000
	// patternsMax bounds the patterns a conn may hold: each new symbol of the board
	// is matched against all of them.
	patternsMax = 16

	// handshakeBytes bounds the request head: a browser's is below 2 KiB, a token
	// adds up to 4.
	handshakeBytes = 8 << 10
	handshakeTime  = 10 * time.Second

	// messageBytes ends a data message: some 300 images. It bounds what a slow
	// socket leaves in our memory, one message, and how stale that can be.
	messageBytes = 16 << 10

	// readBytes is a loop's read buffer, behind a conn's unfinished frame:
	// requestBytes and a header of 14 go in front of it.
	readBytes  = 64 << 10
	readRounds = 4 // reads of one conn before others have their turn

	// mailboxMax is how many batches may wait for a loop before it is lapped; at
	// 100 entries a second and stream, 2 s of 5 streams.
	mailboxMax = 1024

	// flushChunk is how many conns are flushed before accepts and reads have their
	// turn: some 5 ms of write(2).
	flushChunk = 512

	acceptChunk = 64                     // accepts per event
	backlog     = 4096                   // of each listener; the kernel caps it by somaxconn
	sweepEvery  = 100 * time.Millisecond // a tenth of the conns each: every conn once a second
	sweepParts  = 10
	lagAfter    = time.Second     // blocked for longer, a conn is told so
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
