package fanout

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"strings"
	"time"

	"github.com/tickwire/tickwire/codec/tapes"
	"github.com/tickwire/tickwire/fanout/token"
)

// Config is a node's settings; a tag carries the flag's name, default,
// environment variable and help.
type Config struct {
	Listen    string        `default:"127.0.0.1:8080" env:"TICKWIRE_LISTEN" placeholder:"ADDR" help:"Address of the stream, the page and the snapshot. [${default}]"`
	Node      string        `env:"TICKWIRE_NODE" placeholder:"NAME" help:"Name of this node, told to clients. [host name and process id]"`
	Loops     int           `env:"TICKWIRE_LOOPS" placeholder:"N" help:"Event loops. [one per core]"`
	TLSCert   string        `group:"TLS" env:"TICKWIRE_TLS_CERT" placeholder:"FILE" help:"Certificate chain, PEM: the stream is wss, the page https. Read again when it changes."`
	TLSKey    string        `group:"TLS" env:"TICKWIRE_TLS_KEY" placeholder:"FILE" help:"Its key, PEM."`
	ClientCA  string        `group:"TLS" env:"TICKWIRE_CLIENT_CA" placeholder:"FILE" help:"Certificate authorities, PEM: only clients with a certificate of theirs may shake hands. [any client]"`
	ProxyFrom []string      `group:"Limits" env:"TICKWIRE_PROXY_FROM" placeholder:"NETWORK" help:"Addresses, as 10.0.0.0/8, of balancers that send a PROXY header, version 2, before anything else: it says whose address counts."`
	Heartbeat time.Duration `default:"5s" env:"TICKWIRE_HEARTBEAT" placeholder:"TIME" help:"Silence after which a heartbeat is sent. [${default}]"`
	Pace      time.Duration `default:"16ms" env:"TICKWIRE_PACE" placeholder:"TIME" help:"What a busy node waits between two messages to a connection that has many, more latency for less CPU; longer only when it is at its end. from 0s, never, to 100ms. [${default}]"`
	Notice    time.Duration `default:"0s" env:"TICKWIRE_NOTICE" placeholder:"TIME" help:"On SIGTERM /readyz says no for so long before anybody is refused or sent away: a balancer is to notice. [${default}]"`
	Drain     time.Duration `default:"5s" env:"TICKWIRE_DRAIN" placeholder:"TIME" help:"Then clients are sent away over so long. [${default}]"`

	StaleAfter time.Duration `default:"10s" env:"TICKWIRE_STALE_AFTER" placeholder:"TIME" help:"/readyz says no when a stream of the tape was not read up to its end for so long, so that people are sent elsewhere; 0s: never. [${default}]"`

	Limits      `group:"Limits"`
	Token       token.Config `group:"Tokens" embed:"" prefix:"token-"`
	TokenCookie string       `group:"Tokens" env:"TICKWIRE_TOKEN_COOKIE" placeholder:"NAME" help:"Cookie that may bring the token; pages of other origins are then refused, but for --origin. [none]"`
	Origin      []string     `group:"Tokens" env:"TICKWIRE_ORIGIN" placeholder:"ORIGIN" help:"Pages that may connect and read snapshots, as https://app.example.com or https://*.example.com; the node's own may. [any]"`
	Insecure    bool         `group:"Tokens" env:"TICKWIRE_INSECURE" help:"Serve other machines without TLS or without tokens."`

	Redis string `kong:"-"` // URL of the tape's Redis
	Page  fs.FS  `kong:"-"` // what / serves; nil: nothing
}

// cores is how many this process may use; each open epoll.Poll adds one to what the
// runtime says.
var cores = runtime.GOMAXPROCS(0)

// Complete fills in what is not set, and refuses what cannot work. It is no Validate, which
// kong would call before a certificate is made for up --tls.
func (cfg *Config) Complete() error {
	if cfg.Loops == 0 {
		cfg.Loops = cores
	}
	switch {
	case cfg.Loops < 1:
		return errors.New("--loops is at least 1")
	case cfg.Heartbeat < time.Second:
		return errors.New("--heartbeat is at least 1s")
	case cfg.Pace < 0 || cfg.Pace > paceMost:
		return fmt.Errorf("--pace is from 0s to %v", paceMost)
	case (cfg.TLSCert == "") != (cfg.TLSKey == ""), cfg.ClientCA != "" && cfg.TLSCert == "":
		return errors.New("--tls-cert and --tls-key go together, and --client-ca with both")
	case cfg.TokenCookie != "" && !cfg.Token.Enabled():
		return errors.New("--token-cookie goes with --token-key, --token-secret or --token-jwks")
	case cfg.TokenCookie != "" && (&http.Cookie{Name: cfg.TokenCookie}).Valid() != nil:
		return fmt.Errorf("--token-cookie %q: no cookie has such a name; take letters, digits and any of !#$%%&'*+-.^_`|~", cfg.TokenCookie)
	case cfg.Drain < 0 || cfg.Notice < 0:
		return errors.New("--notice and --drain are at least 0s")
	case cfg.StaleAfter != 0 && cfg.StaleAfter < tapes.Silence:
		return fmt.Errorf("--stale-after is at least %v, the silence after which a stream is asked about, or 0s", tapes.Silence)
	}
	if err := cfg.Limits.validate(); err != nil {
		return err
	}
	if err := cfg.Token.Validate(); err != nil {
		return err
	}
	if err := checkOrigins(cfg.Origin); err != nil {
		return err
	}
	if _, err := parseProxies(cfg.ProxyFrom); err != nil {
		return err
	}
	return cfg.checkSecure()
}

// Check reads the files that are named, as a node does that begins, and opens nothing else.
func (cfg *Config) Check(log *slog.Logger) error {
	if _, err := newCerts(cfg, log); err != nil {
		return err
	}
	return cfg.Token.Check(log)
}

// checkSecure refuses to serve other machines what anybody could read, or read along.
func (cfg *Config) checkSecure() error {
	missing := cfg.missing()
	if missing == "" || cfg.Insecure {
		return nil
	}
	return fmt.Errorf("--listen %s serves other machines: %s missing; or say --insecure, as behind a proxy that speaks TLS", cfg.Listen, missing)
}

// missing is what a node that serves other machines has not.
func (cfg *Config) missing() string {
	host, _, err := net.SplitHostPort(cfg.Listen)
	if addr, aerr := netip.ParseAddr(host); err != nil || host == "localhost" || aerr == nil && addr.IsLoopback() {
		return "" // or no address: New says so
	}
	var missing []string
	if cfg.TLSCert == "" {
		missing = append(missing, "--tls-cert and --tls-key")
	}
	if !cfg.Token.Enabled() {
		missing = append(missing, "--token-key (or --token-jwks, --token-secret)")
	}
	return strings.Join(missing, " and ")
}
