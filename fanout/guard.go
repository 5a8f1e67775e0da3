package fanout

import (
	"net/netip"
	"sync"

	"golang.org/x/time/rate"
)

// guard bounds what one host may have of a node, for all of its loops.
type guard struct {
	most int // connections; 0: any number
	room int // for hosts that are remembered

	mu    sync.Mutex // protects hosts and what is in them
	hosts map[netip.Prefix]*host
}

// host is an IPv4 address, or 64 bits of IPv6: what one customer is given.
type host struct {
	conns    int // those handed over to plain HTTP included
	plain    int // of which are handed over
	connects *rate.Limiter
}

func newGuard(cfg *Config) guard {
	return guard{most: cfg.HostConns, room: hostsMax + cfg.MaxConns, hosts: make(map[netip.Prefix]*host)}
}

// enter counts a connection from an address; false when its host has all that it may: so
// many at a time, and so many in a row, of which hostTime gives as many back.
func (g *guard) enter(from netip.Addr) (*host, bool) {
	if g.most == 0 || !from.IsValid() {
		return nil, true
	}
	bits := 32
	if from = from.Unmap(); from.Is6() {
		bits = 64
	}
	of, _ := from.WithZone("").Prefix(bits) // fails for other numbers of bits
	g.mu.Lock()
	defer g.mu.Unlock()
	h := g.hosts[of]
	if h == nil {
		if len(g.hosts) >= g.room {
			g.forget()
		}
		h = &host{connects: rate.NewLimiter(rate.Limit(float64(g.most)/hostTime.Seconds()), g.most)}
		g.hosts[of] = h
	}
	if h.conns == g.most || !h.connects.Allow() {
		return nil, false
	}
	h.conns++
	return h, true
}

// handOver counts one of a host's connections to plain HTTP until leave; false when it has as
// many as it may.
func (g *guard) handOver(h *host) bool {
	if h == nil {
		return true
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if h.plain == hostPlain {
		return false
	}
	h.plain++
	return true
}

// handedBack takes back a handOver.
func (g *guard) handedBack(h *host) {
	if h == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	h.plain--
}

// leave takes back an enter.
func (g *guard) leave(h *host) {
	if h == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	h.conns--
}

// forget makes room: hosts without a connection go, those first that have not connected
// for long.
func (g *guard) forget() {
	for _, whole := range [...]bool{true, false} {
		for of, h := range g.hosts {
			if h.conns == 0 && (!whole || h.connects.Tokens() >= float64(g.most)) {
				delete(g.hosts, of)
			}
		}
		if len(g.hosts) < g.room-hostsMax/2 {
			return
		}
	}
}
