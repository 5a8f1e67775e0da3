package fanout

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/golang-jwt/jwt/v5"

	"github.com/tickwire/tickwire/codec"
	"github.com/tickwire/tickwire/fanout/token"
)

// issuer signs tokens that a node takes.
type issuer struct {
	t      *testing.T
	signer *token.Signer
	public []byte
	jwk    string
}

// newIssuer has a key of an algorithm, whose public half is in a file.
func newIssuer(t *testing.T, alg, file string) *issuer {
	t.Helper()
	keys, err := token.MakeKey(alg)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := token.NewSigner(keys.Signing)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, keys.Public, 0o600); err != nil {
		t.Fatal(err)
	}
	var set struct{ Keys []json.RawMessage }
	if err := json.Unmarshal(keys.JWKS, &set); err != nil || len(set.Keys) != 1 {
		t.Fatal(err, string(keys.JWKS))
	}
	return &issuer{t, signer, keys.Public, string(set.Keys[0])}
}

// startAuth is a node that takes an issuer's tokens.
func startAuth(t *testing.T, change func(*Config)) (*testNode, *issuer) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "public.pem")
	i := newIssuer(t, "EdDSA", file)
	n := startNode(t, func(cfg *Config) {
		cfg.Token.Key, cfg.Token.Leeway = []string{file}, time.Second
		if change != nil {
			change(cfg)
		}
	})
	return n, i
}

// claims are good for an hour, and for everything of sim, but for what is changed.
func claims(change ...func(*token.Claims)) *token.Claims {
	now := time.Now()
	c := &token.Claims{
		RegisteredClaims: jwt.RegisteredClaims{Subject: "alice", IssuedAt: jwt.NewNumericDate(now.Add(-time.Minute)), ExpiresAt: jwt.NewNumericDate(now.Add(time.Hour))},
		Grant:            token.Grant{Symbols: []string{"sim:*"}},
	}
	for _, f := range change {
		f(c)
	}
	return c
}

func (i *issuer) sign(change ...func(*token.Claims)) string {
	i.t.Helper()
	text, err := i.signer.Sign(claims(change...))
	if err != nil {
		i.t.Fatal(err)
	}
	return text
}

// dialToken is dial with a token.
func dialToken(t *testing.T, addr, token string) *peer {
	t.Helper()
	p, _, err := tryToken(addr, http.Header{"Authorization": {"Bearer " + token}})
	if err != nil {
		t.Fatal(err)
	}
	p.t = t
	t.Cleanup(func() { p.conn.Close() })
	p.next(codec.TypeHello)
	return p
}

// tryToken dials with fields of a head; a refusal is its status and body.
func tryToken(addr string, fields http.Header, protocols ...string) (*peer, string, error) {
	var body string
	status := 0
	d := ws.Dialer{
		Timeout: 5 * time.Second, Protocols: protocols, Header: ws.HandshakeHeaderHTTP(fields),
		OnStatusError: func(code int, _ []byte, rest io.Reader) {
			status = code
			text, _ := io.ReadAll(rest)
			_, after, _ := bytes.Cut(text, []byte("\r\n\r\n"))
			body = string(after)
		},
	}
	conn, early, _, err := d.Dial(context.Background(), "ws://"+addr+codec.StreamPath)
	if err != nil {
		return nil, fmt.Sprintf("%d %s", status, body), err
	}
	p := &peer{conn: conn, from: conn}
	if early != nil {
		p.from = io.MultiReader(io.LimitReader(early, int64(early.Buffered())), conn)
	}
	return p, "101", nil
}

// raw is a token by hand.
func rawToken(header, claims string, sign func(text string) []byte) string {
	text := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(claims))
	return text + "." + base64.RawURLEncoding.EncodeToString(sign(text))
}

