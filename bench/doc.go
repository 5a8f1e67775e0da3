// Package bench measures a node, or what users would take instead, as a black box: real
// sockets, many processes, and every number verified.
//
//  1. A scenario is one run or several: scenario.go, saturate.go, sweep.go. A run goes through
//     its phases in run.go.
//  2. What is to be measured is started, Redis and feed with it, each pinned to its
//     cores: stand.go, proc.go. Nodes that run already are endpoints: endpoint.go.
//  3. Workers are forked, each some thousand subscribers on one epoll: crew.go; there,
//     orders.go, worker.go, read.go, conn.go. What they say is tickwire.go's, or a peer's.
//  4. Every update received is held against what the feed published: check.go. The
//     truth is read from the tape by a witness in each worker: truth.go, witness.go.
//  5. Latency runs from when a tick was due, not from when it was sent: a feed or a
//     node that falls behind is charged for it. stats.go
//  6. In the end the feed stops, and every subscriber must hold its last word: check.go.
//  7. The floor is a bare loop in the nodes' place: floor.go.
//  8. What could be taken instead runs against the same load, in turn: peers.go, peer.go;
//     compare.go shows them beside each other.
//  9. What the tape costs, and what could be taken in its place, is measured without nodes,
//     from feed to board: tape.go; there, tape_stand.go, tape_run.go, tape_entry.go. Who
//     reads is tape_read.go, who writes a feed, or tape_write.go; what follows for more
//     nodes is tape_model.go's.
//  10. Reports are added up, and shown: result.go, table.go, report.go, tape_table.go.
//
// Chaos measures nothing: things go wrong, and subscribers find out whether they are told
// the truth meanwhile, and have all of it soon after.
//
//  1. Two Redis servers behind proxies, Sentinels, feeds and nodes are begun:
//     chaos_stand.go, chaos_redis.go, chaos_link.go, chaos_member.go.
//  2. Subscribers, a goroutine each, hold whole quotes: chaos_sub.go, chaos_crowd.go.
//  3. The tape is read beside the nodes, through whatever becomes of Redis, into a
//     ledger of what every seq's quote is: chaos_tape.go, chaos_ledger.go.
//  4. Faults are drawn, strike, and are recovered from: chaos_faults.go, chaos.go.
//  5. What became of it: chaos_report.go.
package bench
