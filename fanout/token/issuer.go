package token

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// pace is how often an issuer is asked for its keys.
type pace struct {
	every   time.Duration // in quiet times, less up to a tenth: nodes are not to come together
	retry   time.Duration // after a fetch that failed
	gap     time.Duration // from a fetch to the next that a token has asked for, at the least
	timeout time.Duration // of a fetch, with all of its answer
	once    bool          // asked at the start alone, for one token, whose refusal says what went wrong
}

var usual = pace{every: 5 * time.Minute, retry: 10 * time.Second, gap: 10 * time.Second, timeout: 10 * time.Second}

// slowly is when a first fetch that has not ended is told.
const slowly = time.Second

// asksMax bounds who waits for a fetch. A flood of made-up kids takes these places, and no
// more of anyone's time; beyond them a token is refused at once, to be tried again.
const asksMax = 16

// issuer keeps the Verifier's ring as the issuer has it. Its old keys stand while it does
// not answer. The fields below asks are of the goroutine of run.
type issuer struct {
	v      *Verifier
	url    string
	client *http.Client
	log    *slog.Logger
	pace   pace
	fixed  []*key // those of files, which no answer takes away
	ended  <-chan struct{}
	asks   chan chan error

	last   time.Time // when the newest fetch ended
	failed error     // why it did not bring keys
	odd    string    // what is not used of the set, as it was told
}

func newIssuer(ctx context.Context, v *Verifier, fixed []*key, log *slog.Logger, p pace) *issuer {
	u, _ := url.Parse(v.cfg.JWKS) // Validate has
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DisableKeepAlives, transport.MaxResponseHeaderBytes = true, 64<<10
	return &issuer{
		v: v, url: v.cfg.JWKS, log: log.With("host", u.Host), pace: p, fixed: fixed, ended: ctx.Done(),
		asks: make(chan chan error, asksMax),
		// Whoever can have the issuer redirect us shall not choose our keys.
		client: &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
	}
}

// run fetches the set again and again, and when asked.
func (i *issuer) run(ctx context.Context) {
	timer := time.NewTimer(i.pause())
	defer timer.Stop()
	for {
		var asked chan error
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case asked = <-i.asks:
			if time.Since(i.last) < i.pace.gap {
				asked <- i.refusal(errLately)
				continue
			}
		}
		err := i.fetch(ctx)
		for range len(i.asks) { // who asked meanwhile may have a key that is newer than the answer
			(<-i.asks) <- i.refusal(errLately)
		}
		if asked != nil {
			asked <- err
		}
		timer.Reset(i.pause())
	}
}

func (i *issuer) pause() time.Duration {
	if i.failed != nil {
		return i.pace.retry
	}
	return i.pace.every - rand.N(i.pace.every/10+1)
}

// begin fetches the set for the first time; who starts a node is told what it waits for.
func (i *issuer) begin(ctx context.Context) {
	waits := time.AfterFunc(slowly, func() {
		i.log.Warn("token: waiting for the issuer's keys", "at_most", i.pace.timeout)
	})
	defer waits.Stop()
	i.fetch(ctx) // a failure is logged
}

// renew waits for a fetch. It is nil when one that began meanwhile brought the keys: then a kid
// that is not known is none of the issuer's. Else it is what to tell who comes with one, and
// may try again.
func (i *issuer) renew() error {
	if i.pace.once {
		return i.refusal(nil)
	}
	reply := make(chan error, 1)
	select {
	case i.asks <- reply:
	default:
		return errLately
	}
	select {
	case err := <-reply:
		return err
	case <-i.ended:
		return errAway
	}
}

// refusal is what renew says; answered is that, if the issuer did the last time.
func (i *issuer) refusal(answered error) error {
	switch {
	case !i.v.ring.Load().answered:
		return errNoKeys.because(i.failed)
	case i.failed != nil:
		return errAway.because(i.failed)
	}
	return answered
}

// fetch asks for the set once.
func (i *issuer) fetch(ctx context.Context) error {
	text, err := i.get(ctx)
	i.last = time.Now()
	var keys []*key
	var odd []error
	if err == nil {
		keys, odd, err = parseSet(text)
	}
	if err != nil {
		if i.failed == nil && ctx.Err() == nil && !i.pace.once {
			stand := "those known stand"
			if !i.v.ring.Load().answered {
				stand = "there are none of it yet"
			}
			i.log.Warn("token: the issuer's keys cannot be fetched; "+stand, "keys", len(i.v.ring.Load().keys), "err", err)
		}
		i.failed = err
		return i.refusal(nil)
	}
	if i.failed != nil {
		i.log.Info("token: the issuer's keys are fetched again")
	}
	i.failed = nil
	i.replace(keys, odd)
	return nil
}

func (i *issuer) get(ctx context.Context) ([]byte, error) {
	ctx, stop := context.WithTimeout(ctx, i.pace.timeout)
	defer stop()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, i.url, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json, application/jwk-set+json")
	resp, err := i.client.Do(req)
	if u := (*url.Error)(nil); errors.As(err, &u) {
		err = u.Err // without the URL, which may have a password in it
	}
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("HTTP %d, and redirects are not followed", resp.StatusCode)
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, fileMax+1))
	if err == nil && len(text) > fileMax {
		err = fmt.Errorf("the answer is longer than %d bytes", fileMax)
	}
	return text, err
}

// replace puts the issuer's keys in place of those it had. A key that stays is the same one,
// so that what it verified stays known; what one verified that is gone does not.
func (i *issuer) replace(keys []*key, odd []error) {
	old, next := i.v.ring.Load(), &ring{keys: slices.Clone(i.fixed), answered: true}
	had := old.keys[len(i.fixed):]
	var added, removed []string
	for n, k := range keys {
		if len(next.keys) == keysMax {
			odd = append(odd, fmt.Errorf("there are %d more than the %d that a node takes", len(keys)-n, keysMax))
			break
		}
		if at := slices.IndexFunc(had, func(h *key) bool { return h.kid == k.kid && h.print == k.print }); at >= 0 {
			k = had[at]
		} else {
			added = append(added, k.kid)
		}
		next.keys = append(next.keys, k)
	}
	i.v.ring.Store(next)
	for _, k := range had {
		if !slices.Contains(next.keys, k) {
			k.gone.Store(true)
			removed = append(removed, k.kid)
		}
	}
	if added != nil || removed != nil || !old.answered {
		i.log.Info("token: the issuer's keys", "added", added, "removed", removed)
	}
	if len(keys) == 0 {
		odd = append(odd, errors.New("there is none of use; no token of the issuer's is taken"))
	}
	if told := brief(odd); told != i.odd {
		if i.odd = told; told != "" {
			i.log.Warn("token: not all of the issuer's keys are used", "why", told)
		}
	}
}

// brief is the first of many reasons.
func brief(odd []error) string {
	const most = 4
	if len(odd) > most {
		odd = append(odd[:most:most], fmt.Errorf("and %d others", len(odd)-most))
	}
	var text []string
	for _, why := range odd {
		text = append(text, why.Error())
	}
	return strings.Join(text, "; ")
}
