package token

import (
	"crypto/sha256"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"
)

// A token is remembered until the moment at which Verify would refuse it.
func TestCacheForgetsWhatExpires(t *testing.T) {
	v := verifier(t, Config{}, "EdDSA")
	raw := []byte(of("EdDSA", "", good("")))
	if _, err := v.Verify(raw); err != nil {
		t.Fatal(err)
	}
	now := start.Add(90*time.Second - 1) // exp in 60 s, 30 s of leeway
	v.now = func() time.Time { return now }
	if c := v.Known(raw); c == nil || c.Left(now) != 1 {
		t.Error("forgotten too early")
	}
	now = now.Add(1)
	if v.Known(raw) != nil || v.cache.Len() != 0 {
		t.Error("known though expired")
	}
	if _, err := v.Verify(raw); ReasonOf(err) != "expired" {
		t.Error(err)
	}
}

func TestCacheForgetsWithTheKey(t *testing.T) {
	v := verifier(t, Config{}, "EdDSA")
	raw := []byte(of("EdDSA", "", good("")))
	if _, err := v.Verify(raw); err != nil {
		t.Fatal(err)
	}
	v.ring.Load().keys[0].gone.Store(true)
	if v.Known(raw) != nil || v.cache.Len() != 0 {
		t.Error("known though its key is gone")
	}
}

func TestCacheIsBounded(t *testing.T) {
	v := verifier(t, Config{}, "HS256")
	first, last := []byte(of("HS256", "", good(`"jti":"1",`))), []byte(of("HS256", "", good(`"jti":"2",`)))
	for n, raw := range [][]byte{first, last} {
		if _, err := v.Verify(raw); err != nil {
			t.Fatal(err)
		}
		for i := range cacheMax - 1 {
			v.cache.Add(digest{byte(i), byte(i >> 8), byte(n), 1}, entry{})
		}
	}
	if v.cache.Len() != cacheMax || v.Known(first) != nil || v.Known(last) == nil {
		t.Errorf("%d tokens", v.cache.Len())
	}
}

// What an entry takes is what the comment at cacheMax says.
func TestCacheBytes(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector takes memory of its own")
	}
	many := `"a:0"`
	for i := 1; i < grantMax; i++ {
		many += fmt.Sprintf(`,"a:%x"`, i)
	}
	for name, c := range map[string]struct {
		symbols string
		most    uint64
	}{"a pattern": {`"coinbase:*"`, 700}, "256 names": {many, 14000}} {
		v := verifier(t, Config{}, "HS256")
		const n = 2000
		tokens := make([]string, n)
		for i := range tokens {
			body := fmt.Sprintf(`{"sub":"subject-%d","exp":%d,"tickwire":{"symbols":[%s]}}`, i, start.Unix()+60, c.symbols)
			tokens[i] = of("HS256", "", body)
		}
		before := heap()
		for _, raw := range tokens {
			if _, err := v.Verify([]byte(raw)); err != nil {
				t.Fatal(err)
			}
		}
		bytes := (heap() - before) / n
		t.Logf("%s: %d bytes an entry, token of %d", name, bytes, len(tokens[0]))
		if bytes > c.most {
			t.Errorf("%s: %d bytes an entry, more than %d", name, bytes, c.most)
		}
		runtime.KeepAlive(tokens)
		runtime.KeepAlive(v)
	}
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestKnownAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	v := verifier(t, Config{}, "EdDSA")
	known, unknown := []byte(of("EdDSA", "", good(""))), []byte(of("EdDSA2", "", good("")))
	c, err := v.Verify(known)
	if err != nil {
		t.Fatal(err)
	}
	symbol, pattern := []byte("sim:ACORN-USD"), []byte("sim:*")
	if n := testing.AllocsPerRun(100, func() {
		if v.Known(known) != c || v.Known(unknown) != nil || !c.Grant.Allows(symbol) || !c.Grant.Allows(pattern) {
			t.Error("wrong")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkVerify(b *testing.B) {
	for _, name := range []string{"EdDSA", "ES256", "RS256", "HS256"} {
		b.Run(name, func(b *testing.B) {
			v := verifier(b, Config{}, name)
			raw := []byte(of(name, `,"kid":"`+pairs()[name].key.kid+`"`, good(`"sub":"someone",`)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Verify(raw); err != nil {
					b.Fatal(err)
				}
				v.cache.Remove(sha256.Sum256(raw))
			}
		})
	}
}

// What a flood of tokens costs that are not taken.
func BenchmarkRefused(b *testing.B) {
	v := verifier(b, Config{}, "EdDSA", "RS256")
	for name, raw := range map[string]string{
		"signature": of("EdDSA2", "", good("")), "algorithm": of("ES256", "", good("")), "malformed": "a.b.c", "too_long": strings.Repeat("a", TokenMax+1),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Verify([]byte(raw)); ReasonOf(err) != name {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkKnown(b *testing.B) {
	v := verifier(b, Config{}, "EdDSA")
	raw := []byte(of("EdDSA", "", good(`"sub":"someone",`)))
	v.Verify(raw)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if v.Known(raw) == nil {
				b.Fail()
			}
		}
	})
}

func BenchmarkAllows(b *testing.B) {
	names := []string{"kraken:*"}
	for i := len(names); i < grantMax; i++ {
		names = append(names, fmt.Sprintf("coinbase:SYMBOL%d-USD", i))
	}
	for n, g := range map[string]*Grant{"all": grant("*"), "256": grant(names...)} {
		for _, name := range []string{"coinbase:SYMBOL200-USD", "kraken:BTC-USD", "okx:BTC-USD", "kraken:B*"} {
			b.Run(n+"/"+strings.ReplaceAll(name, "*", "star"), func(b *testing.B) {
				name := []byte(name)
				b.ReportAllocs()
				for b.Loop() {
					g.Allows(name)
				}
			})
		}
	}
}
