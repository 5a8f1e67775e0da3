package token

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/MicahParks/jwkset"
	"go.uber.org/goleak"
)

// quick is a pace for tests: the timer never fires, unless they set it.
var quick = pace{every: time.Hour, retry: time.Hour, gap: 0, timeout: 5 * time.Second}

// idp is an issuer's server; it answers with what it is set to.
type idp struct {
	*httptest.Server
	answer  atomic.Pointer[http.HandlerFunc]
	fetches atomic.Int32
	log     logs
}

func newIDP(t testing.TB) *idp {
	s := &idp{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.fetches.Add(1)
		(*s.answer.Load())(w, r)
	}))
	t.Cleanup(s.Close)
	s.set(func(w http.ResponseWriter, r *http.Request) { http.Error(w, "down", http.StatusBadGateway) })
	return s
}

func (s *idp) set(h http.HandlerFunc) { s.answer.Store(&h) }

func (s *idp) text(text string) {
	s.set(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, text) })
}

// keys has it answer with keys of pairs: "EdDSA", or "EdDSA=kid".
func (s *idp) keys(names ...string) { s.text(set(names...)) }

func set(names ...string) string {
	set := jwkset.JWKSMarshal{Keys: []jwkset.JWKMarshal{}}
	for _, name := range names {
		name, kid, _ := strings.Cut(name, "=")
		m, err := jwkOf(pairs()[name].key.public)
		if err != nil {
			panic(err)
		}
		m.KID, m.USE = kid, "sig"
		set.Keys = append(set.Keys, m)
	}
	text, _ := json.Marshal(set)
	return string(text)
}

func (s *idp) verifier(t testing.TB, p pace, cfg Config) *Verifier {
	t.Helper()
	cfg.JWKS = s.URL + "/jwks.json"
	v, err := newVerifier(t.Context(), cfg, slog.New(slog.NewTextHandler(&s.log, nil)), p)
	if err != nil {
		t.Fatal(err)
	}
	v.now = func() time.Time { return start }
	return v
}

// logs is what was logged.
type logs struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logs) count(say string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.b.String(), say)
}

// expect verifies a token, and says what comes of it.
func expect(t *testing.T, v *Verifier, raw, want string) {
	t.Helper()
	if _, err := v.Verify([]byte(raw)); ReasonOf(err) != want {
		t.Errorf("%v; want %q", err, want)
	}
}

func TestRotation(t *testing.T) {
	s := newIDP(t)
	s.keys("EdDSA=a", "RS256=b")
	v := s.verifier(t, quick, Config{})
	ofA, ofB, ofC := of("EdDSA", `,"kid":"a"`, good("")), of("RS256", `,"kid":"b"`, good("")), of("ES256", `,"kid":"c"`, good(""))
	expect(t, v, ofA, "")
	expect(t, v, ofB, "")
	expect(t, v, of("EdDSA", "", good("")), "") // without a kid: whichever fits
	if n := s.fetches.Load(); n != 1 {
		t.Errorf("%d fetches", n)
	}
	kept := v.Known([]byte(ofB))
	s.keys("RS256=b", "ES256=c")
	expect(t, v, ofC, "") // a kid that is not known has the issuer asked
	if n := s.fetches.Load(); n != 2 {
		t.Errorf("%d fetches", n)
	}
	if v.Known([]byte(ofA)) != nil || v.Known([]byte(ofB)) != kept {
		t.Error("what the key verified that is gone is known, or what that verified which stayed is not")
	}
	expect(t, v, ofA, "unknown_key")
	expect(t, v, of("EdDSA", "", good("")), "algorithm")
	s.keys("EdDSA=a") // and back
	expect(t, v, ofA, "")
	expect(t, v, ofC, "unknown_key")
	if s.log.count("issuer's keys") != s.log.count("level=INFO") || s.log.count("removed=[a]") != 1 || s.log.count("added=[c] removed=[a]") != 1 {
		t.Error(s.log.b.String())
	}
	s.keys() // none is an answer, too: it has taken back all
	expect(t, v, of("EdDSA", `,"kid":"x"`, good("")), "unknown_key")
	if v.Known([]byte(ofA)) != nil || s.log.count("no token of the issuer's is taken") != 1 {
		t.Error(s.log.b.String())
	}
}

// A key under the same name that is another one takes the place of the first.
func TestRotationUnderOneName(t *testing.T) {
	s := newIDP(t)
	s.keys("EdDSA=a")
	p := quick
	p.every = 10 * time.Millisecond
	v := s.verifier(t, p, Config{})
	expect(t, v, of("EdDSA", `,"kid":"a"`, good("")), "")
	s.keys("EdDSA2=a")
	within(t, "the new key", func() bool {
		_, err := v.Verify([]byte(of("EdDSA2", `,"kid":"a"`, good(""))))
		return err == nil
	})
	expect(t, v, of("EdDSA", `,"kid":"a"`, good("")), "signature")
}

func within(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within 5 s", what)
		}
	}
}

