package token

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

func claims() *Claims {
	return &Claims{
		RegisteredClaims: jwt.RegisteredClaims{
			Subject: "alice", Issuer: "us", Audience: jwt.ClaimStrings{"tickwire"}, ID: "1", ExpiresAt: jwt.NewNumericDate(start.Add(time.Hour)), IssuedAt: jwt.NewNumericDate(start),
		},
		Grant: Grant{Symbols: []string{"coinbase:*", "kraken:BTC-USD"}, Rate: 5, Subs: 100, Conns: 2, Newest: true},
	}
}

// What is signed with a key that we made is taken by whoever has its public half, in either
// form, and says the same.
func TestSignVerify(t *testing.T) {
	for _, alg := range []string{"EdDSA", "ES256", "RS256", "HS256"} {
		keys, err := MakeKey(alg)
		if err != nil {
			t.Fatal(err)
		}
		configs := []Config{{Key: []string{file(t, keys.Public)}}, {Key: []string{file(t, keys.JWKS)}}}
		signer, err := NewSigner(keys.Signing)
		if alg == "HS256" {
			configs = []Config{{Secret: file(t, keys.Secret)}}
			signer, err = NewSecretSigner(keys.Secret)
		}
		if err != nil {
			t.Fatal(err)
		}
		want := claims()
		raw, err := signer.Sign(want)
		if err != nil {
			t.Fatal(err)
		}
		for _, cfg := range configs {
			cfg.Audience, cfg.Issuer = "tickwire", "us"
			got, err := verifier(t, cfg).Verify([]byte(raw))
			if err != nil {
				t.Errorf("%s: %v", alg, err)
				continue
			}
			if got.Subject != "alice" || got.ID != "1" || !got.ExpiresAt.Equal(want.ExpiresAt.Time) || !got.IssuedAt.Equal(start) || got.NotBefore != nil ||
				strings.Join(got.Grant.Symbols, " ") != "coinbase:* kraken:BTC-USD" || got.Grant.Rate != 5 || got.Grant.Subs != 100 || got.Grant.Conns != 2 || !got.Grant.Newest {
				t.Errorf("%s: %+v", alg, got)
			}
		}
		if p, err := split([]byte(raw)); err != nil || p.alg != alg || p.kid != signer.kid || p.named != (alg != "HS256") {
			t.Errorf("%s: %+v, %v", alg, p, err)
		}
	}
	if _, err := MakeKey("none"); err == nil {
		t.Error("a key for none")
	}
}

// Two keys are never the same.
func TestMakeKey(t *testing.T) {
	for _, alg := range []string{"EdDSA", "HS256"} {
		a, _ := MakeKey(alg)
		b, _ := MakeKey(alg)
		if bytes.Equal(a.Signing, b.Signing) && bytes.Equal(a.Secret, b.Secret) {
			t.Error(alg)
		}
	}
}

func TestSignRefuses(t *testing.T) {
	keys, _ := MakeKey("EdDSA")
	signer, _ := NewSigner(keys.Signing)
	for say, spoil := range map[string]func(*Claims){
		"exp is missing":   func(c *Claims) { c.ExpiresAt = nil },
		"names nothing":    func(c *Claims) { c.Grant.Symbols = nil },
		"at place 2":       func(c *Claims) { c.Grant.Symbols[1] = "kraken" },
		"sub is missing":   func(c *Claims) { c.Subject = "" },
		"longer than 4096": func(c *Claims) { c.ID = strings.Repeat("x", 4096) },
	} {
		c := claims()
		spoil(c)
		if raw, err := signer.Sign(c); raw != "" || err == nil || !strings.Contains(err.Error(), say) {
			t.Errorf("%v, want %s", err, say)
		}
	}
}

// Keys of other programs, and files that are none.
func TestSignerFiles(t *testing.T) {
	ec, r := pairs()["ES256"].sign.(*ecdsa.PrivateKey), pairs()["RS256"].sign.(*rsa.PrivateKey)
	sec1, err := x509.MarshalECPrivateKey(ec)
	for _, text := range [][]byte{
		append(block("EC PARAMETERS", []byte("x"), nil), block("EC PRIVATE KEY", sec1, err)...), // openssl ecparam -genkey
		block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(r), nil),
	} {
		signer, err := NewSigner(text)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := signer.Sign(claims())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := verifier(t, Config{}, "ES256", "RS256").Verify([]byte(raw)); err != nil {
			t.Error(err)
		}
	}
	for say, text := range map[string]string{
		"this is a public key":    string(pairs()["EdDSA"].public),
		"is encrypted":            string(block("ENCRYPTED PRIVATE KEY", []byte("x"), nil)),
		`this is a "CERTIFICATE"`: string(block("CERTIFICATE", []byte("x"), nil)),
		"no private key":          "hello",
		"asn1":                    string(block("PRIVATE KEY", []byte("x"), nil)),
	} {
		if _, err := NewSigner([]byte(text)); err == nil || !strings.Contains(err.Error(), say) {
			t.Errorf("%v, want %s", err, say)
		}
	}
	if _, err := NewSecretSigner([]byte("short")); err == nil {
		t.Error("a short secret signs")
	}
	if _, err := NewVerifier(t.Context(), Config{Key: []string{file(t, block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(r), nil))}}, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("a private key verifies")
	}
}

func BenchmarkSign(b *testing.B) {
	keys, _ := MakeKey("EdDSA")
	signer, _ := NewSigner(keys.Signing)
	c := claims()
	for b.Loop() {
		signer.Sign(c)
	}
}
