package fanout

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/tickwire/tickwire/codec"
	"github.com/tickwire/tickwire/fanout/token"
)

func expires(in time.Duration) func(*token.Claims) {
	return func(c *token.Claims) { c.ExpiresAt = jwt.NewNumericDate(time.Now().Add(in)) }
}

func grants(g token.Grant) func(*token.Claims) {
	return func(c *token.Claims) { c.Grant = g }
}

// renewed tells a conn's new token, and returns the answer.
func (p *peer) renew(text string) codec.Control {
	p.t.Helper()
	p.send(fmt.Sprintf(`{"op":"auth","id":77,"token":%q}`, text))
	for {
		switch m := p.control().(type) {
		case *codec.Reply:
			if m.Op == codec.OpAuth {
				return m
			}
		case *codec.Error:
			return m
		}
	}
}

// control is the next message that is not data.
func (p *peer) control() codec.Control {
	p.t.Helper()
	for {
		p.read()
		if p.msg.Type != codec.TypeData {
			return p.msg.Control
		}
	}
}

// A token's time is told, may be put off by another of the same subject, and ends the
// connection.
func TestTokenLife(t *testing.T) {
	n, i := startAuth(t, nil)
	n.publish("sim:A", bid(1))
	p, _, err := tryToken(n.addr, http.Header{"Authorization": {"Bearer " + i.sign(expires(3*time.Second))}})
	if err != nil {
		t.Fatal(err)
	}
	p.t = t
	hello := p.next(codec.TypeHello).Control.(*codec.Hello)
	if hello.TokenTTL == nil || *hello.TokenTTL < 1 || *hello.TokenTTL > 3 {
		t.Errorf("token_ttl %v", hello.TokenTTL)
	}
	short := dialToken(t, n.addr, i.sign(expires(3*time.Second)))
	for text, want := range map[string]codec.Code{
		"x": 131, i.sign(expires(-time.Minute)): 131,
		i.sign(func(c *token.Claims) { c.Subject = "bob" }): 131,
	} {
		if e, ok := p.renew(text).(*codec.Error); !ok || e.Code != want || *e.ID != 77 {
			t.Errorf("%.20s...: %+v", text, e)
		}
	}
	r, ok := p.renew(i.sign(expires(time.Hour))).(*codec.Reply)
	if !ok || r.TokenTTL == nil || *r.TokenTTL < 3590 || len(r.Results) != 0 {
		t.Errorf("renewed: %+v", r)
	}
	began := time.Now()
	if code := short.closedWith(); code != codec.CloseExpired {
		t.Errorf("closed with %d", code)
	}
	if took := time.Since(began); took > 8*time.Second {
		t.Errorf("after %v", took) // 3 s, a leeway of 1, a sweep of 1
	}
	p.send(`{"op":"subscribe","symbols":["sim:A"]}`)
	p.next(codec.TypeReply)
}

