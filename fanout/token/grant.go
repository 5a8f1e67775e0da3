package token

import (
	"cmp"
	"slices"
	"strings"

	"github.com/tickwire/tickwire/codec"
)

// RateMin is the slowest that a node can be asked for: an update in ten seconds.
const RateMin = 0.1

// grantMax bounds the names of a grant; a token of TokenMax has room for 500 short ones.
const grantMax = 256

// Grant is what a subject may have: the claim "tickwire". A token without one allows nothing.
type Grant struct {
	// Symbols are symbols and patterns, "*" for all. Only what one of them takes may be
	// subscribed to, and a pattern only whole.
	Symbols []string `json:"symbols"`
	Rate    float64  `json:"rate,omitempty"`   // updates a second and symbol, at the most; 0 raw
	Subs    int      `json:"subs,omitempty"`   // subscriptions a connection may hold; 0 the node's limit
	Conns   int      `json:"conns,omitempty"`  // connections of the subject to a node; 0 any number
	Newest  bool     `json:"newest,omitempty"` // one too many ends the oldest, instead of being refused

	// index has those of Symbols that no other takes, in the order of their stems. So
	// whatever lies between a pattern's stem and a name that it takes, it takes too, and
	// is not here: the only one that can take a name is the last not above it.
	index []string
}

// Allows reports whether a symbol, or a pattern whole, is granted. name is one or the
// other, as codec.ValidSymbol and ValidPattern have it.
func (g *Grant) Allows(name []byte) bool {
	if g.index == nil { // not from a token
		return slices.ContainsFunc(g.Symbols, func(granted string) bool { return takes(granted, name) })
	}
	lo, hi := 0, len(g.index)
	for lo < hi {
		if mid := (lo + hi) / 2; stem(g.index[mid]) <= string(name) {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo > 0 && takes(g.index[lo-1], name)
}

// takes reports whether one granted name takes another whole.
func takes(granted string, name []byte) bool {
	prefix, isPattern := strings.CutSuffix(granted, "*")
	if !isPattern {
		return granted == string(name)
	}
	return len(name) >= len(prefix) && string(name[:len(prefix)]) == prefix
}

// stem is what a pattern's symbols begin with, and the whole of a symbol.
func stem(name string) string { return strings.TrimSuffix(name, "*") }

// arrange makes the index.
func (g *Grant) arrange() {
	sorted := slices.SortedFunc(slices.Values(g.Symbols), func(a, b string) int {
		return cmp.Or(strings.Compare(stem(a), stem(b)), len(b)-len(a)) // a pattern before its stem
	})
	g.index = sorted[:0]
	for _, name := range sorted {
		if n := len(g.index); n == 0 || !takes(g.index[n-1], []byte(name)) {
			g.index = append(g.index, name)
		}
	}
	g.index = slices.Clip(g.index)
}

// validate refuses a grant that grants nothing or that nobody can mean.
func (g *Grant) validate() error {
	switch {
	case len(g.Symbols) == 0:
		return badClaim("the claim tickwire.symbols names nothing")
	case len(g.Symbols) > grantMax:
		return badClaim("the claim tickwire.symbols has %d names; at most %d", len(g.Symbols), grantMax)
	case !(g.Rate >= 0) || g.Subs < 0 || g.Conns < 0:
		return badClaim("the claim tickwire has a limit below 0")
	case g.Rate > 0 && g.Rate < RateMin:
		return badClaim("the claim tickwire.rate is below %v updates a second", RateMin)
	}
	for i, name := range g.Symbols {
		if !codec.ValidSymbol([]byte(name)) && !codec.ValidPattern([]byte(name)) {
			return badClaim("the claim tickwire.symbols has, at place %d, what is no symbol and no pattern", i+1)
		}
	}
	return nil
}
