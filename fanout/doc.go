// Package fanout is a node: it reads the tape and pushes per-symbol deltas to
// subscribers over WebSocket. A subscriber that cannot keep up is conflated: it
// skips the middle and always ends with the right price.
//
// # The path of one price
//
// It begins in package feed, 1-5.
//
//  6. (*stream).read: XREAD; the id must follow; parsed once, applied to the
//     node's master board, put into a batch. tape_stream.go
//  7. (*mailbox).post, then (*loop).drain: the batch to every loop. mailbox.go,
//     loop.go
//  8. (*board).apply: the newest quote, and when each field changed. board.go
//  9. (*loop).due: the conns to flush in this cycle. cycle.go
//  10. (*loop).flush: shared bytes into one frame, one write(2). cycle.go
//
// # One integer
//
// A cycle is: take everything that has come, apply it, flush. The board keeps for
// each field the cycle in which it last changed; a lane (the subs of one conn with
// one rate and view) keeps its base, the cycle of its last flush. What to send is
// always "the fields of my view that changed after my base". That is the live
// delta, the merged update of a slow socket or a low rate, and, with base 0, the
// image. Nothing is queued for anyone.
//
// # Pace
//
// A loop with little to do flushes at once. One with much lets conns that have many
// messages take turns, so that what changes between two of them shares a message, and
// has the turns as far apart as it can keep up with. pace.go
//
// # The door
//
// A connection comes to the stream by these steps, of which a node may leave some out. Who
// is refused is answered, where there is a way to, and counted by the reason. refusal.go
//
//   - (*loop).enter, admit: room in the node, and for the host. accept.go, guard.go
//   - (*loop).proxied: a balancer says whose connection it is. proxy.go
//   - (*loop).shake: TLS; the handshake has a goroutine, nothing after it. tls.go, certs.go
//   - (*loop).handshake: the request head, upgraded from memory, or handed to net/http.
//     handshake.go, head.go, handover.go
//   - (*loop).identify: the origin, the token, which is verified beside the loop if it is not
//     known, and the connections of its subject. identify.go, auth.go, origin.go, subject.go
//
// Once open, a conn may have what its token grants, until it ends or is revoked. grant.go, renew.go,
// revoke.go
//
// # Ownership
//
// A loop owns its epoll, listener, board, conns, lanes and slabs; one goroutine
// runs it. The master board belongs to the tape readers, under its lock. They meet
// in the mailbox, and in batches that nobody changes once posted. Scrapes read
// counts that a loop publishes at the end of a cycle.
//
// A TLS handshake, and a token that is verified, have a goroutine beside the loop, and come
// back as errands. What all loops count together, connections of hosts and of subjects, and
// what was revoked, has locks of its own, which no price passes.
package fanout
