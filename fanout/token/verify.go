package token

import (
	"context"
	"crypto/sha256"
	"errors"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/hashicorp/golang-lru/v2"
)

// cacheMax bounds the tokens that are remembered, so that a reconnect storm does not check
// their signatures again: nearly twice the connections a node takes. One with a single
// pattern takes 0.5 KB, 16 MB for all; one with 256 names, the most, 12 KB, 390 MB should
// the issuer give such to everybody.
const cacheMax = 32 << 10

// Verifier verifies tokens. It may be used from anywhere.
type Verifier struct {
	cfg    Config
	ring   atomic.Pointer[ring]
	issuer *issuer // nil without a JWKS
	cache  *lru.Cache[digest, entry]
	now    func() time.Time
	rest   func(wait func())
}

// digest is the SHA-256 of a token: whoever reads our memory finds none.
type digest [sha256.Size]byte

// entry is a token that was verified; refusals are not remembered.
type entry struct {
	claims *Claims
	key    *key
}

// NewVerifier reads the keys that a Config names, and asks the issuer for its own; if that
// does not answer it goes on, for what it will say later. It follows the issuer until ctx ends;
// that it ends before the first answer is an error.
func NewVerifier(ctx context.Context, cfg Config, log *slog.Logger) (*Verifier, error) {
	return newVerifier(ctx, cfg, log, usual)
}

// VerifyOnce is Verify for one token that is there before the issuer is asked: a kid that its
// answer lacks is not known, and no later answer is waited for.
func VerifyOnce(ctx context.Context, cfg Config, raw []byte, log *slog.Logger) (*Claims, error) {
	p := usual
	p.once = true
	v, err := newVerifier(ctx, cfg, log, p)
	if err != nil {
		return nil, err
	}
	return v.Verify(raw)
}

func newVerifier(ctx context.Context, cfg Config, log *slog.Logger, p pace) (*Verifier, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if !cfg.Enabled() {
		return nil, errors.New("token: there is no key to verify with")
	}
	keys, err := readKeys(&cfg, log)
	if err != nil {
		return nil, err
	}
	v := &Verifier{cfg: cfg, now: time.Now, rest: func(wait func()) { wait() }}
	v.cache, _ = lru.New[digest, entry](cacheMax) // fails for a size below 1
	v.ring.Store(&ring{keys: keys, answered: cfg.JWKS == ""})
	if cfg.JWKS != "" {
		v.issuer = newIssuer(ctx, v, keys, log, p)
		v.issuer.begin(ctx)
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if !p.once {
			go v.issuer.run(ctx)
		}
	}
	return v, nil
}

// Ready reports whether there is a key to verify with.
func (v *Verifier) Ready() bool { return len(v.ring.Load().keys) > 0 }

// Known is what a token says that Verify took before and would take now. It is nil if Verify
// must say. It does not block and allocates nothing.
func (v *Verifier) Known(raw []byte) *Claims {
	if len(raw) > TokenMax {
		return nil
	}
	sum := digest(sha256.Sum256(raw))
	e, ok := v.cache.Get(sum)
	if !ok {
		return nil
	}
	if e.key.gone.Load() || e.claims.Left(v.now()) <= 0 {
		v.cache.Remove(sum)
		return nil
	}
	return e.claims
}

// Verify is what a token says, or an *Error that says why it is refused. The claims are
// shared: they are not to be changed. When a token names a key that is not known, and the
// issuer was not asked lately, Verify waits for its answer, 10 s at the most.
func (v *Verifier) Verify(raw []byte) (*Claims, error) {
	if c := v.Known(raw); c != nil {
		return c, nil
	}
	p, err := split(raw)
	if err != nil {
		return nil, err
	}
	k, err := v.find(p)
	if err != nil {
		return nil, err
	}
	body, err := base64url.AppendDecode(nil, p.body)
	if err != nil {
		return nil, errMalformed
	}
	c, err := parseClaims(body)
	if err != nil {
		return nil, err
	}
	c.leeway = v.cfg.Leeway
	if err := v.holds(c); err != nil {
		return nil, err
	}
	v.cache.Add(sha256.Sum256(raw), entry{c, k})
	return c, nil
}

// find is the key that a token is signed with. That a kid is unknown is final only when the
// issuer was asked for it.
func (v *Verifier) find(p *parts) (*key, error) {
	r := v.ring.Load()
	k, err := r.check(p)
	if err == nil || v.issuer == nil || r.settles(p) {
		return k, err
	}
	var again error
	v.rest(func() { again = v.issuer.renew() })
	r = v.ring.Load()
	if k, err = r.check(p); err == nil || again == nil || r.settles(p) {
		return k, err
	}
	return nil, again
}

// WaitMax is how many calls of Verify may wait for the issuer at a time; others are refused.
const WaitMax = 1 + asksMax

// OnWait has Verify wait for the issuer within rest, so that whoever bounds how many compute
// need not count those that wait. It is called before anything is verified.
func (v *Verifier) OnWait(rest func(wait func())) { v.rest = rest }

// holds refuses claims that do not hold here and now.
func (v *Verifier) holds(c *Claims) error {
	now, latest := v.now(), v.now().Add(v.cfg.Leeway)
	switch {
	case c.Left(now) <= 0:
		return errExpired
	case c.NotBefore != nil && c.NotBefore.After(latest), c.IssuedAt != nil && c.IssuedAt.After(latest):
		return errEarly
	case v.cfg.Audience != "" && !slices.Contains(c.Audience, v.cfg.Audience):
		return errAudience
	case v.cfg.Issuer != "" && c.Issuer != v.cfg.Issuer:
		return errIssuer
	}
	return nil
}
