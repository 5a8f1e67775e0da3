package main

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/lxzan/gws"
)

// gws as its README advises: a Broadcaster, which makes the frame once and puts it on
// each connection's own queue; a goroutine reads each connection; deadlines end what
// does not answer. Its queues have no bound: a slow reader has until the deadline.
const (
	gwsPing = 5 * time.Second
	gwsWait = 10 * time.Second
)

type gwsHandler struct {
	gws.BuiltinEventHandler
	ctx  context.Context
	hub  *hub[*gws.Conn]
	open sync.Map // of *gws.Conn
}

func gwsPeer(ctx context.Context, n node) error {
	h, err := newHub[*gws.Conn](ctx, n.redis)
	if err != nil {
		return err
	}
	handler := &gwsHandler{ctx: ctx, hub: h}
	go handler.ping()
	go h.run(ctx, func(_ string, update []byte, to []*gws.Conn) []*gws.Conn {
		b := gws.NewBroadcaster(gws.OpcodeBinary, update)
		defer b.Close()
		for _, c := range to {
			b.Broadcast(c)
		}
		return nil
	})
	upgrader := gws.NewUpgrader(handler, &gws.ServerOption{ParallelEnabled: true, Recovery: gws.Recovery})
	return listen(ctx, n.listen, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := upgrader.Upgrade(w, r)
		if err == nil {
			go c.ReadLoop()
		}
	}))
}

func (g *gwsHandler) OnOpen(c *gws.Conn) {
	g.open.Store(c, nil)
	c.SetDeadline(time.Now().Add(gwsPing + gwsWait))
}

func (g *gwsHandler) OnPong(c *gws.Conn, _ []byte) { c.SetDeadline(time.Now().Add(gwsPing + gwsWait)) }

func (g *gwsHandler) OnClose(c *gws.Conn, _ error) {
	g.open.Delete(c)
	g.hub.leave(g.ctx, c)
}

func (g *gwsHandler) OnMessage(c *gws.Conn, m *gws.Message) {
	defer m.Close()
	if g.hub.request(g.ctx, c, m.Bytes()) != nil {
		c.WriteClose(1008, nil)
	}
}

// ping asks everybody for a sign of life.
func (g *gwsHandler) ping() {
	for g.ctx.Err() == nil {
		time.Sleep(gwsPing)
		g.open.Range(func(c, _ any) bool {
			c.(*gws.Conn).WriteAsync(gws.OpcodePing, nil, nil)
			return true
		})
	}
}
