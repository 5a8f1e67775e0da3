package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// hub knows who wants which symbol, and asks Redis for what somebody wants, on one
// connection. The Go peers without a hub of their own share it.
type hub[C comparable] struct {
	redis *redis.PubSub

	mu       sync.Mutex // protects what follows
	bySymbol map[string]map[C]struct{}
	byClient map[C][]string
}

// symbolsMax bounds what a client may subscribe to.
const symbolsMax = 10_000

func newHub[C comparable](ctx context.Context, url string) (*hub[C], error) {
	opt, err := redis.ParseURL(url)
	if err != nil {
		return nil, fmt.Errorf("redis %s: %w", url, err)
	}
	return &hub[C]{
		redis:    redis.NewClient(opt).Subscribe(ctx),
		bySymbol: make(map[string]map[C]struct{}), byClient: make(map[C][]string),
	}, nil
}

// run has every update sent to those who want it, until ctx ends. Those whom send finds
// slow are let go.
func (h *hub[C]) run(ctx context.Context, send func(symbol string, update []byte, to []C) (slow []C)) {
	updates := h.redis.Channel(redis.WithChannelSize(4096))
	var to []C
	for {
		select {
		case <-ctx.Done():
			return
		case m := <-updates:
			h.mu.Lock()
			to = to[:0]
			for c := range h.bySymbol[m.Channel] {
				to = append(to, c)
			}
			for _, c := range send(m.Channel, []byte(m.Payload), to) {
				h.drop(ctx, c)
			}
			h.mu.Unlock()
		}
	}
}

// request takes a client's message: {"subscribe": ["s0", ...]}.
func (h *hub[C]) request(ctx context.Context, c C, message []byte) error {
	var r struct{ Subscribe []string }
	if err := json.Unmarshal(message, &r); err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.byClient[c])+len(r.Subscribe) > symbolsMax {
		return errors.New("too many symbols")
	}
	var fresh []string
	for _, symbol := range r.Subscribe {
		if h.bySymbol[symbol] == nil {
			h.bySymbol[symbol] = make(map[C]struct{})
			fresh = append(fresh, symbol)
		}
		h.bySymbol[symbol][c] = struct{}{}
	}
	h.byClient[c] = append(h.byClient[c], r.Subscribe...)
	if len(fresh) == 0 {
		return nil
	}
	return h.redis.Subscribe(ctx, fresh...)
}

// leave lets a client go. It reports whether it was here.
func (h *hub[C]) leave(ctx context.Context, c C) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.drop(ctx, c)
}

// drop lets a client go; the caller holds the lock.
func (h *hub[C]) drop(ctx context.Context, c C) bool {
	symbols, here := h.byClient[c]
	delete(h.byClient, c)
	var idle []string
	for _, symbol := range symbols {
		delete(h.bySymbol[symbol], c)
		if len(h.bySymbol[symbol]) == 0 {
			delete(h.bySymbol, symbol)
			idle = append(idle, symbol)
		}
	}
	if len(idle) > 0 {
		h.redis.Unsubscribe(ctx, idle...)
	}
	return here
}

// listen serves HTTP until ctx ends.
func listen(ctx context.Context, addr string, handler http.Handler) error {
	s := &http.Server{Addr: addr, Handler: handler, ReadHeaderTimeout: 10 * time.Second, BaseContext: func(net.Listener) context.Context { return ctx }}
	stop := context.AfterFunc(ctx, func() { s.Close() })
	defer stop()
	if err := s.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
