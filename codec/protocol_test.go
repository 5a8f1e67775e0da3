package codec

import (
	"encoding/hex"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

func protocol(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("PROTOCOL.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// table returns the rows of the table that begins with a header, cells trimmed.
func table(t *testing.T, text, header string) (rows [][]string) {
	t.Helper()
	_, after, ok := strings.Cut(text, header+"\n")
	if !ok {
		t.Fatalf("PROTOCOL.md has no table %q", header)
	}
	for line := range strings.Lines(after) {
		if !strings.HasPrefix(line, "|") {
			break
		}
		var cells []string
		for _, cell := range strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|") {
			cells = append(cells, strings.TrimSpace(cell))
		}
		rows = append(rows, cells)
	}
	return rows[1:] // the line of dashes
}

func TestProtocolFields(t *testing.T) {
	rows := table(t, protocol(t), "| bit | field | kind | scale |")
	if len(rows) != NumFields {
		t.Fatalf("%d rows for %d fields", len(rows), NumFields)
	}
	for i, row := range rows {
		scale := ""
		if s, ok := Field(i).Scale(); ok {
			scale = s.String()
		}
		if row[0] != strconv.Itoa(i) || row[1] != Field(i).String() || row[3] != scale {
			t.Errorf("row %v; the code has %d %s %s", row, i, Field(i), scale)
		}
	}
}

func TestProtocolStatuses(t *testing.T) {
	rows := table(t, protocol(t), "| status | name | meaning |")
	for i, name := range StatusNames {
		if len(rows) != len(StatusNames) || rows[i][0] != strconv.Itoa(i) || rows[i][1] != name {
			t.Errorf("status %d %s is not row %v", i, name, rows[i])
		}
	}
}

func TestProtocolTypes(t *testing.T) {
	rows := table(t, protocol(t), "| type | name | when |")
	for i, name := range typeNames {
		if len(rows) != len(typeNames) || rows[i][0] != strconv.Itoa(i) || rows[i][1] != name {
			t.Errorf("type %d %s is not row %v", i, name, rows[i])
		}
	}
}

func TestProtocolFlags(t *testing.T) {
	for i, want := range []struct {
		name string
		flag Flags
	}{{"IMAGE", Image}, {"CONFLATED", Conflated}, {"reason rate", ReasonRate}, {"reason slow", ReasonSlow}, {"reason catch-up", ReasonCatchUp}, {"GAP", Gap}} {
		row := table(t, protocol(t), "| flag | value | meaning |")[i]
		if row[0] != want.name || row[1] != strconv.Itoa(int(want.flag)) {
			t.Errorf("flag %s %d is not row %v", want.name, want.flag, row)
		}
	}
}

func TestProtocolErrors(t *testing.T) {
	rows := table(t, protocol(t), "| code | name | retry | why |")
	if len(rows) != len(codeNames) {
		t.Errorf("%d rows for %d codes", len(rows), len(codeNames))
	}
	for _, row := range rows {
		n, _ := strconv.Atoi(row[0])
		c, ok := codeNames[Code(n)]
		if !ok || c.name != row[1] || c.retry != (row[2] == "yes") {
			t.Errorf("row %v; the code has %+v", row, c)
		}
	}
}

func TestProtocolOps(t *testing.T) {
	seen := map[string]bool{}
	for _, row := range table(t, protocol(t), "| op | keys | effect |") {
		seen[row[0]] = true
	}
	for _, op := range Ops {
		if !seen[string(op)] {
			t.Errorf("no row for %s", op)
		}
	}
	if len(seen) != len(Ops) {
		t.Errorf("%d rows for %d ops", len(seen), len(Ops))
	}
}

// The hex of the page is that of the vector it names.
func TestProtocolHex(t *testing.T) {
	byName := map[string]string{}
	for _, v := range loadVectors(t, "testdata/valid.json") {
		if v.Encoding == "msgpack" {
			byName[v.Name] = v.Hex
		}
	}
	blocks := regexp.MustCompile("(?s)```hex (\\w+)\n(.*?)```").FindAllStringSubmatch(protocol(t), -1)
	if len(blocks) < 6 {
		t.Errorf("only %d hex examples", len(blocks))
	}
	for _, b := range blocks {
		got := strings.Join(strings.Fields(b[2]), "")
		if _, err := hex.DecodeString(got); err != nil || got != byName[b[1]] {
			t.Errorf("%s is\n%s\nthe vector is\n%s", b[1], got, byName[b[1]])
		}
	}
}

// Every section is there once.
func TestProtocolSections(t *testing.T) {
	text, err := os.ReadFile("PROTOCOL.md")
	if err != nil {
		t.Fatal(err)
	}
	for i, m := range regexp.MustCompile(`(?m)^## (\d+)\. `).FindAllStringSubmatch(string(text), -1) {
		if m[1] != strconv.Itoa(i+1) {
			t.Errorf("section %s is the %d.", m[1], i+1)
		}
	}
}
