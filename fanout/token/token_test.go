package token

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// start is when the tests' clock begins.
var start = time.Unix(1_800_000_000, 0)

// pair is a key to sign with and the text of the one to verify with.
type pair struct {
	method jwt.SigningMethod
	sign   any
	public []byte // PEM; of HS256 the secret
	key    *key
}

// pairs has a key of each algorithm, and another of each.
var pairs = sync.OnceValue(func() map[string]pair {
	secret := func() []byte { return []byte(rand.Text() + rand.Text()) }
	_, ed1, _ := ed25519.GenerateKey(nil)
	_, ed2, _ := ed25519.GenerateKey(nil)
	ec1, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ec2, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	rsa1, _ := rsa.GenerateKey(rand.Reader, 2048)
	rsa2, _ := rsa.GenerateKey(rand.Reader, 2048)
	all := map[string]pair{}
	for name, private := range map[string]crypto.Signer{"EdDSA": ed1, "EdDSA2": ed2, "ES256": ec1, "ES2562": ec2, "RS256": rsa1, "RS2562": rsa2} {
		der, err := x509.MarshalPKIXPublicKey(private.Public())
		if err != nil {
			panic(err)
		}
		public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
		keys, err := parsePublic(public)
		if err != nil {
			panic(err)
		}
		all[name] = pair{keys[0].method, private, public, keys[0]}
	}
	for _, name := range []string{"HS256", "HS2562"} {
		s := secret()
		k, err := parseSecret(s)
		if err != nil {
			panic(err)
		}
		all[name] = pair{jwt.SigningMethodHS256, s, s, k}
	}
	return all
})

// file writes a file of the test's and returns its name.
func file(t testing.TB, text []byte) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(name, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// verifier takes tokens of the pairs with these names, at the tests' time.
func verifier(t testing.TB, cfg Config, names ...string) *Verifier {
	t.Helper()
	for _, name := range names {
		if p := pairs()[name]; p.method == jwt.SigningMethodHS256 {
			cfg.Secret = file(t, p.public)
		} else {
			cfg.Key = append(cfg.Key, file(t, p.public))
		}
	}
	cfg.Leeway = 30 * time.Second
	v, err := NewVerifier(t.Context(), cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	v.now = func() time.Time { return start }
	return v
}

func b64(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

// craft signs whatever it is given.
func craft(method jwt.SigningMethod, key any, header, body string) string {
	signed := b64(header) + "." + b64(body)
	sig, err := method.Sign(signed, key)
	if err != nil {
		panic(err)
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(sig)
}

// good is claims that are taken, with more before them.
func good(more string) string {
	return fmt.Sprintf(`{%s"exp":%d,"tickwire":{"symbols":["sim:*"]}}`, more, start.Unix()+60)
}

// of is a token of a pair, with these claims and more in its header.
func of(name, more, body string) string {
	p := pairs()[name]
	return craft(p.method, p.sign, `{"alg":"`+p.method.Alg()+`"`+more+`}`, body)
}
