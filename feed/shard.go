package feed

import (
	"fmt"
	"hash/fnv"
	"strings"
)

// shard is a part of a venue's symbols, each part on a stream of its own: the kth of n.
// The zero shard is all of them.
type shard struct{ k, n int }

// shardsMax bounds the streams of a venue.
const shardsMax = 64

// has reports whether a symbol belongs to the shard, named with its venue or without.
func (s shard) has(symbol string) bool {
	if s.n <= 1 {
		return true
	}
	if _, name, ok := strings.Cut(symbol, ":"); ok {
		symbol = name
	}
	h := fnv.New32a()
	h.Write([]byte(symbol))
	return int(h.Sum32()%uint32(s.n)) == s.k
}

// of is the shard's part of some symbols.
func (s shard) of(symbols []string) (some []string) {
	for _, symbol := range symbols {
		if s.has(symbol) {
			some = append(some, symbol)
		}
	}
	return some
}

// stream is the name of the shard's stream.
func (s shard) stream(venue string) string { return fmt.Sprintf("%s/%d", venue, s.k) }