// A new token counts for what is subscribed to: every sub that it ends, and every rate that
// it lowers, is told, and the node's own count agrees.
func TestTokenNarrows(t *testing.T) {
	n, i := startAuth(t, nil)
	for _, symbol := range []string{"sim:A", "sim:B", "sim:C", "xyz:A", "xyz:B"} {
		n.publish(symbol, bid(1))
	}
	p := dialToken(t, n.addr, i.sign(grants(token.Grant{Symbols: []string{"*"}})))
	subscribe := func(request string) {
		t.Helper()
		p.send(request)
		p.next(codec.TypeReply)
	}
	subscribe(`{"op":"subscribe","id":1,"symbols":["sim:A","sim:B"]}`)
	subscribe(`{"op":"subscribe","id":2,"symbols":["xyz:*","sim:*"],"rate":2}`)
	held := func() string {
		t.Helper()
		p.send(`{"op":"list","id":9}`)
		for {
			if r, ok := p.control().(*codec.Reply); ok && r.Op == codec.OpList {
				var all []string
				for _, x := range r.Results {
					all = append(all, fmt.Sprintf("%s@%v", x.Symbol, *x.Rate))
				}
				return strings.Join(all, " ")
			}
		}
	}
	results := func(c codec.Control) map[string]string {
		t.Helper()
		r, ok := c.(*codec.Reply)
		if !ok {
			t.Fatalf("%+v", c)
		}
		all := map[string]string{}
		for _, x := range r.Results {
			if x.Error != nil {
				all[x.Symbol] += fmt.Sprint(int(x.Error.Code))
			} else {
				all[x.Symbol] += fmt.Sprint(*x.Rate)
			}
		}
		return all
	}
	if got := results(p.renew(i.sign(grants(token.Grant{Symbols: []string{"*"}})))); len(got) != 0 {
		t.Errorf("the same again: %v", got)
	}
	// Names of sim:A and sim:B were given, and rates of patterns hold for all they take.
	got := results(p.renew(i.sign(grants(token.Grant{Symbols: []string{"sim:A", "sim:C", "xyz:*"}, Rate: 1}))))
	want := map[string]string{"sim:*": "130", "sim:B": "130", "sim:C": "130", "sim:A": "1", "xyz:A": "1", "xyz:B": "1"}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%v, want %v", got, want)
	}
	if got := held(); !strings.HasPrefix(got, "xyz:*@1 ") || len(strings.Fields(got)) != 4 {
		t.Errorf("%s", got)
	}
	got = results(p.renew(i.sign(grants(token.Grant{Symbols: []string{"*"}, Subs: 1}))))
	if len(got) != 2 {
		t.Errorf("one may be held: %v", got)
	}
	got = results(p.renew(i.sign(grants(token.Grant{Symbols: []string{"none:*"}}))))
	if got["xyz:*"] != "130" || len(got) != 2 || held() != "" {
		t.Errorf("none may be held: %v, %s", got, held())
	}
	n.publish("xyz:A", bid(2))
	n.publish("xyz:NEW", bid(2))
	p.send(`{"op":"ping","id":5}`)
	for {
		p.read()
		if r, ok := p.msg.Control.(*codec.Reply); ok && p.msg.Type == codec.TypeReply {
			if r.Op == codec.OpPing {
				break
			}
			t.Errorf("%+v", r)
		}
	}
}

// What a new token does not cover makes room for what it does, whatever lanes they are in,
// and the last lane that a conn may have is slowed down like others.
func TestTokenNarrowsLanes(t *testing.T) {
	n, i := startAuth(t, nil)
	for _, symbol := range []string{"sim:A1", "sim:A2", "sim:A3", "sim:B1", "sim:B2", "sim:B3"} {
		n.publish(symbol, bid(1))
	}
	for _, first := range []string{"A", "B"} {
		p := dialToken(t, n.addr, i.sign())
		for rate, of := range []string{first, string('A' + 'B' - first[0])} {
			p.send(fmt.Sprintf(`{"op":"subscribe","symbols":["sim:%s1","sim:%[1]s2","sim:%[1]s3"],"rate":%d}`, of, 1+rate))
			p.next(codec.TypeReply)
		}
		r, ok := p.renew(i.sign(grants(token.Grant{Symbols: []string{"sim:A*"}, Subs: 3}))).(*codec.Reply)
		if !ok || len(r.Results) != 3 {
			t.Fatalf("%s first: %+v", first, r)
		}
		for _, x := range r.Results {
			if !strings.HasPrefix(x.Symbol, "sim:B") || x.Error == nil || x.Error.Code != codec.CodeNotAllowed {
				t.Errorf("%s first: %+v", first, x)
			}
		}
	}
	crowd := newCrowd(t, 1, lanesMax, false, 0)
	l := crowd.loop
	l.auth = new(auth)
	l.dropLanes(1)
	for id := range uint32(lanesMax) { // a view each, one of them slow already
		period := uint8(0)
		if id == 0 {
			period = 3
		}
		l.join(l.laneFor(1, period, codec.Mask(1+id)), id, true)
	}
	l.passes[1].claims = claims()
	l.renewed(1, 7, claims(grants(token.Grant{Symbols: []string{"*"}, Rate: 1})), nil)
	lanes := 0
	for li := l.conns[1].lanes; li != 0; li = l.lanes[li].next {
		if lanes++; l.lanes[li].n != 1 || *rateOf(l.lanes[li].period) != 1 {
			t.Errorf("a lane of %d subs, at %v", l.lanes[li].n, *rateOf(l.lanes[li].period))
		}
	}
	if lanes != lanesMax || l.conns[1].subs != lanesMax {
		t.Errorf("%d lanes, %d subs", lanes, l.conns[1].subs)
	}
}

