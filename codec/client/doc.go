// Package client is a subscriber's end of the stream: merged quotes that stay
// right through lost connections.
//
//	c := client.New(client.Config{URL: "ws://127.0.0.1:8080/v1/stream"})
//	c.OnUpdate = func(u *client.Update) { fmt.Println(u.Symbol, u.Quote.Float(codec.Last)) }
//	c.Subscribe(client.Terms{Rate: 5}, "sim:*")
//	err := c.Run(ctx)
//
// # Flow
//
//  1. Run dials, and again with full jitter whenever the connection is lost. run.go
//  2. hello: everything wanted is subscribed, with the seqs held, so that only what
//     changed since comes. What callers want meanwhile gathers into few requests.
//     session.go, want.go, request.go
//  3. Frames become messages; a control frame is answered at once. wire.go
//  4. A reply gives symbols their numbers, or says why not. reply.go
//  5. An update is merged into the board and told to OnUpdate. session.go, board.go
//  6. A connection is given up when nothing is heard for two and a half heartbeats.
//     When a seq goes back, or a heartbeat's hash says other subscriptions than ours,
//     the next one begins with images.
//  7. Before a token ends another takes its place, on the same connection. token.go
//
// # Names
//
// What is held is a set of names, symbols and patterns as they were given. A symbol
// is subscribed as long as one of them takes it. Subscribing again gives other terms.
//
// # Tokens
//
// Config.Renew has Run stay connected for longer than a token is good; with Token alone
// Auth may bring another in time, of which Live and Token events say how long that is.
// What a token does not cover, from the start or no more, comes as Refused and is not
// asked for again, until there is another token, or Subscribe is called again. It stays
// wanted, since the next token may cover it, and keeps its last quote.
//
// # Ownership
//
// Run's goroutine reads, merges, and calls OnUpdate and OnEvent; what these hold up
// the node conflates. A second goroutine writes the requests of a connection, a third
// calls Renew while there is one. What is wanted and what is held is shared, under Client.mu, which is not
// held while a socket is read or written, nor in a call of these functions. So every
// method may be called from any goroutine, also from within them, but for Ping and List
// in OnUpdate and OnEvent, which wait for Run's goroutine.
package client
