package main

import (
	"context"
	"net/http"

	"github.com/lesismal/nbio/logging"
	"github.com/lesismal/nbio/nbhttp"
	"github.com/lesismal/nbio/nbhttp/websocket"
)

// nbioBuffer is what may wait for a slow reader; beyond it nbio closes the connection.
const nbioBuffer = 1 << 20

// nbio as its README does for many connections: pollers own the sockets, and a write
// that would block is kept in the connection's buffer.
func nbio(ctx context.Context, n node) error {
	h, err := newHub[*websocket.Conn](ctx, n.redis)
	if err != nil {
		return err
	}
	go h.run(ctx, func(_ string, update []byte, to []*websocket.Conn) []*websocket.Conn {
		for _, c := range to {
			c.WriteMessage(websocket.BinaryMessage, update)
		}
		return nil
	})
	upgrader := websocket.NewUpgrader()
	upgrader.KeepaliveTime = 0 // subscribers here have nothing to say
	upgrader.OnMessage(func(c *websocket.Conn, _ websocket.MessageType, message []byte) {
		if h.request(ctx, c, message) != nil {
			c.Close()
		}
	})
	upgrader.OnClose(func(c *websocket.Conn, _ error) { go h.leave(ctx, c) })
	logging.SetLevel(logging.LevelError)
	engine := nbhttp.NewEngine(nbhttp.Config{
		Network: "tcp", Addrs: []string{n.listen}, IOMod: nbhttp.IOModNonBlocking,
		MaxWriteBufferSize: nbioBuffer, ReleaseWebsocketPayload: true,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			upgrader.Upgrade(w, r, nil)
		}),
	})
	upgrader.Engine = engine
	if err := engine.Start(); err != nil {
		return err
	}
	<-ctx.Done()
	engine.Stop()
	return nil
}
