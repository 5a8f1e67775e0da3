package token

import (
	"crypto/rsa"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

func TestVerify(t *testing.T) {
	for _, name := range []string{"EdDSA", "ES256", "RS256", "HS256"} {
		v := verifier(t, Config{}, name)
		print := pairs()[name].key.print
		for what, raw := range map[string]string{
			"without kid":         of(name, "", good("")),
			"with its thumbprint": of(name, `,"kid":"`+print+`","typ":"JWT"`, good(`"sub":"a",`)),
			"with an issuer's":    of(name, `,"kid":"2024-1"`, good("")), // the file has no name for it
		} {
			c, err := v.Verify([]byte(raw))
			if err != nil || !c.Grant.Allows([]byte("sim:A")) || c.Grant.Allows([]byte("okx:A")) {
				t.Errorf("%s %s: %v", name, what, err)
			}
			if again := v.Known([]byte(raw)); again != c {
				t.Errorf("%s %s: not remembered", name, what)
			}
		}
	}
}

// Attacks, and mistakes, each on a node that has a key of every algorithm.
func TestRefused(t *testing.T) {
	v := verifier(t, Config{Audience: "tickwire", Issuer: "us"}, "EdDSA", "ES256", "RS256", "HS256")
	ok := `"aud":["x","tickwire"],"iss":"us",`
	if _, err := v.Verify([]byte(of("EdDSA", "", good(ok)))); err != nil {
		t.Fatal(err)
	}
	p := pairs()
	modulus := p["RS256"].sign.(*rsa.PrivateKey).N.Bytes()
	token := of("EdDSA", "", good(ok))
	head, rest, _ := strings.Cut(token, ".")
	body, sig, _ := strings.Cut(rest, ".")
	at := func(claim string, after time.Duration) string {
		return good(fmt.Sprintf(`%s%q:%d,`, ok, claim, start.Add(after).Unix()))
	}
	exp := func(x string) string { return `{` + ok + `"exp":` + x + `,"tickwire":{"symbols":["*"]}}` }
	none := func(alg string) string { return b64(`{"alg":"`+alg+`"}`) + "." + b64(good(ok)) + "." }
	cases := []struct {
		name, raw string
		want      Reason
	}{
		{"none", none("none") + "AAAA", Algorithm}, {"none, no signature", none("none"), Malformed}, {"None", none("None") + "AA", Algorithm},
		{"NONE", none("NONE") + "AA", Algorithm}, {"nOnE", none("nOnE") + "AA", Algorithm}, {"no alg", b64(`{}`) + "." + body + "." + sig, Malformed},
		{"empty alg", none("") + "AA", Malformed}, {"alg null", b64(`{"alg":null}`) + "." + body + "." + sig, Malformed},
		{"alg list", b64(`{"alg":["EdDSA"]}`) + "." + body + "." + sig, Malformed}, {"eddsa", none("eddsa") + sig, Algorithm},
		{"ALG only", craft(p["EdDSA"].method, p["EdDSA"].sign, `{"ALG":"EdDSA"}`, good(ok)), Malformed},
		{"HS256 with the public PEM", craft(jwt.SigningMethodHS256, p["RS256"].public, `{"alg":"HS256"}`, good(ok)), Signature},
		{"HS256 with its last newline off", craft(jwt.SigningMethodHS256, p["RS256"].public[:len(p["RS256"].public)-1], `{"alg":"HS256"}`, good(ok)), Signature},
		{"HS256 with the modulus", craft(jwt.SigningMethodHS256, modulus, `{"alg":"HS256"}`, good(ok)), Signature},
		{"HS256 with an RSA key's kid", craft(jwt.SigningMethodHS256, p["RS256"].public, `{"alg":"HS256","kid":"`+p["RS256"].key.kid+`"}`, good(ok)), Algorithm},
		{"HS256 with no secret", craft(jwt.SigningMethodHS256, []byte{}, `{"alg":"HS256"}`, good(ok)), Signature},
		{"HS384", craft(jwt.SigningMethodHS384, p["HS256"].sign, `{"alg":"HS384"}`, good(ok)), Algorithm},
		{"HS512", craft(jwt.SigningMethodHS512, p["HS256"].sign, `{"alg":"HS512"}`, good(ok)), Algorithm},
		{"RS384", craft(jwt.SigningMethodRS384, p["RS256"].sign, `{"alg":"RS384"}`, good(ok)), Algorithm},
		{"RS512", craft(jwt.SigningMethodRS512, p["RS256"].sign, `{"alg":"RS512"}`, good(ok)), Algorithm},
		{"PS256", craft(jwt.SigningMethodPS256, p["RS256"].sign, `{"alg":"PS256"}`, good(ok)), Algorithm},
		{"PS256 that says RS256", craft(jwt.SigningMethodPS256, p["RS256"].sign, `{"alg":"RS256"}`, good(ok)), Signature},
		{"RS512 that says RS256", craft(jwt.SigningMethodRS512, p["RS256"].sign, `{"alg":"RS256"}`, good(ok)), Signature},
		{"ES384", none("ES384") + sig, Algorithm}, {"ES256K", none("ES256K") + sig, Algorithm},
		{"ES256 of zeros", none("ES256") + b64(string(make([]byte, 64))), Signature}, // CVE-2022-21449
		{"EdDSA of zeros", none("EdDSA") + b64(string(make([]byte, 64))), Signature},
		{"ES256 with EdDSA's signature", b64(`{"alg":"ES256"}`) + "." + body + "." + sig, Signature},
		{"another key", of("EdDSA2", "", good(ok)), Signature}, {"another EC key", of("ES2562", "", good(ok)), Signature},
		{"another RSA key", of("RS2562", "", good(ok)), Signature}, {"another secret", of("HS2562", "", good(ok)), Signature},
		{"kid of another key", of("EdDSA", `,"kid":"`+p["ES256"].key.kid+`"`, good(ok)), Algorithm},
		{"kid of none, another key", of("EdDSA2", `,"kid":"x"`, good(ok)), Signature},
		{"kid a path", of("EdDSA2", `,"kid":"../../dev/null"`, good(ok)), Signature},
		{"kid a number", of("EdDSA", `,"kid":1`, good(ok)), Malformed}, {"kid null", of("EdDSA", `,"kid":null`, good(ok)), Malformed},
		{"kid twice", of("EdDSA", `,"kid":"a","kid":"b"`, good(ok)), Malformed}, {"alg twice", of("EdDSA", `,"alg":"none"`, good(ok)), Malformed},
		{"crit", of("EdDSA", `,"crit":["exp"]`, good(ok)), Malformed}, {"crit b64", of("EdDSA", `,"b64":false,"crit":["b64"]`, good(ok)), Malformed},
		{"crit null", of("EdDSA", `,"crit":null`, good(ok)), Malformed},
		{"jwk", of("EdDSA2", `,"jwk":{"kty":"OKP","crv":"Ed25519","x":"`+p["EdDSA2"].key.print+`"}`, good(ok)), Signature},
		{"jku", of("EdDSA2", `,"jku":"http://127.0.0.1:1/","x5u":"http://127.0.0.1:1/"`, good(ok)), Signature},
		{"x5c", of("EdDSA2", `,"x5c":["MIIB"]`, good(ok)), Signature},

		{"expired by the leeway", of("EdDSA", "", exp(fmt.Sprint(start.Unix()-30))), Expired},
		{"expired long ago", of("EdDSA", "", exp("0")), Expired}, {"exp missing", of("EdDSA", "", `{`+ok+`"tickwire":{"symbols":["*"]}}`), BadClaims},
		{"exp a string", of("EdDSA", "", exp(`"1900000000"`)), BadClaims}, {"exp negative", of("EdDSA", "", exp("-1")), BadClaims},
		{"exp 1e300", of("EdDSA", "", exp("1e300")), BadClaims}, {"exp 1e400", of("EdDSA", "", exp("1e400")), BadClaims},
		{"exp null", of("EdDSA", "", exp("null")), BadClaims}, {"exp true", of("EdDSA", "", exp("true")), BadClaims},
		{"exp a list", of("EdDSA", "", exp("[1900000000]")), BadClaims}, {"exp twice", of("EdDSA", "", exp("1900000000,\"exp\":1900000000")), BadClaims},
		{"EXP", of("EdDSA", "", `{`+ok+`"EXP":1900000000,"tickwire":{"symbols":["*"]}}`), BadClaims},
		{"nbf to come", of("EdDSA", "", at("nbf", 31*time.Second)), NotYetValid}, {"iat to come", of("EdDSA", "", at("iat", 31*time.Second)), NotYetValid},
		{"nbf a string", of("EdDSA", "", good(ok+`"nbf":"x",`)), BadClaims}, {"iat 1e300", of("EdDSA", "", good(ok+`"iat":1e300,`)), BadClaims},
		{"aud another", of("EdDSA", "", good(`"iss":"us","aud":["x"],`)), Audience}, {"aud missing", of("EdDSA", "", good(`"iss":"us",`)), Audience},
		{"aud longer", of("EdDSA", "", good(`"iss":"us","aud":"tickwire2",`)), Audience}, {"aud a number", of("EdDSA", "", good(`"iss":"us","aud":1,`)), BadClaims},
		{"aud empty", of("EdDSA", "", good(`"iss":"us","aud":[],`)), Audience}, {"aud null", of("EdDSA", "", good(`"iss":"us","aud":null,`)), BadClaims},
		{"iss another", of("EdDSA", "", good(`"iss":"US","aud":"tickwire",`)), Issuer}, {"iss missing", of("EdDSA", "", good(`"aud":"tickwire",`)), Issuer},
		{"iss a list", of("EdDSA", "", good(`"iss":["us"],"aud":"tickwire",`)), BadClaims}, {"sub a number", of("EdDSA", "", good(ok+`"sub":1,`)), BadClaims},
		{"sub long", of("EdDSA", "", good(ok+`"sub":"`+strings.Repeat("a", 257)+`",`)), BadClaims},
		{"no grant", of("EdDSA", "", `{`+ok+`"exp":1900000000}`), BadClaims}, {"a claim twice", of("EdDSA", "", good(ok+`"x":1,"x":2,`)), BadClaims},
		{"claims a list", of("EdDSA", "", `[]`), BadClaims}, {"claims null", of("EdDSA", "", `null`), BadClaims}, {"claims and more", of("EdDSA", "", good(ok)+"{}"), BadClaims},
		{"claims cut", of("EdDSA", "", good(ok)[:40]), BadClaims}, {"not UTF-8", of("EdDSA", "", good(ok+"\"x\":\"\xff\",")), BadClaims},

		{"empty", "", Malformed}, {"a dot", ".", Malformed}, {"dots", "..", Malformed}, {"two segments", head + "." + body, Malformed},
		{"four segments", token + ".AAAA", Malformed}, {"an empty fourth", token + ".", Malformed}, {"no header", "." + rest, Malformed}, {"no claims", head + ".." + sig, Malformed},
		{"space before", " " + token, Malformed}, {"newline behind", token + "\n", Malformed}, {"newline within", head + ".\n" + rest, Malformed},
		{"carriage return in the signature", token[:len(token)-4] + "\r" + token[len(token)-4:], Malformed}, {"padding", token + "==", Malformed},
		{"plain base64", strings.NewReplacer("-", "+", "_", "/").Replace(token) + "+", Malformed}, {"NUL", token + "\x00", Malformed}, {"not ASCII", token + "é", Malformed},
		{"a bit in the signature", token[:len(token)-1] + string(token[len(token)-1]+1), Malformed}, // 64 bytes leave 4 bits, which are 0
		{"a bit in the claims", head + "." + body[:8] + "B" + body[9:] + "." + sig, Signature},
		{"length 1 mod 4", head + "." + body + "." + sig + "AAA", Malformed}, {"short signature", head + "." + body + ".AAAA", Signature},
		{"JSON serialization", `{"payload":"` + body + `","signature":"` + sig + `"}`, Malformed},
		{"JWE", strings.Repeat("AAAA.", 4) + "AAAA", Malformed}, {"bearer", "Bearer " + token, Malformed},
		{"at the limit", token + strings.Repeat("A", TokenMax-len(token)-1) + ".", Malformed}, {"above it", strings.Repeat("A", TokenMax+1), TooLong},
		{"huge", strings.Repeat(".", 1<<20), TooLong},
	}
	for _, c := range cases {
		claims, err := v.Verify([]byte(c.raw))
		if claims != nil || ReasonOf(err) != string(c.want) {
			t.Errorf("%s: %v, %v; want %s", c.name, claims, err, c.want)
		}
		if v.Known([]byte(c.raw)) != nil {
			t.Errorf("%s: remembered", c.name)
		}
		if err != nil && len(err.Error()) > 160 {
			t.Errorf("%s: %d bytes of refusal", c.name, len(err.Error()))
		}
	}
	if v.cache.Len() != 1 {
		t.Errorf("%d tokens are remembered", v.cache.Len())
	}
}

// What lies within the leeway, or says a thing in another way, is taken.
func TestTaken(t *testing.T) {
	v := verifier(t, Config{Audience: "tickwire"}, "EdDSA")
	now := start.Unix()
	for name, body := range map[string]string{
		"just expired":   fmt.Sprintf(`{"exp":%d,"aud":"tickwire","tickwire":{"symbols":["*"]}}`, now-29),
		"clocks differ":  fmt.Sprintf(`{"exp":%d,"nbf":%d,"iat":%d,"aud":["tickwire"],"tickwire":{"symbols":["*"]}}`, now+60, now+30, now+30),
		"a float":        fmt.Sprintf(`{"exp":%d.75,"aud":"tickwire","tickwire":{"symbols":["*"]}}`, now+60),
		"an exponent":    `{"exp":1.9e9,"aud":"tickwire","tickwire":{"symbols":["*"]}}`,
		"blanks":         fmt.Sprintf(" {\n\"exp\" : %d , \"aud\" : \t[ \"x\" , \"tickwire\" ] , \"tickwire\" : { \"symbols\" : [ \"*\" ] } } \n", now+60),
		"others' claims": fmt.Sprintf(`{"exp":%d,"aud":"tickwire","realm_access":{"roles":[]},"EXP":1,"x":null,"tickwire":{"symbols":["*"],"rate":0.5,"subs":1,"newest":true}}`, now+60),
		"conns":          fmt.Sprintf(`{"exp":%d,"aud":"tickwire","sub":"a","tickwire":{"symbols":["*"],"conns":1}}`, now+60),
	} {
		if c, err := v.Verify([]byte(of("EdDSA", "", body))); err != nil || c.Left(start) <= 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A refusal's text is for the client: it says nothing that the token said.
func TestRefusalEchoesNothing(t *testing.T) {
	v := verifier(t, Config{Issuer: "us"}, "EdDSA", "HS256")
	for _, body := range []string{
		good(`"iss":"MARK",`), `{"exp":"MARK"}`, `{"exp":1900000000,"tickwire":{"symbols":["MARK"]}}`, `{"exp":1900000000,"tickwire":{"MARK":1}}`, `{"MARK":1,"MARK":2}`,
	} {
		for _, header := range []string{"", `,"kid":"MARK"`, `,"crit":["MARK"]`} {
			_, err := v.Verify([]byte(of("EdDSA", header, body)))
			if err == nil || strings.Contains(err.Error(), "MARK") || strings.Contains(err.Error(), string(pairs()["HS256"].public)) {
				t.Errorf("%s %s: %v", header, body, err)
			}
		}
	}
}

func TestReasonOf(t *testing.T) {
	for _, r := range Reasons {
		e := &Error{Reason: r}
		if ReasonOf(fmt.Errorf("door: %w", e)) != string(r) || e.Retry() != (r == Unavailable) {
			t.Errorf("%s", r)
		}
	}
	if ReasonOf(nil) != "" || ReasonOf(errors.New("x")) != "malformed" {
		t.Error("of others")
	}
}

// Nothing that is sent here makes it panic, and what is taken has a good signature: there is
// none in what the fuzzer has.
func FuzzVerify(f *testing.F) {
	v := verifier(f, Config{}, "EdDSA", "ES256", "RS256", "HS256")
	for _, name := range []string{"EdDSA2", "ES2562", "RS2562", "HS2562"} {
		f.Add([]byte(of(name, "", good(""))))
		f.Add([]byte(of(name, `,"kid":"`+pairs()["EdDSA"].key.kid+`"`, good(`"sub":"a","aud":["b"],`))))
	}
	f.Add([]byte("..."))
	f.Fuzz(func(t *testing.T, raw []byte) {
		c, err := v.Verify(raw)
		if c != nil || err == nil || ReasonOf(err) == "" {
			t.Errorf("%q is taken", raw)
		}
	})
}

// Claims that come through say what they must, whatever the text.
func FuzzParseClaims(f *testing.F) {
	f.Add([]byte(good(`"sub":"a","aud":["b","c"],"nbf":1.5,"iat":1e9,"jti":"x","iss":"us",`)))
	f.Add([]byte(`{"exp":1e300}`))
	f.Add([]byte(`{"exp":1,"exp":2}`))
	f.Add([]byte(`{"exp":1,"tickwire":{"symbols":["a:b","a:*","*"],"rate":1e-9,"subs":1,"conns":0,"newest":false}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := parseClaims(text)
		if err != nil {
			if ReasonOf(err) != string(BadClaims) {
				t.Error(err)
			}
			return
		}
		if c.Validate() != nil || c.ExpiresAt.Unix() < 0 || c.ExpiresAt.Unix() > timeMax || len(c.Grant.index) == 0 {
			t.Errorf("%q: %+v", text, c)
		}
	})
}
