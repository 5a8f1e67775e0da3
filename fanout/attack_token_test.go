package fanout

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tickwire/tickwire/codec"
	"github.com/tickwire/tickwire/fanout/token"
)

// subscribedToken is a client with a token that is sent sim:A.
func subscribedToken(t *testing.T, n *testNode, text string) *peer {
	t.Helper()
	p := dialToken(t, n.addr, text)
	p.send(`{"op":"subscribe","symbols":["sim:A"]}`)
	p.next(codec.TypeReply)
	p.next(codec.TypeData)
	return p
}

// madeUp is a token of a key that nobody has.
func madeUp(kid string) string {
	body, _ := json.Marshal(claims())
	return rawToken(fmt.Sprintf(`{"alg":"EdDSA","kid":%q}`, kid), string(body), func(string) []byte { return make([]byte, 64) })
}

// Kids are made up in no time, and each may be a new one of the issuer's. While that hangs,
// whose key is known is let in, and a connection has one token verified at a time: else it
// could fill the queue by itself.
func madeUpKids(t *testing.T) {
	i := newIssuer(t, "EdDSA", filepath.Join(t.TempDir(), "public.pem"))
	var fetches atomic.Int32
	release := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if fetches.Add(1) > 1 {
			select {
			case <-release:
			case <-r.Context().Done():
			}
		}
		fmt.Fprintf(w, `{"keys":[%s]}`, i.jwk)
	}))
	defer srv.Close()
	n := startNode(t, func(cfg *Config) { cfg.Token.JWKS, cfg.MaxConns = srv.URL, 1000 })
	n.publish("sim:A", bid(1))
	good := subscribedToken(t, n, i.sign())
	insider := dialToken(t, n.addr, i.sign())
	renew := func(id int, text string) { insider.send(fmt.Sprintf(`{"op":"auth","id":%d,"token":%q}`, id, text)) }
	asks := 0
	eventually(t, 30*time.Second, "the issuer is asked", func() bool {
		if fetches.Load() < 2 {
			asks++
			renew(asks, madeUp(fmt.Sprint(asks)))
			time.Sleep(100 * time.Millisecond)
		}
		return fetches.Load() > 1
	})
	renew(1000, i.sign(expires(2*time.Hour)))
	answer := func(id int64) (code codec.Code) {
		for {
			if e, ok := insider.control().(*codec.Error); ok && *e.ID == id {
				return e.Code
			}
		}
	}
	if code := answer(1000); code != codec.CodeUnavailable {
		t.Errorf("a token behind another is answered %d", code)
	}
	var strangers sync.WaitGroup
	for k := range 300 {
		strangers.Go(func() {
			_, answer, _ := tryToken(n.addr, http.Header{"Authorization": {"Bearer " + madeUp(fmt.Sprint("y", k))}})
			if answer == "101" {
				t.Error("a made-up kid is taken")
			}
		})
	}
	for k := range 20 {
		dialToken(t, n.addr, i.sign(func(c *token.Claims) { c.Subject = fmt.Sprint("honest ", k) }))
	}
	undisturbed(t, n, good, 2)
	close(release)
	strangers.Wait()
	if code := answer(int64(asks)); code != codec.CodeTokenRefused {
		t.Errorf("the made-up kid is answered %d", code)
	}
}

// bigToken is one as long as may be, whose signature is nobody's.
func bigToken(k int) string {
	body := ""
	for pad := 0; ; pad++ {
		text := rawToken(`{"alg":"EdDSA"}`, fmt.Sprintf(`{"exp":9999999999,"jti":"%d","x":%q,"tickwire":{"symbols":["*"]}}`, k, strings.Repeat("x", 2850+pad)),
			func(string) []byte { return bytes.Repeat([]byte{byte(k)}, 64) })
		if len(text) > token.TokenMax {
			return body
		}
		body = text
	}
}

// Thousands of the longest tokens, all to be verified and none good, keep nobody out whose
// own is.
func TestBadSignatures(t *testing.T) {
	n, i := startAuth(t, func(cfg *Config) { cfg.MaxConns = 2000 })
	n.publish("sim:A", bid(1))
	good := subscribedToken(t, n, i.sign())
	var done atomic.Bool
	var flood sync.WaitGroup
	var refused atomic.Int64
	for k := range 16 {
		bad := bigToken(k)
		flood.Go(func() {
			for !done.Load() {
				_, answer, _ := tryToken(n.addr, http.Header{"Authorization": {"Bearer " + bad}})
				if strings.HasPrefix(answer, "401") && strings.Contains(answer, `"signature"`) {
					refused.Add(1)
				} else {
					t.Errorf("%d bytes are answered %s", len(bad), answer)
				}
			}
		})
	}
	var longest time.Duration
	honest := 0
	for ; honest < 50 || refused.Load() < 2000; honest++ {
		began := time.Now()
		p := dialToken(t, n.addr, i.sign(func(c *token.Claims) { c.Subject = fmt.Sprint("honest ", honest) }))
		longest = max(longest, time.Since(began))
		p.conn.Close()
		undisturbed(t, n, good, int64(2+honest))
	}
	done.Store(true)
	flood.Wait()
	t.Logf("%d refused; of %d good ones beside them the slowest was in after %v", refused.Load(), honest, longest)
}

// One that renews its token a thousand times and reads no answer has its answers bounded, as
// any that does not read.
func TestUnreadRenewals(t *testing.T) {
	n, i := startAuth(t, nil)
	n.publish("sim:A", bid(1))
	good := subscribedToken(t, n, i.sign())
	deaf := subscribedToken(t, n, i.sign())
	deaf.conn.(*net.TCPConn).SetReadBuffer(1 << 10)
	before := heapInUse()
	for k := range 1000 {
		text := i.sign(func(c *token.Claims) { c.ID = fmt.Sprint(k) })
		deaf.conn.SetWriteDeadline(time.Now().Add(5 * time.Second))
		if _, err := deaf.conn.Write(textFrame(fmt.Sprintf(`{"op":"auth","id":%d,"token":%q}`, k, text))); err != nil {
			break // it is blocked, or gone
		}
		if k%100 == 0 {
			undisturbed(t, n, good, int64(2+k))
		}
	}
	if grown := heapInUse() - before; grown > 16<<20 {
		t.Errorf("the heap grew by %d MB", grown>>20)
	}
	deaf.conn.Close()
	undisturbed(t, n, good, 2000)
	eventually(t, 5*time.Second, "one is left", func() bool { return n.opened() == 1 })
}

// A token is held against all that a connection has: who renews it without end pays for that.
func TestRenewalPrice(t *testing.T) {
	crowd := newCrowd(t, 1, 3*costRenewed, false, 0)
	l := crowd.loop
	l.auth = new(auth)
	l.conns[1].budget, l.passes[1].claims = 100, claims()
	l.renewed(1, 7, claims(), nil)
	if paid := 100 - l.conns[1].budget; paid != 3 {
		t.Errorf("%d spent for nothing new", paid)
	}
	l.renewed(1, 7, claims(grants(token.Grant{Symbols: []string{"other:*"}})), nil)
	if paid := 100 - l.conns[1].budget; paid != 3+3+3*costRenewed/costResults {
		t.Errorf("%d spent with the end of everything", paid)
	}
}