// Whoever comes with a token that is none of the issuer's, or holds no more, is told why
// before the upgrade, wherever it is; beside that a subscriber has every price.
func TestTokensRefused(t *testing.T) {
	n, i := startAuth(t, func(cfg *Config) { cfg.Token.Audience, cfg.Token.Issuer = "ticks", "me" })
	mine := func(c *token.Claims) { c.Audience, c.Issuer = jwt.ClaimStrings{"ticks"}, "me" }
	n.publish("sim:A", bid(100))
	good := dialToken(t, n.addr, i.sign(mine))
	good.send(`{"op":"subscribe","symbols":["sim:A"]}`)
	good.next(codec.TypeReply)
	good.next(codec.TypeData)
	body, _ := json.Marshal(claims(mine))
	other := newIssuer(t, "EdDSA", filepath.Join(t.TempDir(), "other.pem"))
	hs := func(text string) []byte {
		m := hmac.New(sha256.New, i.public)
		m.Write([]byte(text))
		return m.Sum(nil)
	}
	none := func(string) []byte { return []byte("none") }
	price := int64(100)
	for name, c := range map[string]struct{ token, want string }{
		"alg none":                   {rawToken(`{"alg":"none","typ":"JWT"}`, string(body), none), "401 algorithm"},
		"alg nOnE":                   {rawToken(`{"alg":"nOnE"}`, string(body), none), "401 algorithm"},
		"the public key as a secret": {rawToken(`{"alg":"HS256"}`, string(body), hs), "401 algorithm"},
		"no signature":               {rawToken(`{"alg":"EdDSA"}`, string(body), func(string) []byte { return nil }), "401 malformed"},
		"another key":                {other.sign(mine), "401 signature"},
		"another key, no kid":        {rawToken(`{"alg":"EdDSA"}`, string(body), func(string) []byte { return make([]byte, 64) }), "401 signature"},
		"expired":                    {i.sign(mine, func(c *token.Claims) { c.ExpiresAt = jwt.NewNumericDate(time.Now().Add(-time.Minute)) }), "401 expired"},
		"not yet valid":              {i.sign(mine, func(c *token.Claims) { c.NotBefore = jwt.NewNumericDate(time.Now().Add(time.Minute)) }), "401 not_yet_valid"},
		"issued in time to come":     {i.sign(mine, func(c *token.Claims) { c.IssuedAt = jwt.NewNumericDate(time.Now().Add(time.Minute)) }), "401 not_yet_valid"},
		"another audience":           {i.sign(mine, func(c *token.Claims) { c.Audience = jwt.ClaimStrings{"others"} }), "401 audience"},
		"no audience":                {i.sign(mine, func(c *token.Claims) { c.Audience = nil }), "401 audience"},
		"another issuer":             {i.sign(mine, func(c *token.Claims) { c.Issuer = "you" }), "401 issuer"},
		"oversize":                   {i.sign(mine) + strings.Repeat("x", token.TokenMax), "401 too_long"},
		"no token":                   {"", "401 malformed"},
		"no JWT":                     {"abc", "401 malformed"},
		"a JWT with a space":         {"a b." + i.sign(mine), "401 malformed"},
		"a signature of another's claims": {rawToken(`{"alg":"EdDSA"}`, `{"exp":9999999999,"tickwire":{"symbols":["*"]}}`, func(string) []byte {
			s, _ := base64.RawURLEncoding.DecodeString(strings.Split(i.sign(mine), ".")[2])
			return s
		}), "401 signature"},
	} {
		places := map[string]func() string{
			"Authorization": func() string {
				_, answer, _ := tryToken(n.addr, http.Header{"Authorization": {"Bearer " + c.token}})
				return answer
			},
			"the snapshot": func() string { return get(t, n.addr, "/v1/snapshot", "Bearer "+c.token) },
		}
		if !strings.ContainsAny(c.token, " ") && c.token != "" && len(c.token) < token.TokenMax {
			places["the subprotocol"] = func() string {
				_, answer, _ := tryToken(n.addr, nil, codec.ProtocolJSON, bearer+c.token)
				return answer
			}
		}
		for place, try := range places {
			status, text, _ := strings.Cut(try(), " ")
			var refused struct{ Error, Reason string }
			if err := json.Unmarshal([]byte(text), &refused); err != nil || status+" "+refused.Reason != c.want || refused.Error == "" {
				t.Errorf("%s, in %s: %s %s, want %s", name, place, status, text, c.want)
			}
		}
		price++
		undisturbed(t, n, good, price)
	}
}

