package bench

import (
	"strings"
	"testing"
	"time"
)

// All that a process says is in its log, over all its lives; of why one ended, only what
// that one said is told.
func TestMemberLog(t *testing.T) {
	m := newMember(t.TempDir(), "talker", "sh", "-c", `echo "panic: of life $$"; echo said >&2; exit 3`)
	var told []string
	for range 2 {
		if err := m.begin(); err != nil {
			t.Fatal(err)
		}
		select {
		case <-m.now().gone:
		case <-time.After(10 * time.Second):
			t.Fatal("it does not end")
		}
		err := m.died()
		if err == nil || m.died() != nil {
			t.Fatalf("%v, and again", err)
		}
		told = append(told, err.Error())
	}
	for i, text := range told {
		if !strings.HasPrefix(text, "bench: talker: exit status 3: panic: of life ") || !strings.HasSuffix(text, "\nsaid") || strings.Count(text, "panic: ") != 1 {
			t.Errorf("life %d: %q", i+1, text)
		}
	}
	all := m.text()
	for want, n := range map[string]int{"panic: of life ": 2, "\nsaid\n": 2, "-- begun at 20": 2, ", after it ended: exit status 3\n": 1} {
		if strings.Count(all, want) != n {
			t.Errorf("not %d times %q: %s", n, want, all)
		}
	}
	if told[0] == told[1] {
		t.Error("the second life is told as the first: ", told)
	}
}
