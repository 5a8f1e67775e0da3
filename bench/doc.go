// Package bench measures a node, or what users would take instead, as a black box: real
// sockets, many processes, and every number verified.
//
//  1. The harness starts what is to be measured, Redis and feed with it, each pinned to
//     its cores: stand.go.
//  2. It forks workers, each some thousand subscribers on one epoll: worker.go, read.go,
//     conn.go. What they say is tickwire.go's, or a peer's.
//  3. Every update received is held against what the feed published: check.go. The
//     truth is read from the tape by a witness in each worker: truth.go, witness.go.
//  4. Latency runs from when a tick was due, not from when it was sent: a feed or a
//     node that falls behind is charged for it. stats.go
//  5. In the end the feed stops, and every subscriber must hold its last word: run.go.
//  6. What could be taken instead runs against the same load, in turn: peers.go, peer.go;
//     compare.go shows them beside each other.
//  7. Reports are added up, and shown: report.go.
package bench
