package main

import (
	"context"
	"net/http"
	"time"

	"github.com/coder/websocket"
)

// Coder as its chat example does: the handler's goroutine writes what a buffered channel
// brings, CloseRead has one that reads, and who does not keep up is closed.
const (
	coderQueue     = 256 // the example has 16, too few for a burst of prices
	coderWriteWait = 5 * time.Second
	coderRequest   = 512 << 10
)

type coderClient struct {
	conn    *websocket.Conn
	updates chan []byte
}

func coder(ctx context.Context, n node) error {
	h, err := newHub[*coderClient](ctx, n.redis)
	if err != nil {
		return err
	}
	go h.run(ctx, func(_ string, update []byte, to []*coderClient) (slow []*coderClient) {
		for _, c := range to {
			select {
			case c.updates <- update:
			default:
				slow = append(slow, c)
				go c.conn.Close(websocket.StatusPolicyViolation, "connection too slow to keep up with messages")
			}
		}
		return slow
	})
	return listen(ctx, n.listen, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer conn.CloseNow()
		c := &coderClient{conn: conn, updates: make(chan []byte, coderQueue)}
		defer h.leave(ctx, c)
		conn.SetReadLimit(coderRequest)
		_, message, err := conn.Read(r.Context())
		if err != nil || h.request(ctx, c, message) != nil {
			return
		}
		c.write(conn.CloseRead(r.Context()))
	}))
}

func (c *coderClient) write(ctx context.Context) {
	for {
		select {
		case update := <-c.updates:
			within, cancel := context.WithTimeout(ctx, coderWriteWait)
			err := c.conn.Write(within, websocket.MessageBinary, update)
			cancel()
			if err != nil {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}