// get asks a node for a path, with an Authorization.
func get(t *testing.T, addr, path, authorization string) string {
	t.Helper()
	r, err := http.NewRequest("GET", "http://"+addr+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%d %s", res.StatusCode, body)
}

// A token may come in a header, in a subprotocol, or in a cookie where that is configured;
// never in the URL, nor in two places at once. The node takes none of them for a
// subprotocol.
func TestTokenPlaces(t *testing.T) {
	n, i := startAuth(t, func(cfg *Config) { cfg.TokenCookie, cfg.Origin = "ticket", []string{"https://*.example.com"} })
	good := i.sign()
	auth := http.Header{"Authorization": {"bearer " + good}}
	cookie := func(origin string) http.Header {
		h := http.Header{"Cookie": {"a=b; ticket=" + good}}
		if origin != "" {
			h.Set("Origin", origin)
		}
		return h
	}
	for name, c := range map[string]struct {
		fields    http.Header
		protocols []string
		want      string
	}{
		"a header":                        {auth, nil, "101"},
		"a subprotocol":                   {nil, []string{codec.ProtocolJSON, bearer + good}, "101"},
		"a subprotocol, first":            {nil, []string{bearer + good, codec.ProtocolJSON}, "101"},
		"a subprotocol alone":             {nil, []string{bearer + good}, "400"},
		"a cookie":                        {cookie(""), nil, "101"},
		"a cookie, from the node's page":  {cookie("http://" + n.addr), nil, "101"},
		"a cookie, from a page that may":  {cookie("https://a.b.example.com"), nil, "101"},
		"a cookie, from another page":     {cookie("https://evil.com"), nil, "403"},
		"a cookie, from a page like it":   {cookie("https://example.com.evil.com"), nil, "403"},
		"a cookie, from no page":          {cookie("null"), nil, "403"},
		"a cookie, from a page by http":   {cookie("http://a.example.com"), nil, "403"},
		"none":                            {nil, nil, "401"},
		"basic":                           {http.Header{"Authorization": {"Basic YTpi"}}, nil, "401"},
		"basic, for a proxy, beside one":  {http.Header{"Authorization": {"Basic YTpi"}}, []string{codec.ProtocolJSON, bearer + good}, "101"},
		"a header and a subprotocol":      {auth, []string{codec.ProtocolJSON, bearer + good}, "401"},
		"two subprotocols":                {nil, []string{codec.ProtocolJSON, bearer + good, bearer + good}, "401"},
		"a header, and a cookie unlooked": {http.Header{"Authorization": auth["Authorization"], "Cookie": {"ticket=x"}}, nil, "101"},
	} {
		p, answer, err := tryToken(n.addr, c.fields, c.protocols...)
		if status, _, _ := strings.Cut(answer, " "); status != c.want {
			t.Errorf("%s: %s, %v; want %s", name, answer, err, c.want)
		}
		if err == nil {
			p.conn.Close()
		}
	}
	d := ws.Dialer{Timeout: 5 * time.Second}
	if _, _, _, err := d.Dial(context.Background(), "ws://"+n.addr+codec.StreamPath+"?token="+good); err == nil {
		t.Error("a token in the URL is taken")
	}
}

// What a token does not cover is not to be had, by whatever name: neither on the stream nor
// by a snapshot.
func TestEntitlements(t *testing.T) {
	n, i := startAuth(t, nil)
	for _, symbol := range []string{"sim:A", "sim:AB", "sim2:A", "other:A", "other:B"} {
		n.publish(symbol, bid(1))
	}
	text := i.sign(func(c *token.Claims) {
		c.Grant = token.Grant{Symbols: []string{"sim:A*", "other:B"}, Rate: 5, Subs: 3}
	})
	p := dialToken(t, n.addr, text)
	ask := func(request string) map[string]codec.Code {
		t.Helper()
		p.send(request)
		got := map[string]codec.Code{}
		for _, r := range p.next(codec.TypeReply).Control.(*codec.Reply).Results {
			got[r.Symbol] = 0
			if r.Error != nil {
				got[r.Symbol] = r.Error.Code
			}
		}
		return got
	}
	p.send(`{"op":"subscribe","id":1,"symbols":["sim:A"]}`)
	if r := p.next(codec.TypeReply).Control.(*codec.Reply); r.Rate == nil || *r.Rate != 5 {
		t.Errorf("raw is answered %v", r.Rate)
	}
	for request, want := range map[string]map[string]codec.Code{
		`{"op":"subscribe","symbols":["other:A","other:B","sim2:A"]}`:           {"other:A": 130, "other:B": 0, "sim2:A": 130},
		`{"op":"subscribe","symbols":["*","sim:*","sim*","sim:","s*"]}`:         {"*": 130, "sim:*": 130, "sim*": 110, "sim:": 110, "s*": 110},
		`{"op":"subscribe","symbols":["other:*","other:B*","other:**","*:A"]}`:  {"other:*": 130, "other:B*": 130, "other:**": 110, "*:A": 110},
		`{"op":"subscribe","symbols":["sim:AB*","sim:A*"]}`:                     {"sim:AB*": 0, "sim:AB": 0, "sim:A*": 0, "sim:A": 0},
		`{"op":"subscribe","symbols":["SIM:A","sim:a","nothing:X"]}`:            {"SIM:A": 130, "sim:a": 130, "nothing:X": 130},
		`{"op":"subscribe","resume":[["other:A",1,0]],"symbols":["other:A"]}`:   {"other:A": 130},
		`{"op":"set","symbols":["other:A"],"rate":0}`:                           {"other:A": 112},
		`{"op":"subscribe","symbols":["sim:A\u0000","sim:A ","sim:A\u002a"]}`:   {"sim:A\x00": 110, "sim:A ": 110, "sim:A*": 0, "sim:A": 0, "sim:AB": 0},
		`{"op":"subscribe","symbols":["sim:A","other:B","sim:AC"],"rate":1000}`: {"sim:A": 0, "other:B": 0, "sim:AC": 111},
	} {
		if got := ask(request); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: %v, want %v", request, got, want)
		}
	}
	n.publish("sim:ABC", bid(1)) // the pattern takes it, but there are three already
	for r := p.next(codec.TypeReply).Control.(*codec.Reply); ; r = p.next(codec.TypeReply).Control.(*codec.Reply) {
		if r.Results[0].Error != nil {
			if r.Results[0].Error.Code != codec.CodeTooManySubs {
				t.Errorf("%+v", r.Results[0].Error)
			}
			break
		}
	}
	for path, want := range map[string]string{
		"/v1/symbols":                          `200 {"symbols":["other:B","sim:A","sim:AB","sim:ABC"]}`,
		"/v1/snapshot?symbols=other:A":         `403 {"error":"other:A: the token does not cover it","reason":"not_allowed"}`,
		"/v1/snapshot?symbols=other:B,sim:*":   `403 {"error":"sim:*: the token does not cover it","reason":"not_allowed"}`,
		"/v1/snapshot?symbols=sim:ABC*":        `200 {"symbols":{"sim:ABC":`,
		"/v1/snapshot?symbols=other:B&symbols": `400 `,
	} {
		if got := get(t, n.addr, path, "Bearer "+text); !strings.HasPrefix(strings.TrimSpace(got), want) {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
	if got := get(t, n.addr, "/v1/snapshot", "Bearer "+text); strings.Contains(got, "other:A") || strings.Contains(got, "sim2") || !strings.Contains(got, "sim:AB") {
		t.Error(got)
	}
	if got := get(t, n.addr, "/v1/snapshot", ""); !strings.Contains(got, `"reason":"missing"`) {
		t.Error(got)
	}
	if got := get(t, n.addr, "/healthz", ""); !strings.HasPrefix(got, "200") {
		t.Error(got)
	}
}

// A head may come in any number of pieces at once: a conn whose token is being verified is
// not read until it is known.
func TestVerifyingInPieces(t *testing.T) {
	dir := t.TempDir()
	i := newIssuer(t, "EdDSA", filepath.Join(dir, "public.pem"))
	n, config := startSecure(t, func(cfg *Config) { cfg.Token.Key = []string{filepath.Join(dir, "public.pem")} })
	for pieces := 1; pieces <= 2*readRounds; pieces++ {
		text := i.sign(func(c *token.Claims) { c.ID = fmt.Sprint(pieces) })
		head := strings.Replace(upgradeHead, "\r\n\r\n", "\r\nAuthorization: Bearer "+text+"\r\n\r\n", 1)
		held := &gather{}
		conn, err := net.Dial("tcp", n.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		held.Conn = conn
		config := config.Clone()
		config.ServerName = "127.0.0.1"
		secure := tls.Client(held, config)
		if err := secure.Handshake(); err != nil {
			t.Fatal(err)
		}
		held.keep = true
		for k := range pieces { // a record each
			from, to := k*len(head)/pieces, (k+1)*len(head)/pieces
			io.WriteString(secure, head[from:to])
		}
		conn.Write(held.kept)
		secure.SetReadDeadline(time.Now().Add(3 * time.Second))
		answer := make([]byte, 12)
		if _, err := io.ReadFull(secure, answer); err != nil || string(answer) != "HTTP/1.1 101" {
			t.Errorf("%d records: %q, %v", pieces, answer, err)
		}
	}
}

// gather keeps what is written, to be sent at once.
type gather struct {
	net.Conn
	keep bool
	kept []byte
}

func (g *gather) Write(p []byte) (int, error) {
	if !g.keep {
		return g.Conn.Write(p)
	}
	g.kept = append(g.kept, p...)
	return len(p), nil
}
