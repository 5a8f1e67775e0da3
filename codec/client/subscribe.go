package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/tickwire/tickwire/codec"
)

// Terms are how a symbol is wanted.
type Terms struct {
	Rate   float64  // updates a second and symbol; 0: as they come
	Fields []string // names; none: all
}

const (
	// requestSymbols keeps a request well below the 65,536 bytes that a node takes.
	requestSymbols = 500
	askFirst       = time.Second // before an unknown symbol is asked for again
	askMost        = 5 * time.Second
	writeTimeout   = 10 * time.Second
)

// ErrNotConnected: there is no connection to ask on just now.
var ErrNotConnected = errors.New("client: not connected")

// Subscribe wants symbols, or patterns such as "sim:*", now and after every
// reconnect. What the node refuses comes as an Event.
func (c *Client) Subscribe(t Terms, symbols ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, symbol := range symbols {
		c.wanted[symbol] = t
	}
	c.ask(symbols)
}

// Unsubscribe wants them no more.
func (c *Client) Unsubscribe(symbols ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, symbol := range symbols {
		delete(c.wanted, symbol)
		delete(c.again, symbol)
		c.board.forget(symbol)
	}
	for part := range slices.Chunk(symbols, requestSymbols) {
		c.send(&codec.Request{Op: codec.OpUnsubscribe, Symbols: views(part)})
	}
}

// Set changes the terms of symbols; fresh images follow.
func (c *Client) Set(t Terms, symbols ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, symbol := range symbols {
		if _, ok := c.wanted[symbol]; ok {
			c.wanted[symbol] = t
		}
	}
	for part := range slices.Chunk(symbols, requestSymbols) {
		c.send(&codec.Request{Op: codec.OpSet, Symbols: views(part), Fields: views(t.Fields), Rate: t.Rate, HasRate: true})
	}
}

// Pause asks for silence; Resume brings what changed meanwhile, merged.
func (c *Client) Pause() { c.hold(true, codec.OpPause) }

// Resume ends a Pause.
func (c *Client) Resume() { c.hold(false, codec.OpResume) }

func (c *Client) hold(paused bool, op codec.Op) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.paused = paused
	c.send(&codec.Request{Op: op})
}

// Ping asks the node for its time, in us since the Unix epoch.
func (c *Client) Ping(ctx context.Context) (int64, error) {
	r, err := c.call(ctx, codec.OpPing)
	if err != nil {
		return 0, err
	}
	return r.Time, nil
}

// List asks the node what is subscribed.
func (c *Client) List(ctx context.Context) ([]codec.Result, error) {
	r, err := c.call(ctx, codec.OpList)
	if err != nil {
		return nil, err
	}
	return r.Results, nil
}

// call sends a request and waits for its reply.
func (c *Client) call(ctx context.Context, op codec.Op) (*codec.Reply, error) {
	c.mu.Lock()
	id, err := c.send(&codec.Request{Op: op})
	if err != nil {
		c.mu.Unlock()
		return nil, err
	}
	reply := make(chan *codec.Reply, 1)
	c.waiting[id] = reply
	c.mu.Unlock()
	select {
	case r, ok := <-reply:
		if !ok {
			return nil, ErrNotConnected
		}
		return r, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// greeted begins a connection: everything wanted is asked for, with the seqs held.
func (c *Client) greeted(conn net.Conn, hello *codec.Hello) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conn, c.hello, c.open = conn, hello, 0
	c.waiting = make(map[int64]chan *codec.Reply)
	c.patterns, c.again, c.wait = make(map[int64]bool), make(map[string]bool), askFirst
	c.board.reset()
	if c.paused {
		c.send(&codec.Request{Op: codec.OpPause})
	}
	symbols := make([]string, 0, len(c.wanted))
	for symbol := range c.wanted {
		symbols = append(symbols, symbol)
	}
	slices.Sort(symbols)
	return c.ask(symbols)
}

func (c *Client) disconnected() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conn = nil
	for id, reply := range c.waiting {
		close(reply)
		delete(c.waiting, id)
	}
}

