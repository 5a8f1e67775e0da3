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
//     checkpoint. tape.go
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
// # A reign
//
// A writer's reign over a stream (tape_reign.go, restore.go):
//
//	look -> fence -> restore -> write ... -> fenced: Run ends with ErrFenced
//	  ^       |
//	  +-------+ a later reign had begun since the look
//
// The fence is an entry <epoch>-0, above all others: no older writer can append after
// it, and the state is read up to it, so that seqs go on from reign to reign. What was
// known says stale until there is data, and the first data says GAP. Where an entry is
// missing, the state is the one before it. There, and when Redis was started since and
// may have lost the last ones, seqs jump beyond any that were ever published.
//
// # Ownership
//
//   - A source (session, replay or sim) is a goroutine. It owns its frame, and a block
//     until it is sent; a session also owns its links, of which each has a goroutine
//     that dials, then only reads, and tells what came through the session's inbox.
//   - A stream has one goroutine for its sequencer (states, seqs, pending batch), and
//     one for its tape (ids, Redis), which has a batch and a checkpoint while it is
//     busy with them. Blocks go back to a pool, batches back to the sequencer.
//   - counts are atomic and belong to everybody.
package feed