// A subject has as many connections as its token says; one more is refused, or, if it says
// so, ends the oldest. Others are not counted with it.
func TestSubjectConns(t *testing.T) {
	n, i := startAuth(t, func(cfg *Config) { cfg.Loops = 2 })
	two := func(c *token.Claims) { c.Grant.Conns = 2 }
	newest := func(c *token.Claims) { c.Grant.Conns, c.Grant.Newest, c.Subject = 2, true, "bob" }
	first, second := dialToken(t, n.addr, i.sign(two)), dialToken(t, n.addr, i.sign(two))
	try := func() string {
		p, answer, err := tryToken(n.addr, http.Header{"Authorization": {"Bearer " + i.sign(two)}})
		if err == nil {
			p.conn.Close()
		}
		return answer
	}
	if answer := try(); !strings.HasPrefix(answer, "429 ") || !strings.Contains(answer, `"reason":"conns"`) {
		t.Error(answer)
	}
	b1, b2, b3 := dialToken(t, n.addr, i.sign(newest)), dialToken(t, n.addr, i.sign(newest)), dialToken(t, n.addr, i.sign(newest))
	if code := b1.closedWith(); code != codec.CloseReplaced {
		t.Errorf("the oldest is closed with %d", code)
	}
	for _, p := range []*peer{first, second, b2, b3} {
		p.send(`{"op":"ping","id":1}`)
		p.next(codec.TypeReply)
	}
	// Nor does another token of the same subject make room, or a new one on the connection.
	carol := func(change ...func(*token.Claims)) string {
		return i.sign(append(change, func(c *token.Claims) { c.Subject = "carol" })...)
	}
	one := func(c *token.Claims) { c.Grant.Conns = 1 }
	c1, c2 := dialToken(t, n.addr, carol()), dialToken(t, n.addr, carol())
	if _, answer, _ := tryToken(n.addr, http.Header{"Authorization": {"Bearer " + carol(one)}}); !strings.HasPrefix(answer, "429 ") {
		t.Error(answer)
	}
	if e, ok := c1.renew(carol(one)).(*codec.Error); !ok || e.Code != codec.CodeTokenRefused {
		t.Errorf("one of two: %+v", e)
	}
	if _, ok := c1.renew(carol(one, func(c *token.Claims) { c.Grant.Newest = true })).(*codec.Reply); !ok {
		t.Error("the newest is refused")
	}
	if code := c2.closedWith(); code != codec.CloseReplaced {
		t.Errorf("the other is closed with %d", code)
	}
	c1.conn.Close()
	first.conn.Close()
	eventually(t, 5*time.Second, "a place is free", func() bool { return try() == "101" })
	second.conn.Close()
	b2.conn.Close()
	b3.conn.Close()
	eventually(t, 5*time.Second, "nobody is counted any more", func() bool {
		n.auth.subjects.mu.Lock()
		defer n.auth.subjects.mu.Unlock()
		return len(n.auth.subjects.of) == 0
	})
}

