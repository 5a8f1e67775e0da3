// Package feed reads exchanges and writes the tape: Redis streams of numbered updates.
//
// # The path of a price
//
//  1. A frame arrives, and its receive time is taken: (*link).read, link.go. The
//     session has dialled and subscribed: session.go, subscribe.go. A recording
//     (replay.go) and the simulated market (sim.go) enter here too.
//  2. The venue's parse makes ticks of it: text to [codec.Quote] and [codec.Mask],
//     canonical symbol. coinbase.go, binance.go, kraken.go; what they share is
//     venue.go, frame.go and number.go.
//  3. (*sequencer).apply drops what did not change and numbers what did. sequence.go
//  4. [codec.AppendTapeUpdate] encodes it once, into the pending batch. batch.go
//  5. (*tape).write appends the batch with one XADD, and once a second sets the
//     checkpoint. tape.go; writer.go says when
//
// Fan-out continues with 6.
//
// # While one XADD is in flight, the next batch gathers
//
// So a stream runs at the pace of its Redis, without a timer. A batch that grows
// beyond bodyMax is given up and made anew of the symbols in it, one update each: the
// seqs show that some were merged. An absent Redis therefore costs one number a
// symbol, and gets the newest state when it returns. A replay is held back instead.
//
// # Who writes
//
// Any number of feeds may have the same streams. A stream's lease (tape_lease.go) decides
// which of them tries to write it, its ids which of them is right:
//
//	stand by -> lease -> look -> fence -> restore -> adopt -> write ... -> fenced, or handed over
//	  ^                   ^       |                                                |
//	  |                   +-------+ a later reign had begun since the look         |
//	  +----------------------------------------------------------------------------+
//
// The fence (tape_reign.go) is an entry <epoch>-0, above all others: no older writer can
// append after it, and the state is read up to it (restore.go), so that seqs go on from
// reign to reign. Who stands by hears the venue too, and adopts that on top (standby.go):
// nothing is asked for again, and no GAP is flagged. What it has not heard says stale until
// there is data, and the first data says GAP. Where an entry is missing, the state is the
// one before it. There, and where the feed cannot be sure that nobody wrote the stream
// elsewhere since, as on another Redis, or when it has only begun, seqs jump beyond any that
// were ever published.
//
// A stream is handed over when its feed ends, when that has lost the venue and another has
// not, and when another writes two streams less: so feeds share the streams between them.
//
// # Ownership
//
//   - A source (session, replay or sim) is a goroutine. It owns its frame, and a block
//     until it is sent; a session also owns its links, of which each has a goroutine
//     that dials, then only reads, and tells what came through the session's inbox.
//   - A stream has one goroutine for its sequencer (states, seqs, pending batch), and
//     one, its writer, for its lease and tape (ids, Redis), which has a batch and a
//     checkpoint while it is busy with them, and hands over a sequencer when it has
//     restored one. Blocks go back to a pool, batches back to the sequencer.
//   - counts are atomic and belong to everybody; so does a crew, which is what the streams
//     of one feed know of each other.
package feed
