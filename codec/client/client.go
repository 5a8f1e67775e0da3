package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/tickwire/tickwire/codec"
)

// Config says where and how to connect.
type Config struct {
	URL   string // ws:// or wss://, ending in /v1/stream
	Token string // JWT, sent as Authorization: Bearer
	JSON  bool   // text messages with decimal strings in place of msgpack
}

// EventKind is what happened to the connection.
type EventKind string

const (
	Connected    EventKind = "connected"    // hello came
	Disconnected EventKind = "disconnected" // Run goes on trying
	Refused      EventKind = "refused"      // a request, or a symbol of one
	Lagged       EventKind = "lagged"       // our socket took nothing for a while
	Draining     EventKind = "draining"     // the node asks to connect again
)

// Event is what happened to the connection, or to a request.
type Event struct {
	Kind   EventKind
	Symbol string        // Refused: of which symbol, if of one
	Err    error         // Disconnected, Refused
	After  time.Duration // Disconnected: until the next try; Lagged, Draining: for so long
	Hello  *codec.Hello  // Connected
}

const (
	dialTimeout  = 10 * time.Second
	backoffFirst = 250 * time.Millisecond
	backoffMost  = 10 * time.Second
	messageMax   = 4 << 20 // the largest message taken from a node
	// staleBeats is how many heartbeats may fail to come before the node is given up.
	staleBeats = 2.5
)

// Client is a subscription that stays. Make it with New, set its functions, then
// call Run.
type Client struct {
	// OnUpdate is called with every update; u is used again after it returns.
	OnUpdate func(u *Update)
	// OnEvent is called with what happens to the connection; nil ignores it.
	OnEvent func(Event)

	cfg Config

	mu       sync.Mutex // protects what follows
	board    *board
	wanted   map[string]Terms
	patterns map[int64]bool // requests that subscribe patterns on this connection
	conn     net.Conn       // nil while there is none
	hello    *codec.Hello
	paused   bool
	requests int64
	waiting  map[int64]chan *codec.Reply // pings and lists
	open     int                         // requests not answered yet
	again    map[string]bool             // unknown symbols to ask for again
	wait     time.Duration               // before that
	out      []byte                      // scratch of send
}

// New makes a client that is not connected yet.
func New(cfg Config) *Client {
	return &Client{cfg: cfg, board: newBoard(), wanted: make(map[string]Terms)}
}

// Quote is the merged quote of a symbol and its seq; false when none came yet.
func (c *Client) Quote(symbol string) (q codec.Quote, seq int64, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	h := c.board.held[symbol]
	if h == nil || h.seq == 0 {
		return codec.Empty, 0, false
	}
	return h.quote, h.seq, true
}

// FinalError is why the node will not have this client back: coming again as it is
// cannot help.
type FinalError struct {
	Code   ws.StatusCode // of the close, or the HTTP status of the handshake
	Reason string
}

func (e *FinalError) Error() string {
	return fmt.Sprintf("the node refuses this client: %d %s", e.Code, e.Reason)
}

// Run stays connected until ctx ends, and returns its error, or a *FinalError.
func (c *Client) Run(ctx context.Context) error {
	for attempt := 0; ; attempt++ {
		talked, drain, err := c.connect(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		var final *FinalError
		if errors.As(err, &final) {
			return err
		}
		if talked {
			attempt = 0 // only data, or a reply, proves that the way is free
		}
		most := min(backoffMost, backoffFirst<<min(attempt, 10))
		if drain > 0 {
			most = drain
		}
		wait := rand.N(most)
		c.event(Event{Kind: Disconnected, Err: err, After: wait})
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
}

func (c *Client) event(e Event) {
	if c.OnEvent != nil {
		c.OnEvent(e)
	}
}

// dial opens the WebSocket; early bytes come first from the reader.
func (c *Client) dial(ctx context.Context) (net.Conn, io.Reader, error) {
	protocol := codec.ProtocolMsgpack
	if c.cfg.JSON {
		protocol = codec.ProtocolJSON
	}
	d := ws.Dialer{Timeout: dialTimeout, Protocols: []string{protocol}}
	if c.cfg.Token != "" {
		d.Header = ws.HandshakeHeaderHTTP(http.Header{"Authorization": {"Bearer " + c.cfg.Token}})
	}
	conn, early, _, err := d.Dial(ctx, c.cfg.URL)
	var status ws.StatusError
	if errors.As(err, &status) && status >= 400 && status < 500 && status != 408 && status != 429 {
		return nil, nil, &FinalError{ws.StatusCode(status), http.StatusText(int(status))}
	}
	if err != nil {
		return nil, nil, err
	}
	if early != nil {
		first := io.LimitReader(early, int64(early.Buffered()))
		return conn, io.MultiReader(first, conn), nil
	}
	return conn, conn, nil
}

// connect lives through one connection. talked: data or a reply came; drain: the
// node asked to come back within so long.
func (c *Client) connect(ctx context.Context) (talked bool, drain time.Duration, err error) {
	conn, from, err := c.dial(ctx)
	if err != nil {
		return false, 0, err
	}
	stop := context.AfterFunc(ctx, func() {
		conn.SetDeadline(time.Now()) // ends the read under way
	})
	defer func() {
		stop()
		c.disconnected()
		conn.Close()
	}()
	s := session{client: c, conn: conn, silence: dialTimeout}
	s.frames = wsutil.Reader{
		Source: from, State: ws.StateClientSide, CheckUTF8: true, MaxFrameSize: messageMax, OnIntermediate: s.control,
	}
	for {
		err := s.next()
		if err != nil {
			if ctx.Err() != nil {
				goodbye(conn)
			}
			return s.talked, s.drain, err
		}
	}
}

// goodbye closes as the protocol has it, without waiting for long.
func goodbye(conn net.Conn) {
	conn.SetDeadline(time.Now().Add(100 * time.Millisecond))
	wsutil.WriteClientMessage(conn, ws.OpClose, ws.NewCloseFrameBody(ws.StatusNormalClosure, ""))
}

// isFinal reports whether a close code says that coming back cannot help.
func isFinal(code ws.StatusCode) bool {
	switch code {
	case ws.StatusProtocolError, ws.StatusUnsupportedData, ws.StatusInvalidFramePayloadData,
		ws.StatusPolicyViolation, ws.StatusMessageTooBig:
		return true
	}
	return code >= 4000 && code < 4100
}
