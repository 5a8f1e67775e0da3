// Package codec is the protocol: quotes, updates, messages and the tape's entries
// as bytes. PROTOCOL.md is its contract, testdata its vectors, which every language
// reads. No I/O, no clock.
//
// # A quote is an array, a change is a mask
//
// [Quote] is one integer per [Field]; [Mask] is a set of fields. Diff, merge,
// encoding and decoding are loops over set bits. A new field is one constant and
// one name.
//
//  1. A venue's text becomes mantissa and scale, exactly: [ParseDecimal],
//     [Quote.SetText]. decimal.go
//  2. What a frame says is merged into what is known, in the larger of both
//     scales: [Quote.Apply]. scale.go
//  3. What changed is an [Update], on the tape under its symbol
//     ([AppendTapeUpdate], [AppendEntry], tape.go), to a subscriber under the
//     node's number for it ([AppendUpdate]), who merges it into what it holds:
//     [Quote.MergeUpdate]. update.go
//  4. Everything else that is said is a map: [Request], [Reply], [Hello] and
//     others. request.go, message.go
//
// # Ownership
//
// Functions hold nothing: bytes are appended to the caller's slice, and parsed
// views point into the caller's source. Encoders and decoders are pooled. All may
// be called from any goroutine.
package codec
