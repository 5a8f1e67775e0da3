package token

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// The examples of RFC 7638, 3.1 and RFC 8037, A.3, and one of P-256, whose thumbprint other
// libraries agree on.
func TestThumbprint(t *testing.T) {
	for _, c := range []struct{ jwk, want string }{
		{`{"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"AQAB","alg":"RS256"}`,
			"NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"},
		{`{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"},
		{`{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}`, "oKIywvGUpTVTyxMQ3bwIIeQUudfr_CkLMjCE19ECD-U"},
	} {
		k, err := parseJWK([]byte(c.jwk))
		if err != nil || k.print != c.want || k.kid != c.want || !k.nameless {
			t.Errorf("%+v, %v; want %s", k, err, c.want)
		}
	}
}

func block(kind string, der []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func publicPEM(public any) []byte {
	der, err := x509.MarshalPKIXPublicKey(public)
	return block("PUBLIC KEY", der, err)
}

// Files that are not what they should be are told before anything starts.
func TestKeyFiles(t *testing.T) {
	_, ed, _ := ed25519.GenerateKey(nil)
	p384, _ := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	small, _ := rsa.GenerateKey(rand.Reader, 1024)
	rsaKey, ecKey := pairs()["RS256"].sign.(*rsa.PrivateKey), pairs()["ES256"].sign.(*ecdsa.PrivateKey)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(ed)
	sec1, err1 := x509.MarshalECPrivateKey(ecKey)
	jwk := func(more string) string {
		return `{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"` + more + `}`
	}
	one := rsa.PublicKey{N: rsaKey.N, E: 1}
	for say, text := range map[string]string{
		"this is a private key; a node":  string(block("PRIVATE KEY", pkcs8, err)),
		"a private key; a node needs":    string(block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey), nil)),
		"private key; a node needs the":  string(block("EC PRIVATE KEY", sec1, err1)),
		"is a private key; a node needs": string(publicPEM(ed.Public())) + string(block("ENCRYPTED PRIVATE KEY", pkcs8, nil)),
		"is a private key":               `{"keys":[` + jwk("") + "," + jwk(`,"d":"AAAA"`) + `]}`,
		"this is a certificate":          string(block("CERTIFICATE", pkcs8, nil)),
		`this is a "EC PARAMETERS"`:      string(block("EC PARAMETERS", pkcs8, nil)),
		"there is no key in it":          "hello",
		"neither PEM nor a JWKS":         "",
		"*ecdsa.PublicKey":               string(publicPEM(&p384.PublicKey)),
		"of 1024 bits":                   string(publicPEM(&small.PublicKey)),
		"the exponent 1":                 string(publicPEM(&one)),
		"asn1":                           string(block("PUBLIC KEY", []byte("x"), nil)),
		"not a JWKS":                     `{"keys":1}`,
		"with keys":                      jwk(""),
		"no key in it is used":           `{"keys":[]}`,
		"key 1: its use is not sig":      `{"keys":[` + jwk(`,"use":"enc"`) + `]}`,
		"key 1: its key_ops are without": `{"keys":[` + jwk(`,"key_ops":["sign"]`) + `]}`,
		`its alg is "ES256"; a key`:      `{"keys":[` + jwk(`,"alg":"ES256"`) + `]}`,
		`its alg is "none"`:              `{"keys":[` + jwk(`,"alg":"none"`) + `]}`,
		"a secret, which has no place":   `{"keys":[{"kty":"oct","k":"` + strings.Repeat("A", 43) + `"}]}`,
		"broken":                         `{"keys":[{"kty":"EC","crv":"P-256","x":"AAAA","y":"AAAA"}]}`,
		"key 1: not a key":               `{"keys":[{"kty":"RSA","n":"AAAA"}]}`,
		"not a JWK;":                     `{"keys":["x",{}]}`,
		"17 keys; at most 16":            strings.Repeat(string(publicPEM(ed.Public())), 17),
	} {
		_, err := NewVerifier(t.Context(), Config{Key: []string{file(t, []byte(text))}}, slog.New(slog.DiscardHandler))
		if err == nil || !strings.Contains(err.Error(), say) || !strings.HasPrefix(err.Error(), "token: ") {
			t.Errorf("%v; want %s", err, say)
		}
	}
	for say, text := range map[string]string{
		"at least 32 bytes; this has 31": strings.Repeat("x", 31) + "\n",
		"this has 0":                     "",
		"this is a PEM file":             string(publicPEM(ed.Public())),
		"this is JSON, as a JWKS is":     "\n" + set("EdDSA"),
		"JSON, as a JWKS":                `{"kty":"oct","k":"` + strings.Repeat("A", 43) + `"}`,
		"there is a token in it":         of("HS256", "", good("")) + "\n",
		"a token in it, which others":    "Authorization: Bearer " + of("HS256", "", good("")),
	} {
		_, err := NewVerifier(t.Context(), Config{Secret: file(t, []byte(text))}, slog.New(slog.DiscardHandler))
		if err == nil || !strings.Contains(err.Error(), say) {
			t.Errorf("%v; want %s", err, say)
		}
	}
	for _, cfg := range []Config{{Key: []string{"no/such/file"}}, {Secret: "no/such/file"}} {
		if _, err := NewVerifier(t.Context(), cfg, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "no such file") {
			t.Error(err)
		}
	}
	if _, err := NewVerifier(t.Context(), Config{Key: []string{file(t, make([]byte, fileMax+1))}}, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "longer than") {
		t.Error(err)
	}
}

