package token

import (
	"strings"
	"testing"

	"github.com/tickwire/tickwire/codec"
)

func grant(names ...string) *Grant {
	g := &Grant{Symbols: names}
	g.arrange()
	return g
}

func TestAllows(t *testing.T) {
	for _, c := range []struct{ granted, allowed, not string }{
		{"*", "* a:* a:b a:b* coinbase:BTC-USD", ""},
		{"coinbase:*", "coinbase:BTC-USD coinbase:* coinbase:B* coinbase:BTC-USD*", "* coinbase2:BTC-USD coinbas:* coinbase-x:* Coinbase:BTC-USD kraken:BTC-USD"},
		{"coinbase:B*", "coinbase:B coinbase:BTC-USD coinbase:B* coinbase:BT*", "coinbase:* coinbase:A coinbase:C* * coinbase:b"},
		{"coinbase:BTC-USD", "coinbase:BTC-USD", "coinbase:BTC-USD* coinbase:BTC-USDT coinbase:BTC-US coinbase:BTC* *"},
		{"a:b a:b* a:c", "a:b a:b* a:bc a:bc* a:c", "a:* a:c* a:cd a:a"},
		{"a:b! a:b( a:bz", "a:b! a:b( a:bz", "a:b a:b* a:b!* a:bzz"}, // bytes below and above the star's
		{"a:b* a:b!x a:bb* a:a", "a:b! a:b!x a:b!x* a:bb a:a", "a:a* a:* b:b"},
		{"a:* b:* b:c c:d", "a:x b:c b:d b:* c:d", "c:* c:e d:* *"},
		{"a:b:*", "a:b:c a:b:* a:b:c*", "a:b a:b* a:bc"},
		{"a:x a:x a:* a:*", "a:x a:*", "b:x"},
	} {
		indexed, plain := grant(strings.Fields(c.granted)...), &Grant{Symbols: strings.Fields(c.granted)}
		for _, g := range []*Grant{indexed, plain} {
			for _, name := range strings.Fields(c.allowed) {
				if !g.Allows([]byte(name)) {
					t.Errorf("%s does not allow %s", c.granted, name)
				}
			}
			for _, name := range strings.Fields(c.not) {
				if g.Allows([]byte(name)) {
					t.Errorf("%s allows %s", c.granted, name)
				}
			}
		}
	}
	if (&Grant{}).Allows([]byte("a:b")) || grant("*", "a:*").index[0] != "*" || len(grant("*", "a:*", "a:b").index) != 1 {
		t.Error("nothing allows something, or all is not all")
	}
}

// allows is what a grant means, one symbol at a time: a pattern is allowed when some granted
// one has its whole beginning.
func allows(granted []string, name string) bool {
	for _, g := range granted {
		if g == name {
			return true
		}
		if strings.HasSuffix(g, "*") && strings.HasPrefix(strings.TrimSuffix(name, "*"), strings.TrimSuffix(g, "*")) {
			return true
		}
	}
	return false
}

func FuzzAllows(f *testing.F) {
	f.Add("coinbase:*", "coinbase2:BTC-USD")
	f.Add("a:b a:b* a:b! a:c* a:cc*", "a:b*")
	f.Add("* a:*", "*")
	f.Add("a:b( a:b* a:b", "a:b)")
	f.Fuzz(func(t *testing.T, granted, name string) {
		if !codec.ValidSymbol([]byte(name)) && !codec.ValidPattern([]byte(name)) {
			return
		}
		g := &Grant{Symbols: strings.Fields(granted)}
		if g.validate() != nil {
			return
		}
		plain, want := g.Allows([]byte(name)), allows(g.Symbols, name)
		g.arrange()
		if got := g.Allows([]byte(name)); got != want || plain != want {
			t.Errorf("%q and %q: %v, %v without an index; want %v", granted, name, got, plain, want)
		}
	})
}

func TestGrantRefused(t *testing.T) {
	many := `"a:b"` + strings.Repeat(`,"a:b"`, grantMax)
	for text, say := range map[string]string{
		`{}`: "names nothing", `{"symbols":[]}`: "names nothing", `{"symbols":null}`: "not what it should be", `{"symbols":"*"}`: "not what it should be",
		`{"symbols":[1]}`: "not what it should be", `{"symbols":[null]}`: "place 1", `{"symbols":["a:b",""]}`: "place 2", `{"symbols":["a"]}`: "no symbol", `{"symbols":["a*"]}`: "no symbol",
		`{"symbols":["a:*b"]}`: "no symbol", `{"symbols":["**"]}`: "no symbol", `{"symbols":["a:**"]}`: "no symbol", `{"symbols":["a: b"]}`: "no symbol", `{"symbols":["a:é"]}`: "no symbol",
		`{"symbols":[` + many + `]}`: "at most 256", `{"symbols":["*"],"rate":-1}`: "below 0", `{"symbols":["*"],"subs":-1}`: "below 0", `{"symbols":["*"],"conns":-1}`: "below 0",
		`{"symbols":["*"],"subs":1.5}`: "tickwire.subs", `{"symbols":["*"],"rate":"5"}`: "tickwire.rate", `{"symbols":["*"],"rate":null}`: "tickwire.rate", `{"symbols":["*"],"newest":1}`: "tickwire.newest",
		`{"symbols":["*"],"subs":1e30}`: "tickwire.subs", `{"symbols":["*"],"rate":1e999}`: "tickwire.rate", `{"symbols":["*"],"conns":1}`: "sub is missing",
		`{"symbols":["*"],"rates":1}`: "not known", `{"Symbols":["*"]}`: "not known", `{"symbols":["*"],"symbols":["a:b"]}`: "twice", `[]`: "not an object", `"*"`: "not an object", `null`: "not an object",
	} {
		_, err := parseClaims([]byte(`{"exp":1900000000,"tickwire":` + text + `}`))
		if err == nil || !strings.Contains(err.Error(), say) || ReasonOf(err) != "claims" {
			t.Errorf("%.60s: %v, want %s", text, err, say)
		}
	}
}
