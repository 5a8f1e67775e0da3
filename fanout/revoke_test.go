package fanout

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/tickwire/tickwire/codec"
	"github.com/tickwire/tickwire/fanout/token"
)

// A token that is revoked ends its connections, opens none again, and renews none; one
// issued later is good.
func TestRevocation(t *testing.T) {
	n, i := startAuth(t, nil)
	named := func(c *token.Claims) { c.ID = "j1" }
	byJTI, bySub := i.sign(named), i.sign(func(c *token.Claims) { c.Subject = "bob" })
	a, b := dialToken(t, n.addr, byJTI), dialToken(t, n.addr, bySub)
	other := dialToken(t, n.addr, i.sign())
	revoke := func(jti, subject string) {
		t.Helper()
		if err := Revoke(context.Background(), n.cfg.Redis, jti, subject); err != nil {
			t.Fatal(err)
		}
	}
	revoke("j1", "")
	revoke("", "bob")
	for _, p := range []*peer{a, b} {
		if code := p.closedWith(); code != codec.CloseRevoked {
			t.Errorf("closed with %d", code)
		}
	}
	for _, text := range []string{byJTI, bySub} {
		_, answer, _ := tryToken(n.addr, http.Header{"Authorization": {"Bearer " + text}})
		if !strings.HasPrefix(answer, "401 ") || !strings.Contains(answer, `"reason":"revoked"`) {
			t.Error(answer)
		}
		if answer := get(t, n.addr, "/v1/symbols", "Bearer "+text); !strings.Contains(answer, `"reason":"revoked"`) {
			t.Error(answer)
		}
	}
	if e, ok := other.renew(byJTI).(*codec.Error); !ok || e.Code != codec.CodeTokenRefused {
		t.Errorf("%+v", e)
	}
	later := i.sign(func(c *token.Claims) { c.Subject, c.IssuedAt = "bob", jwt.NewNumericDate(time.Now().Add(time.Second)) })
	dialToken(t, n.addr, later)
	if err := Revoke(context.Background(), n.cfg.Redis, "j", "s"); err == nil {
		t.Error("both a jti and a sub")
	}
}

// Until a node has read what was revoked, it lets nobody in, and says that it is not ready.
func TestRevocationsUnread(t *testing.T) {
	n, i := startAuth(t, func(cfg *Config) { cfg.Redis = "redis://127.0.0.1:1" })
	_, answer, _ := tryToken(n.addr, http.Header{"Authorization": {"Bearer " + i.sign()}})
	if !strings.HasPrefix(answer, "503 ") || !strings.Contains(answer, `"reason":"unavailable"`) {
		t.Error(answer)
	}
	if why := n.Unready(); !strings.Contains(why, "revoked") {
		t.Error(why)
	}
}
