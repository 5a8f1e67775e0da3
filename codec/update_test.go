package codec

import (
	"strings"
	"testing"
)

func TestFlagsWords(t *testing.T) {
	for f, want := range map[Flags]string{
		0: "", Image: "image", Gap | Image: "image gap", Conflated: "conflated", ReasonSlow: "",
		Conflated | ReasonRate: "conflated rate", Image | Conflated | ReasonSlow | Gap: "image conflated slow gap", Conflated | ReasonCatchUp | 0xe0: "conflated catch-up",
	} {
		if got := strings.Join(f.Words(), " "); got != want {
			t.Errorf("%08b: %q, want %q", f, got, want)
		}
	}
}
