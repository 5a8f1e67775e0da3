package fanout

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/tickwire/tickwire/codec"
	"github.com/tickwire/tickwire/fanout/token"
)

// What a stranger may try with nothing but the port. Each attack is answered as the protocol
// has it, and a subscriber beside it has every price. Those that last are at once.

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
func TestMadeUpKids(t *testing.T) {
	t.Parallel()
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

// closeFrames is how many of a code the node has sent.
func (n *testNode) closeFrames(code string) float64 {
	return testutil.ToFloat64(n.events.closeFrames.WithLabelValues(code))
}
