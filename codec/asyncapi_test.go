package codec

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/vmihailenco/msgpack/v5"
	"go.yaml.in/yaml/v3"
)

// asyncAPI is asyncapi.yaml, and its schemas by name.
func asyncAPI(t *testing.T) (doc map[string]any, schema func(name string) *jsonschema.Schema) {
	t.Helper()
	text, err := os.ReadFile("asyncapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	text, err = json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft7) // AsyncAPI's own
	if err := c.AddResource("asyncapi.json", plain); err != nil {
		t.Fatal(err)
	}
	return doc, func(name string) *jsonschema.Schema {
		s, err := c.Compile("asyncapi.json#/components/schemas/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
}

// plain is what the bytes of a vector say, whoever decodes them, and the schema that it is
// held to; "" for what no schema is of.
func plain(v *vector, raw []byte) (value any, name string, err error) {
	if v.Encoding == "json" {
		value, err = jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	} else if err = msgpack.Unmarshal(raw, &value); err == nil {
		var text []byte
		if text, err = json.Marshal(value); err == nil {
			value, err = jsonschema.UnmarshalJSON(bytes.NewReader(text))
		}
	}
	if err != nil {
		return nil, "", err
	}
	kind := "type"
	if v.Kind == "request" {
		kind = "op"
	}
	if list, ok := value.([]any); ok && v.Kind == "message" && len(list) > 0 {
		if list[0] == json.Number("0") {
			return value, "dataBinary", nil
		}
		var n int
		fmt.Sscan(fmt.Sprint(list[0]), &n)
		m, ok := list[len(list)-1].(map[string]any)
		if !ok || Type(n) >= numTypes {
			return value, "", nil
		}
		m["type"] = typeNames[n]
		value = m
	}
	m, ok := value.(map[string]any)
	if !ok {
		return value, "data", nil // which it is not
	}
	name, _ = m[kind].(string)
	if v.Kind == "request" {
		if !slices.Contains(Ops[:], Op(name)) {
			return value, "", nil
		}
		return value, name + "Request", nil
	}
	if !slices.Contains(typeNames[:], name) {
		return value, "", nil
	}
	return value, name, nil
}

// The AsyncAPI file takes what is valid, and refuses what a schema can tell.
func TestAsyncAPI(t *testing.T) {
	doc, schema := asyncAPI(t)
	seen := map[string]bool{}
	for _, v := range loadVectors(t, "testdata/valid.json") {
		if v.Kind == "entry" {
			continue
		}
		value, name, err := plain(&v, v.bytes(t))
		if err != nil {
			t.Errorf("%s: %v", v.Name, err)
		} else if name != "" {
			seen[name] = true
			if err := schema(name).Validate(value); err != nil {
				t.Errorf("%s %s: %v", v.Name, v.Encoding, err)
			}
		}
	}
	for name := range doc["components"].(map[string]any)["messages"].(map[string]any) {
		if !seen[name] && name != "pauseRequest" && name != "resumeRequest" {
			t.Errorf("no vector is of %s", name)
		}
	}
	refused, taken := 0, 0
	for _, v := range loadVectors(t, "testdata/invalid.json") {
		if v.Encoding != "json" {
			continue // msgpack's library would take memory for what a length says
		}
		value, name, err := plain(&v, v.bytes(t))
		if err != nil || name == "" {
			continue
		}
		if schema(name).Validate(value) != nil {
			refused++
		} else {
			taken++
			t.Log("a schema cannot tell:", v.Name, v.Encoding, v.Error)
		}
	}
	if refused < 3*taken {
		t.Errorf("of what is invalid %d are refused, and %d are not", refused, taken)
	}
}

// What the AsyncAPI file lists is what there is.
func TestAsyncAPILists(t *testing.T) {
	doc, _ := asyncAPI(t)
	schemas := doc["components"].(map[string]any)["schemas"].(map[string]any)
	of := func(path ...string) (list []string) {
		var at any = schemas
		for _, key := range path {
			at = at.(map[string]any)[key]
		}
		for _, v := range at.([]any) {
			list = append(list, fmt.Sprint(v))
		}
		return list
	}
	var ops, codes []string
	for _, op := range Ops {
		ops = append(ops, string(op))
	}
	for code := range codeNames {
		codes = append(codes, fmt.Sprint(int(code)))
	}
	slices.Sort(codes)
	listed := of("reply", "properties", "op", "enum")
	slices.Sort(ops)
	slices.Sort(listed)
	for _, c := range []struct{ got, want []string }{
		{of("field", "enum"), FieldNames[:]}, {of("update", "properties", "status", "enum"), StatusNames[:]},
		{listed, ops}, {of("fault", "properties", "code", "enum"), codes},
	} {
		if diff := cmp.Diff(c.want, c.got); diff != "" {
			t.Error(diff)
		}
	}
}

// The AsyncAPI file is one: what AsyncAPI's own schema says.
func TestAsyncAPIDocument(t *testing.T) {
	const file = "ts/node_modules/@asyncapi/specs/schemas/3.1.0.json"
	if _, err := os.Stat(file); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("codec/ts has no node_modules: npm ci there")
		}
		t.Skip("codec/ts has no node_modules: npm ci there")
	}
	c := jsonschema.NewCompiler()
	own, err := c.Compile(file)
	if err != nil {
		t.Fatal(err)
	}
	doc, _ := asyncAPI(t)
	check := func() error {
		text, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		return own.Validate(value)
	}
	if err := check(); err != nil {
		t.Error(err)
	}
	doc["operations"].(map[string]any)["ping"].(map[string]any)["action"] = "shout"
	if check() == nil {
		t.Error("it takes anything")
	}
}
