package fanout

import (
	"bytes"
	"context"
	"net/http"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/tickwire/tickwire/fanout/epoll"
	"github.com/tickwire/tickwire/fanout/token"
)

// auth is whose tokens a node takes. A token that was seen before is known at once; another
// is verified beside the loops, for a signature takes 30 to 70 us, and the issuer may have
// to be asked for a key.
type auth struct {
	verifier *token.Verifier
	work     *epoll.Work // shared.work; who waits for the issuer has no place in it
	cookie   string      // that may have a token; "": none
	queue    chan verify
	subjects subjects
	revoked  revoked
}

// verify is a token to be verified, for a conn of a loop, which is told.
type verify struct {
	loop *loop
	conn epoll.Key
	raw  []byte
	tell func(l *loop, ci uint32, c *token.Claims, err error)
}

// newAuth reads the keys; nil when a node takes no tokens. The issuer is followed until ctx
// ends.
func newAuth(ctx context.Context, s *shared) (*auth, error) {
	if !s.cfg.Token.Enabled() {
		return nil, nil
	}
	v, err := token.NewVerifier(ctx, s.cfg.Token, s.log)
	if err != nil {
		return nil, err
	}
	v.OnWait(func(wait func()) {
		s.work.Done()
		wait()
		s.work.GoOn()
	})
	return &auth{verifier: v, work: s.work, cookie: s.cfg.TokenCookie, queue: make(chan verify, verifiesMax)}, nil
}

// run verifies until ctx ends. While as many as may wait for the issuer, others go on.
func (a *auth) run(ctx context.Context) error {
	var g errgroup.Group
	for range token.WaitMax + a.work.Places() {
		g.Go(func() error {
			for {
				select {
				case <-ctx.Done():
					return nil
				case v := <-a.queue:
					claims, err := a.verify(v.raw)
					v.loop.mailbox.send(func(l *loop) {
						if c := &l.conns[v.conn.Index]; c.gen == v.conn.Gen && c.state != stateGone {
							c.verifying = false
							v.tell(l, v.conn.Index, claims, err)
						}
					})
				}
			}
		})
	}
	return g.Wait()
}

// unready says why nobody can be let in yet; "" when somebody can.
func (a *auth) unready() string {
	switch {
	case !a.revoked.known.Load():
		return "it is not read yet which tokens were revoked"
	case !a.verifier.Ready():
		return "the issuer of tokens has not told its keys yet"
	}
	return ""
}

// verify is what a token says, or why it is refused: a *token.Error.
func (a *auth) verify(raw []byte) (*token.Claims, error) {
	a.work.GoOn() // whoever shows a token has shaken hands
	c, err := a.verifier.Verify(raw)
	a.work.Done()
	if err == nil {
		err = a.revoked.check(c)
	}
	if err != nil {
		return nil, err
	}
	return c, nil
}

// known is verify for what is known already; false when the token must be verified.
func (a *auth) known(raw []byte) (c *token.Claims, err error, ok bool) {
	if c = a.verifier.Known(raw); c == nil {
		return nil, nil, false
	}
	return c, a.revoked.check(c), true
}

// ask has a conn's token verified; false when too many wait for it already, or one of the
// same conn does: who has a connection could fill the queue by himself.
func (l *loop) ask(ci uint32, raw []byte, tell func(*loop, uint32, *token.Claims, error)) bool {
	c := &l.conns[ci]
	if c.verifying {
		return false
	}
	select {
	case l.auth.queue <- verify{l, epoll.Key{Index: ci, Gen: c.gen}, bytes.Clone(raw), tell}:
		c.verifying = true
		return true
	default:
		return false
	}
}

var (
	errUnread   = token.Refuse(token.Unavailable, "this node has not read yet which tokens were revoked; try again")
	errRevoked  = token.Refuse(token.Revoked, "the token was revoked; get a new one")
	errNoToken  = token.Refuse(token.Missing, "a token is needed, as Authorization: Bearer, or as the subprotocol bearer.TOKEN")
	errTokens   = token.Refuse(token.Malformed, "there are several tokens")
	errTooSlow  = token.Refuse(token.Unavailable, "it took too long to verify the token; try again")
	errNotAsked = token.Refuse(token.Unavailable, "too many tokens wait to be verified; try again")
)

// bearer introduces a token among the subprotocols.
const bearer = "bearer."

// tokenOf is the token that came with a request: one, wherever it may be.
func (a *auth) tokenOf(h http.Header) (raw string, err error) {
	var found []string
	for _, value := range h["Authorization"] {
		scheme, credentials, _ := strings.Cut(value, " ")
		if strings.EqualFold(scheme, "Bearer") { // another is a proxy's
			found = append(found, strings.TrimSpace(credentials))
		}
	}
	for _, list := range h["Sec-Websocket-Protocol"] {
		for name := range strings.SplitSeq(list, ",") {
			if text, ok := strings.CutPrefix(strings.TrimSpace(name), bearer); ok {
				found = append(found, text)
			}
		}
	}
	if a.cookie != "" && len(found) == 0 {
		for _, c := range (&http.Request{Header: h}).CookiesNamed(a.cookie) {
			found = append(found, c.Value)
		}
	}
	switch len(found) {
	case 0:
		return "", errNoToken
	case 1:
		return found[0], nil
	}
	return "", errTokens
}
