package client

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/tickwire/tickwire/codec"
)

// Config says where and how to connect.
type Config struct {
	URL      string      // ws:// or wss://; without a path /v1/stream is meant
	Token    string      // JWT, sent as Authorization: Bearer
	Encoding string      // of the messages: "msgpack", which "" means, or "json"
	TLS      *tls.Config // for wss: whom to trust, and a certificate to show; nil: the system's authorities

	// Renew gets a token, never twice at a time: to begin with if Token is "", when two
	// thirds of what the node said that one is good for are over, and when a node says that
	// it has expired. The one that it had before is no error: Renew is asked again soon, as
	// after an error. It should return when ctx ends. Nil: Run ends with the token, unless
	// Auth brings another in time.
	Renew func(ctx context.Context) (string, error)
}

// ErrConfig: a Config that no node could serve.
var ErrConfig = errors.New("client")

// check completes a Config and refuses what cannot work.
func (cfg *Config) check() error {
	u, err := checkURL(cfg.URL)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = codec.StreamPath
	}
	cfg.URL = u.String()
	if cfg.Encoding != "" && cfg.Encoding != "msgpack" && cfg.Encoding != "json" {
		return fmt.Errorf("%w: encoding %q: msgpack or json", ErrConfig, cfg.Encoding)
	}
	return checkToken(cfg.Token)
}

// checkURL refuses what is no stream's, and what would be shown with the URL and is a secret.
func checkURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return nil, fmt.Errorf("the URL cannot be read: a stream is at ws://HOST:PORT%s, or wss://", codec.StreamPath)
	case u.User != nil:
		return nil, errors.New("URL: a name and a password in it are not sent: leave them out, a node asks for a token or a certificate")
	case u.Query().Has("token"):
		return nil, errors.New("URL: a token is never taken from it, for others would log it: it goes apart, as Authorization")
	case u.Scheme == "https" || u.Scheme == "http":
		return nil, fmt.Errorf("URL %q: take ws%s://, a stream is at ws://HOST:PORT%s, or wss://", text, strings.TrimPrefix(u.Scheme, "http"), codec.StreamPath)
	case u.Scheme != "ws" && u.Scheme != "wss" || u.Host == "":
		return nil, fmt.Errorf("URL %q: a stream is at ws://HOST:PORT%s, or wss://", text, codec.StreamPath)
	}
	return u, nil
}

// Terms are how a symbol is wanted.
type Terms struct {
	Rate   float64  // updates a second at the most; 0: as they come
	Fields []string // names; none: all
}

// view is the fields that a node sends for these terms.
func (t Terms) view() (view codec.Mask) {
	for _, name := range t.Fields {
		if f, ok := codec.FieldByName(name); ok {
			view |= 1 << f
		}
	}
	return cmp.Or(view.WithScales(), codec.AllFields)
}

func (t Terms) equal(other Terms) bool {
	return t.Rate == other.Rate && slices.Equal(t.Fields, other.Fields)
}

// Client is a subscription that stays. Make it with New, set its functions, then
// call Run.
type Client struct {
	// OnUpdate is called with every update; u is used again after it returns.
	OnUpdate func(u *Update)
	// OnMessage is called after the last OnUpdate of a message: the moment to write what
	// was gathered. Nil ignores it.
	OnMessage func()
	// OnEvent is called with what happens to the connection; nil ignores it.
	OnEvent func(Event)

	cfg  Config
	pace pace

	mu       sync.Mutex // protects what follows
	board    *board
	wants    map[string]*want // by name
	patterns map[string]*want // those of wants that are patterns
	orders   int64            // wants are asked for in the order they came
	pass     pass
	paused   bool
	session  *session // nil without a connection, and before its hello
}

// New makes a client that is not connected yet.
func New(cfg Config) *Client {
	return &Client{
		cfg:      cfg,
		pace:     defaultPace,
		board:    newBoard(),
		wants:    make(map[string]*want),
		patterns: make(map[string]*want),
		pass:     pass{token: cfg.Token},
	}
}

// Quote is the merged quote of a symbol and its seq; false when none came yet. It
// stays through a lost connection, as it was.
func (c *Client) Quote(symbol string) (q codec.Quote, seq int64, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.board.rows[symbol]
	if r == nil || r.seq == 0 {
		return codec.Empty, 0, false
	}
	return r.quote, r.seq, true
}

// Pause asks for silence, but for heartbeats; Resume brings what changed meanwhile,
// merged.
func (c *Client) Pause() { c.pauses(true) }

// Resume ends a Pause.
func (c *Client) Resume() { c.pauses(false) }

func (c *Client) pauses(paused bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.paused = paused
	c.session.kick()
}

// ErrNotConnected: there is no connection to ask on just now.
var ErrNotConnected = errors.New("client: not connected")

// Ping asks the node for its time, in us since the Unix epoch. It must not be called
// from OnUpdate or OnEvent.
func (c *Client) Ping(ctx context.Context) (int64, error) {
	r, err := c.call(ctx, codec.OpPing)
	return r.Time, err
}

// List asks the node what is subscribed. It must not be called from OnUpdate or
// OnEvent.
func (c *Client) List(ctx context.Context) ([]codec.Result, error) {
	r, err := c.call(ctx, codec.OpList)
	return r.Results, err
}

// call sends a request and waits for its reply.
func (c *Client) call(ctx context.Context, op codec.Op) (r codec.Reply, err error) {
	k := &call{op: op, done: make(chan struct{})}
	c.mu.Lock()
	s := c.session
	if s == nil {
		c.mu.Unlock()
		return r, ErrNotConnected
	}
	s.calls = append(s.calls, k)
	s.kick()
	c.mu.Unlock()
	select {
	case <-k.done:
		return k.reply, k.err
	case <-s.over:
		return r, ErrNotConnected
	case <-ctx.Done():
		return r, ctx.Err()
	}
}

// event tells what happened. The caller does not hold mu.
func (c *Client) event(e Event) {
	if c.OnEvent != nil {
		c.OnEvent(e)
	}
}
