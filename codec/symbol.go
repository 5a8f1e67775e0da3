package codec

import (
	"bytes"
	"hash/fnv"
)

// SymbolMax bounds a symbol's length in bytes.
const SymbolMax = 64

// ValidSymbol reports whether s can name a symbol: venue, colon, name, of visible
// ASCII without a star.
func ValidSymbol(s []byte) bool {
	return nameable(s) && bytes.IndexByte(s, ':') < len(s)-1
}

// ValidPattern reports whether s is a pattern: the beginning of a symbol, its venue
// at least, and a star; or a star alone, for everything.
func ValidPattern(s []byte) bool {
	prefix, ok := bytes.CutSuffix(s, []byte("*"))
	return ok && (len(prefix) == 0 || nameable(prefix))
}

// nameable reports whether s begins a symbol, its venue whole.
func nameable(s []byte) bool {
	for _, b := range s {
		if b <= ' ' || b > '~' || b == '*' {
			return false
		}
	}
	return len(s) <= SymbolMax && bytes.IndexByte(s, ':') > 0
}

// SymbolHash is FNV-1a, 32 bits, of a symbol's bytes.
func SymbolHash(symbol string) uint32 {
	h := fnv.New32a()
	h.Write([]byte(symbol))
	return h.Sum32()
}
