// Package client holds a subscriber's end of the stream: merged quotes that stay
// right through lost connections.
//
//	c := client.New(client.Config{URL: "ws://127.0.0.1:8080/v1/stream"})
//	c.OnUpdate = func(u *client.Update) { fmt.Println(u.Symbol, u.Quote[codec.Bid]) }
//	c.Subscribe(client.Terms{}, "sim:ACORN-USD")
//	err := c.Run(ctx)
//
// # Flow
//
//  1. Run dials, and again with full jitter whenever the connection is lost. client.go
//  2. hello: everything wanted is subscribed, with the seqs held, so that only what
//     changed since comes. subscribe.go
//  3. Each message is parsed and merged into the board. board.go
//  4. Silence for two and a half heartbeats, a seq that goes back, or a heartbeat
//     whose hash says other subscriptions than ours: the connection is given up, in
//     the latter two cases without resuming.
//
// # Ownership
//
// Run's goroutine calls OnUpdate and OnEvent; they must not block for long, for what
// they hold up is conflated by the node. All methods may be called from any
// goroutine, also from within the two functions.
package client