// A node starts without its issuer, takes nothing until it answers but what static keys
// verify, and keeps its keys when it goes away. Each is told once.
func TestIssuerDown(t *testing.T) {
	s := newIDP(t)
	v := s.verifier(t, quick, Config{Key: []string{file(t, pairs()["RS256"].public)}})
	expect(t, v, of("EdDSA", `,"kid":"a"`, good("")), "unavailable")
	expect(t, v, of("EdDSA", "", good("")), "unavailable")
	expect(t, v, of("RS256", "", good("")), "")
	expect(t, v, of("RS256", `,"kid":"theirs"`, good("")), "")
	expect(t, v, of("HS256", `,"kid":"a"`, good("")), "unknown_key") // no issuer publishes a secret
	s.keys("EdDSA=a")
	expect(t, v, of("EdDSA", "", good("")), "")
	expect(t, v, of("EdDSA", `,"kid":"a"`, good("")), "")
	s.set(func(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) })
	expect(t, v, of("EdDSA", `,"kid":"x"`, good("")), "unavailable")
	expect(t, v, of("EdDSA", `,"kid":"a"`, good(`"jti":"1",`)), "")
	s.keys("EdDSA=a")
	expect(t, v, of("EdDSA", `,"kid":"x"`, good("")), "unknown_key")
	if s.log.count("cannot be fetched") != 2 || s.log.count("fetched again") != 2 {
		t.Error(s.log.b.String())
	}
	if strings.Contains(s.log.b.String(), "/jwks.json") {
		t.Error("the URL is logged, which may have a password")
	}
}

// An issuer that is slow to answer is told while a node waits for it, and that there is no
// key of it yet when it fails.
func TestIssuerSlow(t *testing.T) {
	s := newIDP(t)
	s.set(func(w http.ResponseWriter, r *http.Request) {
		within(t, "it is told what is waited for", func() bool { return s.log.count("waiting for the issuer's keys") == 1 })
		http.Error(w, "down", http.StatusBadGateway)
	})
	s.verifier(t, quick, Config{})
	if s.log.count("there are none of it yet") != 1 || s.log.count("those known stand") != 0 {
		t.Error(s.log.b.String())
	}
}

// It is asked by itself, sooner after a failure.
func TestIssuerIsAskedAgain(t *testing.T) {
	s := newIDP(t)
	v := s.verifier(t, pace{every: time.Hour, retry: 10 * time.Millisecond, gap: time.Hour, timeout: time.Second}, Config{})
	s.keys("EdDSA=a")
	within(t, "its keys", func() bool { return v.ring.Load().answered })
	expect(t, v, of("EdDSA", `,"kid":"a"`, good("")), "")
}

// What is no set leaves the keys as they are.
func TestBadAnswers(t *testing.T) {
	s := newIDP(t)
	s.keys("EdDSA=a")
	p := quick
	p.timeout = 100 * time.Millisecond
	v := s.verifier(t, p, Config{})
	other := newIDP(t)
	other.keys("EdDSA2=x")
	for name, h := range map[string]http.HandlerFunc{
		"garbage": func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "<html>") },
		"nothing": func(w http.ResponseWriter, r *http.Request) {},
		"no keys": func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, `{}`) },
		"cut":     func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, set("EdDSA2=x")[:50]) },
		"huge": func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, `{"x":"`, strings.Repeat("x", fileMax), `",`, set("EdDSA2=x")[1:])
		},
		"slow": func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"slow body": func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, set("EdDSA2=x")[:20])
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		},
		"huge header": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X", strings.Repeat("x", 100<<10))
			fmt.Fprint(w, set("EdDSA2=x"))
		},
		"redirect":     func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other.URL, http.StatusFound) },
		"error":        func(w http.ResponseWriter, r *http.Request) { http.Error(w, set("EdDSA2=x"), http.StatusNotFound) },
		"not modified": func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusNotModified) },
	} {
		s.set(h)
		began := time.Now()
		expect(t, v, of("EdDSA2", `,"kid":"x"`, good("")), "unavailable")
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("%s: took %v", name, took)
		}
		expect(t, v, of("EdDSA", `,"kid":"a"`, good(`"jti":"`+name+`",`)), "")
	}
	if other.fetches.Load() != 0 || s.log.count("cannot be fetched") != 1 {
		t.Errorf("%d redirects followed\n%s", other.fetches.Load(), s.log.b.String())
	}
}

