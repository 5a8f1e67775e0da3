package codec

import (
	"strings"
	"unicode"
)

// Printable is a peer's text as one line that does a terminal no harm: without control
// and format characters, and with single spaces.
func Printable(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, text)
	return strings.Join(strings.Fields(text), " ")
}
