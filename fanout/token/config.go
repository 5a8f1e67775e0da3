package token

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"time"
)

// Config says whose tokens are taken; a tag carries the flag's name, environment variable
// and help.
type Config struct {
	Key      []string      `env:"TICKWIRE_TOKEN_KEY" placeholder:"FILE" help:"Public keys of who signs tokens: PEM (RSA, P-256, Ed25519) or a JWKS; several, to change from one to the next. [none]"`
	Secret   string        `env:"TICKWIRE_TOKEN_SECRET" placeholder:"FILE" help:"File with a secret of at least 32 bytes, shared with who signs (HS256). [none]"`
	JWKS     string        `secret:"" env:"TICKWIRE_TOKEN_JWKS" placeholder:"URL" help:"Where the issuer has its public keys (a JWKS), by https; fetched every 5 minutes, and for a key that is not known. [none]"`
	Audience string        `env:"TICKWIRE_TOKEN_AUDIENCE" placeholder:"NAME" help:"What a token's aud must name. [anything]"`
	Issuer   string        `env:"TICKWIRE_TOKEN_ISSUER" placeholder:"NAME" help:"What a token's iss must be. [anything]"`
	Leeway   time.Duration `default:"30s" env:"TICKWIRE_TOKEN_LEEWAY" placeholder:"TIME" help:"How far the issuer's clock may be off, 0s to 5m. [${default}]"`
}

// leewayMax bounds how long an expired token is taken; leewayUsual is what the tag has.
const leewayMax, leewayUsual = 5 * time.Minute, 30 * time.Second

// Enabled reports whether there is anyone whose tokens are taken.
func (cfg *Config) Enabled() bool { return len(cfg.Key) > 0 || cfg.Secret != "" || cfg.JWKS != "" }

// Validate refuses what cannot work. Files are read by NewVerifier.
func (cfg *Config) Validate() error {
	switch {
	case cfg.Leeway < 0 || cfg.Leeway > leewayMax:
		return fmt.Errorf("token: the leeway is from 0s to %v", leewayMax)
	case len(cfg.Key) > keysMax:
		return fmt.Errorf("token: at most %d key files", keysMax)
	case !cfg.Enabled() && (cfg.Audience != "" || cfg.Issuer != "" || cfg.Leeway != 0 && cfg.Leeway != leewayUsual):
		return errors.New("token: an audience, an issuer and a leeway go with a key, a secret or a JWKS")
	case cfg.JWKS == "":
		return nil
	}
	u, err := url.Parse(cfg.JWKS)
	if err != nil || u.Host == "" || u.Scheme != "https" && !(u.Scheme == "http" && loopback(u.Hostname())) {
		return errors.New("token: the JWKS is at an https:// URL, or http:// of this machine")
	}
	return nil
}

// Check reads the files that are named.
func (cfg *Config) Check(log *slog.Logger) error {
	_, err := readKeys(cfg, log)
	return err
}

func loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}