// The newline behind a secret is not part of it, by whichever editor; all else is.
func TestSecretNewline(t *testing.T) {
	secret := strings.Repeat("x", 40)
	for text, want := range map[string]string{secret: secret, secret + "\n": secret, secret + "\r\n": secret, secret + "\n\n": secret + "\n", secret + " ": secret + " "} {
		if k, err := parseSecret([]byte(text)); err != nil || string(k.public.([]byte)) != want {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// A set has names for its keys: a token is checked with the key that it names, and a name
// that is in no set is refused.
func TestKeysOfASet(t *testing.T) {
	var set struct {
		Keys []map[string]any `json:"keys"`
	}
	for name, kid := range map[string]string{"EdDSA": "one", "EdDSA2": "two", "ES256": "three"} {
		m, err := jwkOf(pairs()[name].key.public)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := json.Marshal(m)
		var jwk map[string]any
		json.Unmarshal(text, &jwk)
		jwk["kid"], jwk["use"], jwk["key_ops"], jwk["x5c"] = kid, "sig", []string{"verify"}, []string{"not looked at"}
		set.Keys = append(set.Keys, jwk)
	}
	set.Keys = append(set.Keys, map[string]any{"kty": "oct", "k": "AAAA"}, map[string]any{"kty": "EC", "crv": "secp256k1"})
	text, _ := json.Marshal(set)
	v := verifier(t, Config{Key: []string{file(t, text)}})
	for raw, want := range map[string]string{
		of("EdDSA", `,"kid":"one"`, good("")): "", of("EdDSA2", `,"kid":"two"`, good("")): "", of("EdDSA2", "", good("")): "", of("ES256", "", good("")): "",
		of("EdDSA", `,"kid":"two"`, good("")):                            "signature",
		of("EdDSA", `,"kid":"three"`, good("")):                          "algorithm",
		of("EdDSA", `,"kid":"four"`, good("")):                           "unknown_key",
		of("EdDSA", `,"kid":""`, good("")):                               "unknown_key",
		of("EdDSA", `,"kid":"`+pairs()["EdDSA"].key.print+`"`, good("")): "unknown_key",
		of("RS256", "", good("")):                                        "algorithm",
		of("HS256", `,"kid":"one"`, good("")):                            "algorithm",
	} {
		if _, err := v.Verify([]byte(raw)); ReasonOf(err) != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// A secret has no name: "" is not its.
func TestEmptyKid(t *testing.T) {
	v := verifier(t, Config{}, "HS256", "EdDSA")
	for _, name := range []string{"HS256", "EdDSA"} {
		if _, err := v.Verify([]byte(of(name, `,"kid":""`, good("")))); err != nil {
			t.Error(name, err)
		}
	}
}

func TestConfig(t *testing.T) {
	for say, cfg := range map[string]Config{
		"leeway is from 0s to 5m0s": {Leeway: 6 * time.Minute}, "leeway is": {Leeway: -1}, "at most 16 key files": {Key: make([]string, 17)},
		"go with a key": {Audience: "a"}, "an issuer and a": {Issuer: "a"}, "a leeway go with": {Leeway: time.Minute}, "is at an https:// URL": {JWKS: "http://example.com/jwks"},
		"the JWKS is": {JWKS: "http://127.0.0.1.example.com/"}, "https:// URL, or": {JWKS: "example.com/jwks"}, "http:// of this machine": {JWKS: "file:///etc/passwd"},
		"JWKS is at": {JWKS: "https://"}, "or http:// of": {JWKS: "http://localhost.example.com/"}, "at an https": {JWKS: "://"},
	} {
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), say) {
			t.Errorf("%v, want %s", err, say)
		}
	}
	for _, cfg := range []Config{
		{}, {Leeway: 30 * time.Second}, {JWKS: "https://example.com/jwks", Leeway: 5 * time.Minute}, {JWKS: "http://127.0.0.1:8080/"}, {JWKS: "http://[::1]/"}, {JWKS: "http://localhost:1/x?y"}, {Secret: "s", Issuer: "i"},
	} {
		if err := cfg.Validate(); err != nil {
			t.Error(cfg, err)
		}
		if cfg.Enabled() != (cfg.JWKS != "" || cfg.Secret != "") {
			t.Error(cfg)
		}
	}
	if _, err := NewVerifier(t.Context(), Config{}, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("a verifier without keys")
	}
}
