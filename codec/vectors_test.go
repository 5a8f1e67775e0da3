package codec

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write testdata from what the code makes; read the diff")

// vector is one line of testdata/valid.json or invalid.json; testdata/README.md
// says what each key means.
type vector struct {
	Name     string          `json:"name"`
	Kind     string          `json:"kind"`     // message, request or entry
	Encoding string          `json:"encoding"` // msgpack or json
	Hex      string          `json:"hex,omitempty"`
	Text     string          `json:"text,omitempty"`
	Value    json.RawMessage `json:"value,omitempty"` // what a valid one means
	Error    string          `json:"error,omitempty"` // the class of an invalid one
}

func (v *vector) bytes(t testing.TB) []byte {
	if v.Encoding == "json" {
		return []byte(v.Text)
	}
	raw, err := hex.DecodeString(v.Hex)
	if err != nil {
		t.Fatalf("%s: %v", v.Name, err)
	}
	return raw
}

// parse returns what the bytes mean, in the vectors' own form.
func (v *vector) parse(raw []byte) (any, error) {
	switch v.Kind + " " + v.Encoding {
	case "message msgpack":
		var m Message
		err := ParseMessage(raw, &m)
		return meaning(&m), err
	case "message json":
		var m Message
		err := ParseMessageJSON(raw, &m)
		return meaning(&m), err
	case "request msgpack":
		var r Request
		err := ParseRequest(raw, &r)
		return requestMeaning(&r), err
	case "request json":
		var r Request
		err := ParseRequestJSON(raw, &r)
		return requestMeaning(&r), err
	}
	return entryMeaning(raw)
}

// meaning is a message as plain JSON: data spelled out, other messages as they are.
func meaning(m *Message) any {
	switch {
	case m.Type >= numTypes:
		return map[string]any{"type": "unknown"}
	case m.Control != nil:
		return json.RawMessage(AppendControlJSON(nil, m.Control))
	case m.Type != TypeData:
		return nil // not parsed
	}
	updates := []any{}
	for i := range m.Updates {
		u := updateMeaning(&m.Updates[i])
		if i < len(m.Symbols) {
			u["key"] = m.Symbols[i]
		} else {
			u["key"] = m.Updates[i].ID
		}
		updates = append(updates, u)
	}
	return map[string]any{"type": "data", "sent_at": m.SentAt, "updates": updates}
}

func updateMeaning(u *Update) map[string]any {
	fields := map[string]any{}
	for f := Field(0); f < NumFields; f++ {
		if u.Mask.Has(f) || Scales.Has(f) && u.Quote[f] != Absent {
			if fields[f.String()] = u.Quote[f]; u.Quote[f] == Absent {
				fields[f.String()] = nil
			}
		}
	}
	out := map[string]any{
		"seq": u.Seq, "image": u.Flags&Image != 0, "gap": u.Flags&Gap != 0, "conflated": nil, "history": u.History, "fields": fields,
	}
	if u.Flags&Conflated != 0 {
		out["conflated"] = reasonNames[u.Flags&ReasonMask>>2]
	}
	return out
}

func requestMeaning(r *Request) any {
	list := func(all [][]byte) []string {
		texts := []string{}
		for _, one := range all {
			texts = append(texts, string(one))
		}
		return texts
	}
	resume := []any{}
	for _, p := range r.Resume {
		resume = append(resume, []any{string(p.Symbol), p.History, p.Seq})
	}
	return map[string]any{"op": r.Op, "id": r.ID, "symbols": list(r.Symbols), "fields": list(r.Fields), "rate": r.Rate, "resume": resume, "token": string(r.Token)}
}

func entryMeaning(raw []byte) (any, error) {
	e, body, err := ParseEntry(raw)
	if err != nil {
		return nil, err
	}
	updates := []any{}
	for range e.Count {
		u := Update{Quote: Empty}
		symbol, rest, err := ParseTapeUpdate(body, &u)
		if err != nil {
			return nil, err
		}
		one := updateMeaning(&u)
		one["key"] = string(symbol)
		updates = append(updates, one)
		body = rest
	}
	if len(body) > 0 {
		return nil, ErrTrailing
	}
	return map[string]any{"id": e.ID.String(), "prev": e.Prev.String(), "history": e.History, "sent_at": e.SentAt, "server": e.Server, "updates": updates}, nil
}

// class names an error as the vectors do.
func class(err error) string {
	for name, is := range map[string]error{
		"truncated": ErrTruncated, "trailing": ErrTrailing, "type": ErrType, "range": ErrRange,
		"count": ErrCount, "syntax": ErrSyntax, "version": ErrVersion, "unknown_op": ErrUnknownOp,
	} {
		if errors.Is(err, is) {
			return name
		}
	}
	return "none"
}

// Ensure that what the code makes is what testdata/valid.json holds, and that it
// means what is written beside it.
func TestValidVectors(t *testing.T) {
	made := validVectors()
	for i := range made {
		v := &made[i]
		value, err := v.parse(v.bytes(t))
		if err != nil {
			t.Fatalf("%s: %v", v.Name, err)
		}
		v.Value, _ = json.Marshal(value)
	}
	checkFile(t, "testdata/valid.json", made)
}

// Ensure that what must be refused is, and as what.
func TestInvalidVectors(t *testing.T) {
	made := invalidVectors()
	for i := range made {
		v := &made[i]
		if _, err := v.parse(v.bytes(t)); class(err) != v.Error {
			t.Errorf("%s: %v is class %s, want %s", v.Name, err, class(err), v.Error)
		}
	}
	checkFile(t, "testdata/invalid.json", made)
}

// checkFile holds x against a file, or writes it there with -update.
func checkFile(t *testing.T, file string, x any) {
	t.Helper()
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(x); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("%s differs (-file +code); go test ./codec -update writes it:\n%s", file, diff)
	}
}

// loadVectors reads vectors for other tests.
func loadVectors(t testing.TB, file string) (all []vector) {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &all); err != nil {
		t.Fatal(err)
	}
	return all
}
