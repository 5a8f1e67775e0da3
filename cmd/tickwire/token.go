package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/golang-jwt/jwt/v5"

	"github.com/tickwire/tickwire/codec"
	"github.com/tickwire/tickwire/fanout"
	"github.com/tickwire/tickwire/fanout/token"
)

// tokenCmd is for whoever gives out tokens, or wonders why one is refused.
type tokenCmd struct {
	Sign   tokenSignCmd   `cmd:"" help:"Print a token, signed with a key that tickwire keys made."`
	Show   tokenShowCmd   `cmd:"" help:"Print what a token says, without verifying it."`
	Revoke tokenRevokeCmd `cmd:"" help:"Have all nodes take a token no more, or all of a subject."`
	Verify tokenVerifyCmd `cmd:"" help:"Verify a token as a node does, but for revocation; print its claims, or why it is refused."`
}

type tokenSignCmd struct {
	Key     string   `env:"TICKWIRE_SIGN_KEY" placeholder:"FILE" help:"Private key to sign with, PEM. [none]"`
	Secret  string   `env:"TICKWIRE_SIGN_SECRET" placeholder:"FILE" help:"Or the secret to sign with (HS256). [none]"`
	Sub     string   `env:"TICKWIRE_SIGN_SUB" placeholder:"NAME" help:"Whose it is; --conns counts by it. [nobody's]"`
	Aud     []string `env:"TICKWIRE_SIGN_AUD" placeholder:"NAME" help:"Whom it is for: what nodes have as --token-audience. [anyone]"`
	Iss     string   `env:"TICKWIRE_SIGN_ISS" placeholder:"NAME" help:"Who gives it: what nodes have as --token-issuer. [nobody]"`
	For     life     `default:"1h" env:"TICKWIRE_SIGN_FOR" placeholder:"TIME" help:"How long it is good, as 90s, 30m, 12h, 7d or 1d12h. [${default}]"`
	JTI     string   `env:"TICKWIRE_SIGN_JTI" placeholder:"NAME" help:"Its own name, by which it can be revoked. [none]"`
	Symbols []string `default:"*" env:"TICKWIRE_SIGN_SYMBOLS" placeholder:"NAME" help:"What may be subscribed to: symbols, and patterns as 'coinbase:*'. [all]"`
	Rate    float64  `env:"TICKWIRE_SIGN_RATE" placeholder:"N" help:"Updates a second and symbol at the most; 0 is no limit. [0]"`
	Subs    int      `env:"TICKWIRE_SIGN_SUBS" placeholder:"N" help:"Subscriptions a connection may hold; 0 is no limit but the node's. [0]"`
	Conns   int      `env:"TICKWIRE_SIGN_CONNS" placeholder:"N" help:"Connections to a node at a time; 0 is no limit. [0]"`
	Newest  bool     `env:"TICKWIRE_SIGN_NEWEST" help:"A connection too many ends the oldest, instead of being refused."`
}

// life is how long a token is good: in days, too, which a time.Duration's text has not.
type life time.Duration

const oneDay = 24 * time.Hour

// lifeMax is longer than anyone means, and within what a time.Duration holds.
const lifeMax = 36500 * oneDay

// lifeText is a number of days before what a time.Duration's text may be, or either.
var lifeText = regexp.MustCompile(`^(?:(\d+)d)?((?:\d+(?:\.\d+)?(?:h|m|s|ms))*)$`)

func (l *life) UnmarshalText(text []byte) error {
	parts := lifeText.FindSubmatch(text)
	if parts == nil || len(text) == 0 {
		return fmt.Errorf("%q is no time: take 90s, 30m, 12h, 7d or 1d12h", text)
	}
	days, err := strconv.ParseUint(cmp.Or(string(parts[1]), "0"), 10, 16)
	rest, derr := time.ParseDuration(cmp.Or(string(parts[2]), "0"))
	if err != nil || derr != nil || days > uint64(lifeMax/oneDay) || rest > lifeMax-time.Duration(days)*oneDay {
		return fmt.Errorf("%q is too long: at most %dd", text, lifeMax/oneDay)
	}
	*l = life(time.Duration(days)*oneDay + rest)
	return nil
}

// MarshalText is what UnmarshalText reads.
func (l life) MarshalText() ([]byte, error) { return []byte(time.Duration(l).String()), nil }

// Validate refuses what no node would take.
func (c *tokenSignCmd) Validate() error {
	if (c.Key == "") == (c.Secret == "") {
		return errors.New("sign with --key FILE, or with --secret FILE")
	}
	if c.For < life(time.Second) {
		return errors.New("--for is at least 1s")
	}
	if c.Newest && c.Conns == 0 {
		return errors.New("--newest goes with --conns")
	}
	for _, name := range c.Symbols {
		if !codec.ValidSymbol([]byte(name)) && !codec.ValidPattern([]byte(name)) {
			return fmt.Errorf("--symbols %s is no symbol and no pattern: take VENUE:NAME, as coinbase:BTC-USD, 'coinbase:*' or '*'", name)
		}
	}
	return c.claims(time.Now()).Validate()
}

func (c *tokenSignCmd) claims(now time.Time) *token.Claims {
	return &token.Claims{
		RegisteredClaims: jwt.RegisteredClaims{
			Subject: c.Sub, Audience: c.Aud, Issuer: c.Iss, ID: c.JTI, IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(time.Duration(c.For))),
		},
		Grant: token.Grant{Symbols: c.Symbols, Rate: c.Rate, Subs: c.Subs, Conns: c.Conns, Newest: c.Newest},
	}
}

