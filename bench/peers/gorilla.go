package main

import (
	"context"
	"net/http"
	"time"

	"github.com/gorilla/websocket"
)

// Gorilla as its chat example does: two goroutines and a buffered channel for each
// connection; what has queued up goes into one message; who does not keep up is closed.
const (
	gorillaWriteWait = 10 * time.Second
	gorillaPongWait  = 60 * time.Second
	gorillaPing      = gorillaPongWait * 9 / 10
	gorillaQueue     = 256
	gorillaBuffer    = 1024
	gorillaRequest   = 512 << 10 // a watchlist is longer than a chat message
)

type gorillaClient struct {
	conn *websocket.Conn
	send chan []byte
}

func gorilla(ctx context.Context, n node) error {
	h, err := newHub[*gorillaClient](ctx, n.redis)
	if err != nil {
		return err
	}
	go h.run(ctx, func(_ string, update []byte, to []*gorillaClient) (slow []*gorillaClient) {
		for _, c := range to {
			select {
			case c.send <- update:
			default:
				close(c.send)
				slow = append(slow, c)
			}
		}
		return slow
	})
	upgrader := websocket.Upgrader{ReadBufferSize: gorillaBuffer, WriteBufferSize: gorillaBuffer}
	return listen(ctx, n.listen, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		c := &gorillaClient{conn: conn, send: make(chan []byte, gorillaQueue)}
		go c.write()
		go c.read(ctx, h)
	}))
}

func (c *gorillaClient) read(ctx context.Context, h *hub[*gorillaClient]) {
	defer func() {
		if h.leave(ctx, c) {
			close(c.send)
		}
		c.conn.Close()
	}()
	c.conn.SetReadLimit(gorillaRequest)
	c.conn.SetReadDeadline(time.Now().Add(gorillaPongWait))
	c.conn.SetPongHandler(func(string) error { return c.conn.SetReadDeadline(time.Now().Add(gorillaPongWait)) })
	for {
		_, message, err := c.conn.ReadMessage()
		if err != nil || h.request(ctx, c, message) != nil {
			return
		}
	}
}

func (c *gorillaClient) write() {
	ping := time.NewTicker(gorillaPing)
	defer ping.Stop()
	defer c.conn.Close()
	for {
		select {
		case update, ok := <-c.send:
			c.conn.SetWriteDeadline(time.Now().Add(gorillaWriteWait))
			if !ok {
				c.conn.WriteMessage(websocket.CloseMessage, nil)
				return
			}
			w, err := c.conn.NextWriter(websocket.BinaryMessage)
			if err != nil {
				return
			}
			w.Write(update)
			// More than the buffer holds would go out as fragments.
			for range min(len(c.send), gorillaBuffer/updateBytes-1) {
				w.Write(<-c.send)
			}
			if w.Close() != nil {
				return
			}
		case <-ping.C:
			c.conn.SetWriteDeadline(time.Now().Add(gorillaWriteWait))
			if c.conn.WriteMessage(websocket.PingMessage, nil) != nil {
				return
			}
		}
	}
}
