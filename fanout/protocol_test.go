package fanout

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/gobwas/ws"
	"github.com/google/go-cmp/cmp"

	"github.com/tickwire/tickwire/codec"
	"github.com/tickwire/tickwire/fanout/token"
)

// The answers of plain HTTP are those that the protocol's page shows.
func TestProtocolHTTP(t *testing.T) {
	page, err := os.ReadFile("../codec/PROTOCOL.md")
	if err != nil {
		t.Fatal(err)
	}
	_, examples, ok := strings.Cut(string(page), "| request | status | body |\n|---------|-------:|------|\n")
	if !ok {
		t.Fatal("PROTOCOL.md has no examples of plain HTTP")
	}
	m, s, b := newMaster(), new(stream), newBatch()
	m.mu.Lock()
	for i, quote := range []map[codec.Field]int64{
		{codec.Status: codec.Stale},
		{codec.Bid: 83212, codec.PriceScale: 2, codec.Trades: 7, codec.Status: codec.Live},
	} {
		u := says(int64(1723161252673+2*i), codec.Image, quote)
		u.History = 1723161252672
		m.merge(b, s, []byte([]string{"sim:BIRCH-USD", "sim:ACORN-USD"}[i]), u)
	}
	m.publish()
	m.mu.Unlock()
	b.release()
	h := newMux(plain(m, nil), new(tape).unready)
	seen := map[int]bool{}
	for line := range strings.Lines(examples) {
		cells := strings.Split(line, " | ")
		if len(cells) != 3 {
			break
		}
		method, target, _ := strings.Cut(strings.TrimPrefix(cells[0], "| "), " ")
		w := ask(h, method, target)
		body := strings.TrimSuffix(strings.TrimPrefix(cells[2], "`"), "` |\n")
		if got := strings.TrimSpace(w.Body.String()); strconv.Itoa(w.Code) != cells[1] || got != body {
			t.Errorf("%s %s: %d %s\nthe page has %s %s", method, target, w.Code, got, cells[1], body)
		}
		seen[w.Code] = true
	}
	for _, status := range []int{200, 400, 404, 405, 503} {
		if !seen[status] {
			t.Errorf("no example of %d", status)
		}
	}
}

// The reasons for which an upgrade and a token are refused, and our own close codes, are
// those that the protocol's page lists.
func TestProtocolDoor(t *testing.T) {
	page, err := os.ReadFile("../codec/PROTOCOL.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, ok := strings.Cut(string(page), "| reason | what |\n|--------|------|\n")
	if !ok {
		t.Fatal("PROTOCOL.md has no reasons")
	}
	listed := []string{string(token.Unavailable)} // beside 503
	for line := range strings.Lines(table) {
		cells := strings.Split(line, "|")
		if len(cells) < 3 {
			break
		}
		listed = append(listed, strings.TrimSpace(cells[1]))
	}
	var known []string
	for _, r := range token.Reasons {
		known = append(known, string(r))
	}
	slices.Sort(listed)
	slices.Sort(known)
	if diff := cmp.Diff(known, listed); diff != "" {
		t.Errorf("(-known +listed)\n%s", diff)
	}
	_, refusals, _ := strings.Cut(string(page), "| status | reason | why |")
	refusals, _, _ = strings.Cut(refusals, "\n\n")
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	said := 0
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range regexp.MustCompile(`l\.\w+\(.*refusal\{\S+, "(\w+)"`).FindAllStringSubmatch(string(text), -1) {
			if said++; !regexp.MustCompile(`\b` + r[1] + `\b`).MatchString(refusals) {
				t.Errorf("%s refuses for %s, which the page has not", name, r[1])
			}
		}
	}
	if said < 10 {
		t.Errorf("the source has %d reasons", said)
	}
	for _, code := range []ws.StatusCode{codec.CloseRevoked, codec.CloseExpired, codec.CloseReplaced, codec.CloseStalled, codec.CloseSilent, codec.CloseRestart, codec.CloseOverloaded} {
		if !strings.Contains(string(page), "\n| "+number(code)+" |") {
			t.Errorf("there is no code %d", code)
		}
	}
}