func (c *tokenSignCmd) Run() error { return c.run(os.Stdout, os.Stderr) }

func (c *tokenSignCmd) run(stdout, stderr io.Writer) error {
	newSigner := token.NewSigner
	if c.Secret != "" {
		newSigner = token.NewSecretSigner
	}
	file := cmp.Or(c.Key, c.Secret)
	text, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("token: %w", err)
	}
	signer, err := newSigner(text)
	if err != nil {
		return fmt.Errorf("token: %s: %w", file, err)
	}
	signed, err := signer.Sign(c.claims(time.Now()))
	if err != nil {
		return fmt.Errorf("token: %w", err)
	}
	c.warn(stderr)
	_, err = fmt.Fprintln(stdout, signed)
	return err
}

// warn tells what revoking the token will not do, while it can still be made otherwise.
func (c *tokenSignCmd) warn(stderr io.Writer) {
	if c.Sub == "" && c.JTI == "" {
		fmt.Fprintln(stderr, "tickwire: this token cannot be revoked, for it has neither --sub nor --jti; give it one")
	} else if c.For > life(fanout.RevokedFor) {
		fmt.Fprintf(stderr, "tickwire: a revocation is kept for %d days, and this token is good for longer; should you revoke it, do so again before they are over, or take --for %[1]dd\n", fanout.RevokedFor/oneDay)
	}
}

// tokenArg is a token on the command line, where others see it in ps, or on stdin.
type tokenArg struct {
	Token string `arg:"" optional:"" help:"The token; without one, or for -, it is read from stdin, which hides it from ps."`
}

func (a *tokenArg) read(stdin io.Reader) ([]byte, error) {
	if a.Token != "" && a.Token != "-" {
		return []byte(a.Token), nil
	}
	text, err := io.ReadAll(io.LimitReader(stdin, 2*token.TokenMax))
	if err != nil {
		return nil, fmt.Errorf("token: %w", err)
	}
	return bytes.TrimSpace(text), nil
}

type tokenShowCmd struct {
	tokenArg
}

func (c *tokenShowCmd) Run() error { return c.run(os.Stdin, os.Stdout, time.Now()) }

func (c *tokenShowCmd) run(stdin io.Reader, stdout io.Writer, now time.Time) error {
	raw, err := c.read(stdin)
	if err != nil {
		return err
	}
	fmt.Fprintln(stdout, "NOT VERIFIED: anyone can have written this; tickwire token verify says more.")
	parts := strings.Split(string(raw), ".")
	if len(parts) != 3 {
		return fmt.Errorf("token: %d segments with dots between; a JWT has 3", len(parts))
	}
	var claims []byte
	for n, what := range []string{"header", "claims"} {
		text, err := base64.RawURLEncoding.DecodeString(parts[n])
		if err != nil {
			return fmt.Errorf("token: %s: not base64url: %w", what, err)
		}
		var b bytes.Buffer
		if err := json.Indent(&b, text, "", "  "); err != nil {
			return fmt.Errorf("token: %s: not JSON: %w", what, err)
		}
		fmt.Fprintf(stdout, "%s %s\n", what, visible(b.String()))
		claims = text
	}
	var times map[string]any
	json.Unmarshal(claims, &times) // without an object there are none
	for _, name := range []string{"iat", "nbf", "exp"} {
		if at, ok := times[name].(float64); ok && at >= 0 && at < 1e11 {
			t := time.Unix(int64(at), 0)
			fmt.Fprintf(stdout, "%s %s, %s\n", name, t.UTC().Format(time.RFC3339), fromNow(t.Sub(now).Round(time.Second)))
		}
	}
	return nil
}

func fromNow(d time.Duration) string {
	if d < 0 {
		return (-d).String() + " ago"
	}
	return "in " + d.String()
}

// visible has what a terminal would obey printed instead.
func visible(text string) string {
	var b strings.Builder
	for _, r := range text {
		if r == '\n' || unicode.IsPrint(r) {
			b.WriteRune(r)
		} else {
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

type tokenVerifyCmd struct {
	tokenArg
	Config token.Config `embed:""`
}

func (c *tokenVerifyCmd) Validate() error {
	if !c.Config.Enabled() {
		return errors.New("verify with --key FILE, --secret FILE or --jwks URL")
	}
	return c.Config.Validate()
}

func (c *tokenVerifyCmd) Run(ctx context.Context, log *slog.Logger) error {
	return c.run(ctx, log, os.Stdin, os.Stdout)
}

func (c *tokenVerifyCmd) run(ctx context.Context, log *slog.Logger, stdin io.Reader, stdout io.Writer) error {
	raw, err := c.read(stdin)
	if err != nil {
		return err
	}
	claims, err := token.VerifyOnce(ctx, c.Config, raw, log)
	if refusal := (*token.Error)(nil); errors.As(err, &refusal) {
		if cause := refusal.Unwrap(); cause != nil {
			return fmt.Errorf("token: --jwks: the issuer's keys cannot be fetched: %w", cause)
		}
		return fmt.Errorf("token: refused, %s: %w", refusal.Reason, refusal)
	}
	if err != nil {
		return err
	}
	text, err := json.MarshalIndent(claims, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(stdout, visible(string(text)))
	return err
}