// Keys of a set that are not for us are not used, which is told once.
func TestUnusableKeys(t *testing.T) {
	s := newIDP(t)
	one := set("EdDSA=a")
	jwk := strings.TrimSuffix(strings.TrimPrefix(one, `{"keys":[`), `]}`)
	with := func(was, is string) string { return strings.Replace(jwk, was, is, 1) }
	secret := b64(string(pairs()["HS256"].public))
	odd := []string{
		`{"kty":"oct","kid":"a","alg":"HS256","k":"` + secret + `"}`, with(`"alg":"EdDSA"`, `"alg":"HS256"`), with(`"alg":"EdDSA"`, `"alg":"ES256"`), with(`"use":"sig"`, `"use":"enc"`),
		with(`"use":"sig"`, `"key_ops":["sign"]`), with(`"use":"sig"`, `"d":"AAAA"`), with(`"kid":"a"`, `"kid":7`), with(`"kid":"a"`, `"kid":"`+strings.Repeat("a", 257)+`"`), `null`, `1`, `{}`,
	}
	s.text(`{"keys":[` + strings.Join(odd, ",") + "]}")
	v := s.verifier(t, quick, Config{})
	expect(t, v, of("EdDSA", `,"kid":"a"`, good("")), "unknown_key")
	expect(t, v, of("HS256", `,"kid":"a"`, good("")), "unknown_key")
	expect(t, v, of("EdDSA", "", good("")), "algorithm")
	if s.log.count("not all of the issuer's keys are used") != 1 || s.log.count("and 8 others") != 1 {
		t.Error(s.log.b.String())
	}
	s.text(`{"keys":[` + strings.Join(append(odd, jwk), ",") + "]}")
	expect(t, v, of("EdDSA", `,"kid":"a"`, good("")), "")
	var many []string
	for n := range keysMax + 4 {
		many = append(many, fmt.Sprintf("EdDSA=k%d", n))
	}
	s.keys(many...)
	expect(t, v, of("EdDSA", `,"kid":"k15"`, good("")), "")
	expect(t, v, of("EdDSA", `,"kid":"k16"`, good("")), "unknown_key")
	if len(v.ring.Load().keys) != keysMax || s.log.count("there are 4 more than the 16") != 1 {
		t.Error(s.log.b.String())
	}
}

// A flood of made-up kids has the issuer asked no more often, and keeps nobody waiting but
// asksMax of its own.
func TestUnknownKidFlood(t *testing.T) {
	s := newIDP(t)
	s.keys("EdDSA=a")
	v := s.verifier(t, pace{every: time.Hour, gap: time.Hour, timeout: 5 * time.Second}, Config{})
	flood := func(n int) map[string]int {
		reasons, mu, wg := map[string]int{}, sync.Mutex{}, sync.WaitGroup{}
		for i := range n {
			wg.Go(func() {
				_, err := v.Verify([]byte(of("EdDSA", fmt.Sprintf(`,"kid":"x%d"`, i), good(""))))
				mu.Lock()
				defer mu.Unlock()
				reasons[ReasonOf(err)]++
			})
		}
		wg.Wait()
		return reasons
	}
	if got := flood(500); got["unavailable"] != 500 || s.fetches.Load() != 1 {
		t.Errorf("%v, %d fetches", got, s.fetches.Load())
	}
	// Now a fetch is under way, and does not end.
	s.fetches.Store(0)
	answer := make(chan bool)
	s.set(func(w http.ResponseWriter, r *http.Request) {
		if s.fetches.Load() == 2 {
			<-answer
		}
		fmt.Fprint(w, set("EdDSA=a"))
	})
	v = s.verifier(t, pace{every: 100 * time.Millisecond, gap: time.Hour, timeout: time.Minute}, Config{})
	within(t, "a fetch", func() bool { return s.fetches.Load() == 2 })
	done := make(chan map[string]int)
	go func() { done <- flood(500) }()
	within(t, "all places are taken", func() bool { return len(v.issuer.asks) == asksMax })
	expect(t, v, of("EdDSA", `,"kid":"a"`, good("")), "")
	expect(t, v, of("EdDSA", `,"kid":"y"`, good("")), "unavailable") // and does not wait
	close(answer)
	if got := <-done; got["unavailable"] != 500 { // that answer may have been too early for them
		t.Errorf("%v", got)
	}
}

// Verify and Known go on while keys come and go.
func TestRotationRaces(t *testing.T) {
	s := newIDP(t)
	s.keys("EdDSA=a")
	v := s.verifier(t, pace{every: time.Millisecond, gap: 0, timeout: time.Second}, Config{})
	raw := []byte(of("EdDSA", `,"kid":"a"`, good("")))
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 300 {
				v.Verify(raw)
				v.Known(raw)
			}
		})
	}
	for n := range 20 {
		s.keys([]string{"EdDSA=a", "EdDSA2=b"}[n%2])
		time.Sleep(5 * time.Millisecond)
	}
	wg.Wait()
	s.keys("EdDSA2=b")
	last := s.fetches.Load()
	within(t, "two fetches more", func() bool { return s.fetches.Load() >= last+2 })
	if v.Known(raw) != nil {
		t.Error("known though its key is gone")
	}
	if _, err := v.Verify(raw); err == nil {
		t.Error("taken though its key is gone")
	}
}

// With its context the issuer's goroutine ends, and who asks is told so.
func TestIssuerEnds(t *testing.T) {
	s := newIDP(t)
	s.keys("EdDSA=a")
	before := goleak.IgnoreCurrent()
	ctx, stop := context.WithCancel(t.Context())
	v, err := newVerifier(ctx, Config{JWKS: s.URL}, slog.New(slog.DiscardHandler), quick)
	if err != nil {
		t.Fatal(err)
	}
	stop()
	within(t, "it ends", func() bool { return goleak.Find(before, goleak.IgnoreAnyFunction("net/http.(*conn).serve")) == nil })
	expect(t, v, of("EdDSA", `,"kid":"x"`, good("")), "unavailable")
}
