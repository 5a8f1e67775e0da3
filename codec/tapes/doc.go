// Package tapes is the way to the Redis that holds the tapes, and what an operator looks
// at there. What the bytes mean is package codec's.
//
// # The way
//
// [Open] takes a URL, of a server, a Sentinel's master, or a Cluster, for who writes and
// who reads; [Redis.Advise] says of its errors what to do. url.go, redis.go, line.go, outage.go,
// advice.go
//
// # The look
//
// [Redis.Statuses] says of each stream how it is, at a glance: of its entries the newest are
// read, 256 at the most, and those at the ends of reigns; all, if one is missing, back to
// there. status.go, status_hole.go
//
// [Tail.Run] reads entries as they come, with whole quotes. A change on the tape has no
// scale unless that changed too, so that what came before must be known: the checkpoint,
// and the entries from there. tail.go, tail_stream.go
//
// [Redis.Verify] reads all that is retained and what comes for a while, and checks it: as a
// reader does, that each entry follows; and as none can, that the entries from one
// checkpoint to another add up to it. verify.go, verify_entry.go, verify_checkpoint.go
//
// [Redis.Drop] takes a stream off. drop.go
//
// # Bounds
//
// Every command names keys of one stream, or the list of streams alone, so that a Cluster
// takes it. Every answer is waited for, for seconds at the most; a read that waits does not
// see the end of its context, but that of its connection, so that who cancels calls
// [Redis.Close] too. Entries are read by the page, and of a stream one board is kept.
//
// # Ownership
//
// A Redis may be used from any goroutine. Tail has one for every stream, and calls its
// functions from one at a time; Verify belongs to its caller's.
package tapes