// ask subscribes to symbols, grouped by terms. The caller holds mu.
func (c *Client) ask(symbols []string) error {
	groups := make(map[string][]string)
	for _, symbol := range symbols {
		if t, ok := c.wanted[symbol]; ok {
			key := fmt.Sprint(t)
			groups[key] = append(groups[key], symbol)
		}
	}
	for _, group := range groups {
		t := c.wanted[group[0]]
		for part := range slices.Chunk(group, requestSymbols) {
			r := &codec.Request{Op: codec.OpSubscribe, Symbols: views(part), Fields: views(t.Fields), Rate: t.Rate, HasRate: t.Rate != 0}
			for _, symbol := range part {
				if h := c.board.held[symbol]; h != nil && h.seq > 0 {
					r.Resume = append(r.Resume, codec.Position{Symbol: []byte(symbol), History: h.history, Seq: h.seq})
				}
			}
			id, err := c.send(r)
			if err != nil {
				return err
			}
			if slices.ContainsFunc(part, func(s string) bool { return strings.HasSuffix(s, "*") }) {
				c.patterns[id] = true
			}
		}
	}
	return nil
}

// send writes a request, in the connection's encoding. The caller holds mu.
func (c *Client) send(r *codec.Request) (int64, error) {
	if c.conn == nil {
		return 0, ErrNotConnected
	}
	c.requests++
	c.open++
	r.ID = c.requests
	op := ws.OpBinary
	if c.cfg.JSON {
		op, c.out = ws.OpText, codec.AppendRequestJSON(c.out[:0], r)
	} else {
		c.out = codec.AppendRequest(c.out[:0], r)
	}
	c.conn.SetWriteDeadline(time.Now().Add(writeTimeout))
	return r.ID, wsutil.WriteClientMessage(c.conn, op, c.out)
}

// write sends a control frame; a request under way goes before it.
func (c *Client) write(op ws.OpCode, payload []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn == nil {
		return nil
	}
	c.conn.SetWriteDeadline(time.Now().Add(writeTimeout))
	return wsutil.WriteClientMessage(c.conn, op, payload)
}

// answered takes a reply: numbers for symbols, and what was refused.
func (c *Client) answered(r *codec.Reply) {
	var refused []Event
	c.mu.Lock()
	for i := range r.Results {
		x := &r.Results[i]
		switch _, wanted := c.wanted[x.Symbol]; {
		case x.Error != nil:
			refused = append(refused, Event{Kind: Refused, Symbol: x.Symbol, Err: x.Error})
			if x.Error.Retry && wanted {
				c.askLater(x.Symbol)
			}
		case x.ID != nil && r.Op == codec.OpSubscribe && (wanted || c.patterns[r.ID]):
			c.board.confirm(x.Symbol, *x.ID)
		}
	}
	if reply, ok := c.waiting[r.ID]; ok {
		delete(c.waiting, r.ID)
		reply <- r
	}
	c.open = max(0, c.open-1)
	c.mu.Unlock()
	for _, e := range refused {
		c.event(e)
	}
}

// failedRequest takes the error of a whole request.
func (c *Client) failedRequest(e *codec.Error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open = max(0, c.open-1)
	if e.ID == nil {
		return
	}
	if reply, ok := c.waiting[*e.ID]; ok {
		delete(c.waiting, *e.ID)
		close(reply)
	}
}

// askLater asks again for a symbol that may appear, less and less often. The caller
// holds mu.
func (c *Client) askLater(symbol string) {
	if len(c.again) == 0 {
		conn := c.conn
		wait := c.wait/2 + rand.N(c.wait/2)
		c.wait = min(2*c.wait, askMost)
		time.AfterFunc(wait, func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			if c.conn != conn {
				return // the next connection asks for everything
			}
			symbols := make([]string, 0, len(c.again))
			for symbol := range c.again {
				symbols = append(symbols, symbol)
			}
			slices.SortFunc(symbols, cmp.Compare)
			clear(c.again)
			c.ask(symbols)
		})
	}
	c.again[symbol] = true
}

// compare holds a heartbeat against what we believe to be subscribed to.
func (c *Client) compare(h *codec.Heartbeat) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open > 0 || h.Subs == c.board.subs && h.Hash == c.board.hash {
		return nil
	}
	err := fmt.Errorf("%w: the node has %d subscriptions, hash %08x; we have %d, %08x", errPromise, h.Subs, h.Hash, c.board.subs, c.board.hash)
	c.board = newBoard()
	return err
}

func views(texts []string) [][]byte {
	all := make([][]byte, len(texts))
	for i, text := range texts {
		all[i] = []byte(text)
	}
	return all
}
