package token

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"

	"github.com/golang-jwt/jwt/v5"
)

// fileMax bounds what is read of a key file, and of an issuer's answer.
const fileMax = 1 << 20

// ring is the keys that tokens are verified with. It never changes.
type ring struct {
	keys     []*key
	answered bool // the issuer has told its keys, or there is none to ask
}

func (r *ring) has(kid string) bool {
	return kid != "" && slices.ContainsFunc(r.keys, func(k *key) bool { return k.kid == kid })
}

// settles reports whether no key that the issuer may have meanwhile could change what check
// says. A secret it never has.
func (r *ring) settles(p *parts) bool {
	return !public(p.alg) || r.answered && (!p.named || r.has(p.kid))
}

// public reports whether tokens of an algorithm are verified with public keys.
func public(alg string) bool {
	switch alg {
	case jwt.SigningMethodEdDSA.Alg(), jwt.SigningMethodES256.Alg(), jwt.SigningMethodRS256.Alg():
		return true
	}
	return false
}

// check finds the key that a token is signed with.
func (r *ring) check(p *parts) (*key, error) {
	if !public(p.alg) && p.alg != jwt.SigningMethodHS256.Alg() {
		return nil, errAlgorithm
	}
	known, refusal := r.has(p.kid), errAlgorithm
	if p.named && !known {
		refusal = errUnknown
	}
	for _, k := range r.keys {
		switch {
		case known && k.kid != p.kid, p.named && !known && !k.nameless, k.method.Alg() != p.alg:
		case k.method.Verify(p.signed, p.signature, k.public) == nil:
			return k, nil
		default:
			refusal = errSignature
		}
	}
	return nil, refusal
}

// readKeys reads the keys that a Config names files of.
func readKeys(cfg *Config, log *slog.Logger) (keys []*key, err error) {
	for _, file := range cfg.Key {
		text, err := readFile(file)
		if err != nil {
			return nil, fmt.Errorf("token: %w", err)
		}
		more, err := parseKeys(text, func(odd []error) {
			log.Warn("token: not all keys of a file are used", "file", file, "why", brief(odd))
		})
		if err != nil {
			return nil, fmt.Errorf("token: %s: %w", file, err)
		}
		keys = append(keys, more...)
	}
	if cfg.Secret != "" {
		text, err := readFile(cfg.Secret)
		if err != nil {
			return nil, fmt.Errorf("token: %w", err)
		}
		k, err := parseSecret(text)
		if err != nil {
			return nil, fmt.Errorf("token: %s: %w", cfg.Secret, err)
		}
		keys = append(keys, k)
	}
	if len(keys) > keysMax {
		return nil, fmt.Errorf("token: %d keys; at most %d", len(keys), keysMax)
	}
	return keys, nil
}

// parseKeys reads a file of public keys, PEM or JWKS.
func parseKeys(text []byte, odd func([]error)) ([]*key, error) {
	if !bytes.HasPrefix(bytes.TrimSpace(text), []byte("{")) {
		return parsePublic(text)
	}
	keys, unused, err := parseSet(text)
	if errors.Is(errors.Join(unused...), errPrivate) {
		return nil, errPrivate // a file is the operator's: he should know
	}
	switch {
	case err != nil:
		return nil, err
	case len(keys) == 0:
		return nil, errors.New(brief(append([]error{errors.New("no key in it is used")}, unused...)))
	case len(unused) > 0:
		odd(unused)
	}
	return keys, nil
}

func readFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, fileMax+1))
	if err == nil && len(text) > fileMax {
		err = fmt.Errorf("%s: longer than %d bytes", name, fileMax)
	}
	return text, err
}