// The issuer changes its keys while subscribers are connected: nobody is lost, tokens of the
// new key are taken, and those of the old when it is gone are not.
func TestKeysRotate(t *testing.T) {
	dir := t.TempDir()
	old, new := newIssuer(t, "ES256", dir+"/a.pem"), newIssuer(t, "ES256", dir+"/b.pem")
	var set atomic.Pointer[string]
	publish := func(text string) { set.Store(&text) }
	keys := func(all ...*issuer) string {
		var list []string
		for _, i := range all {
			list = append(list, i.jwk)
		}
		return `{"keys":[` + strings.Join(list, ",") + `]}`
	}
	publish(keys(old))
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, *set.Load()) }))
	defer srv.Close()
	n := startNode(t, func(cfg *Config) { cfg.Token.JWKS = srv.URL })
	n.publish("sim:A", bid(1))
	p := dialToken(t, n.addr, old.sign())
	p.send(`{"op":"subscribe","symbols":["sim:A"]}`)
	p.next(codec.TypeReply)
	p.next(codec.TypeData)
	publish(keys(new))
	try := func(i *issuer) string {
		q, answer, err := tryToken(n.addr, http.Header{"Authorization": {"Bearer " + i.sign()}})
		if err == nil {
			q.conn.Close()
		}
		return answer
	}
	eventually(t, 30*time.Second, "the new key is known", func() bool { return try(new) == "101" })
	// What it may be is asked of the issuer only every ten seconds.
	if answer := try(old); !strings.Contains(answer, "unknown_key") && !strings.Contains(answer, "unavailable") {
		t.Errorf("the old key, gone: %s", answer)
	}
	undisturbed(t, n, p, 2)
}

// Beyond loopback a node wants a certificate and a key, or the word.
func TestInsecure(t *testing.T) {
	good := Config{Loops: 1, Heartbeat: time.Second, Limits: usual(t)}
	for _, c := range []struct {
		listen       string
		cert, tokens bool
		insecure     bool
		want         string
	}{
		{listen: "127.0.0.1:0"}, {listen: "localhost:0"}, {listen: "[::1]:0"}, {listen: "127.1.2.3:80"},
		{listen: "0.0.0.0:0", want: "--tls-cert and --tls-key and --token-key (or --token-jwks, --token-secret) missing"},
		{listen: ":0", want: "--insecure"}, {listen: "[::]:0", want: "--insecure"}, {listen: "10.0.0.1:80", want: "--insecure"}, {listen: "example.com:80", want: "--insecure"},
		{listen: ":0", cert: true, want: ": --token-key (or --token-jwks, --token-secret) missing"},
		{listen: ":0", tokens: true, want: ": --tls-cert and --tls-key missing"},
		{listen: ":0", cert: true, tokens: true}, {listen: ":0", insecure: true},
	} {
		cfg := good
		cfg.Listen, cfg.Insecure = c.listen, c.insecure
		if c.cert {
			cfg.TLSCert, cfg.TLSKey = "c", "k"
		}
		if c.tokens {
			cfg.Token.Secret = "s"
		}
		if err := cfg.Complete(); (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	var said bytes.Buffer
	loud := good
	loud.Listen, loud.Insecure, loud.Redis = "0.0.0.0:0", true, "redis://127.0.0.1:1"
	n, err := New(t.Context(), loud, prometheus.NewRegistry(), slog.New(slog.NewTextHandler(&said, nil)))
	if err != nil {
		t.Fatal(err)
	}
	n.Close()
	if !strings.Contains(said.String(), "INSECURE") || !strings.Contains(said.String(), "--token-key") {
		t.Error(said.String())
	}
	for _, origin := range []string{"example.com", "https://example.com/", "https://*", "https://a.*.com", "https://*x.com", "ftp://x", "https://App.example.com", "https://x:443", "HTTP://x:80", "https://x/y", "*"} {
		cfg := good
		cfg.Listen, cfg.Origin = "127.0.0.1:0", []string{origin}
		if err := cfg.Complete(); err == nil || !strings.Contains(err.Error(), "--origin "+origin) {
			t.Errorf("%s: %v", origin, err)
		}
	}
}
