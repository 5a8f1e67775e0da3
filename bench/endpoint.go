package bench

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/tickwire/tickwire/codec"
)

// Endpoint is where subscribers connect to a node.
type Endpoint struct {
	Addr netip.AddrPort `json:"addr"`
	Host string         `json:"host"` // of the request, and of the certificate
	Path string         `json:"path"`
	TLS  bool           `json:"tls"`
	CA   []byte         `json:"ca,omitempty"`   // authorities to trust, PEM; none: the system's
	Cert []byte         `json:"cert,omitempty"` // what to show to who asks for a certificate, and its key, PEM
	Key  []byte         `json:"key,omitempty"`
	// Resume: whoever connects again resumes the TLS session of one before, as browsers do.
	Resume bool `json:"resume,omitempty"`
}

// readFiles reads what the flags of TLS name.
func (e *Endpoint) readFiles(cfg *Config) error {
	for _, f := range [...]struct {
		flag, name string
		text       *[]byte
	}{{"--ca", cfg.CA, &e.CA}, {"--cert", cfg.Cert, &e.Cert}, {"--key", cfg.Key, &e.Key}} {
		if f.name == "" {
			continue
		}
		var err error
		if *f.text, err = os.ReadFile(f.name); err != nil {
			return fmt.Errorf("bench: %s: %w", f.flag, err)
		}
	}
	return nil
}

// trust is how TLS is spoken to the endpoint, nil when it is not. An error is an authority
// that is none, or a certificate that is.
func (e *Endpoint) trust() (*tls.Config, error) {
	if !e.TLS {
		return nil, nil
	}
	host, _, err := net.SplitHostPort(e.Host)
	if err != nil { // it has no port
		host = e.Host
	}
	config := &tls.Config{ServerName: host, NextProtos: []string{"http/1.1"}}
	if e.Resume {
		config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	}
	if len(e.CA) > 0 {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(e.CA) {
			return nil, errors.New("bench: --ca: no certificate in PEM")
		}
	}
	if len(e.Cert) > 0 {
		cert, err := tls.X509KeyPair(e.Cert, e.Key)
		if err != nil {
			return nil, fmt.Errorf("bench: --cert, --key: %w", err)
		}
		config.Certificates = []tls.Certificate{cert}
	}
	return config, nil
}

// at is the endpoint of a server on this machine.
func at(addr netip.AddrPort) Endpoint {
	return Endpoint{Addr: addr, Host: addr.String(), Path: codec.StreamPath}
}

// parseEndpoint reads a node's URL, and looks its host up.
func parseEndpoint(ctx context.Context, text string) (e Endpoint, err error) {
	u, err := url.Parse(text)
	switch { // nothing is shown that may be a secret
	case err != nil:
		return e, fmt.Errorf("--url cannot be read: take ws://HOST:PORT%s, or wss", codec.StreamPath)
	case u.User != nil || u.RawQuery != "":
		return e, errors.New("--url has no password and no query; a token goes with --token")
	}
	port := map[string]int{"ws": 80, "wss": 443}[u.Scheme]
	if port == 0 || u.Hostname() == "" {
		return e, fmt.Errorf("--url %s: take ws://HOST:PORT%s, or wss", text, codec.StreamPath)
	}
	if u.Port() != "" {
		if port, err = strconv.Atoi(u.Port()); err != nil || port < 1 || port > 1<<16-1 {
			return e, fmt.Errorf("--url %s: no such port", text)
		}
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", u.Hostname())
	if err != nil {
		return e, fmt.Errorf("--url %s: %w", text, err)
	}
	path := u.EscapedPath()
	if path == "" || path == "/" {
		path = codec.StreamPath
	}
	return Endpoint{Addr: netip.AddrPortFrom(ips[0].Unmap(), uint16(port)), Host: u.Host, Path: path, TLS: u.Scheme == "wss"}, nil
}

// get asks the node for what is at a path, by HTTP.
func (e *Endpoint) get(ctx context.Context, path, token string) ([]byte, error) {
	scheme := "http"
	if e.TLS {
		scheme = "https"
	}
	header := http.Header{}
	if token != "" {
		header.Set("Authorization", "Bearer "+token)
	}
	client := http.DefaultClient
	if len(e.CA) > 0 || len(e.Cert) > 0 {
		config, err := e.trust()
		if err != nil {
			return nil, err
		}
		client = &http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}}
	}
	return get(ctx, client, scheme+"://"+e.Host+path, header)
}

// symbols lists what the node has.
func (e *Endpoint) symbols(ctx context.Context, token string) ([]string, error) {
	path := strings.TrimSuffix(e.Path, "/stream") + "/symbols"
	body, err := e.get(ctx, path, token)
	if err != nil {
		return nil, err
	}
	var list struct{ Symbols []string }
	if err := json.Unmarshal(body, &list); err != nil || len(list.Symbols) == 0 {
		return nil, fmt.Errorf("bench: %s%s names no symbols: is it a node, and has it a feed?", e.Host, path)
	}
	known := make(map[string]bool, len(list.Symbols))
	for _, symbol := range list.Symbols {
		if known[symbol] || !codec.ValidSymbol([]byte(symbol)) {
			return nil, fmt.Errorf("bench: %s%s: %q is no symbol, or comes twice", e.Host, path, printable(symbol))
		}
		known[symbol] = true
	}
	return list.Symbols, nil
}

// ready reports whether the node says it is.
func (e *Endpoint) ready(ctx context.Context) bool {
	_, err := e.get(ctx, "/readyz", "")
	return err == nil
}

const (
	getWithin = 10 * time.Second
	getBytes  = 16 << 20
)

func get(ctx context.Context, client *http.Client, url string, header http.Header) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, getWithin)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	r.Header = header
	answer, err := client.Do(r)
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, getBytes))
	if err != nil {
		return nil, fmt.Errorf("bench: %s: %w", url, err)
	}
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("bench: %s: %s: %.200s%s", url, printable(answer.Status), printable(strings.TrimSpace(string(body))), advice(answer.StatusCode))
	}
	return body, nil
}

// advice is what to do about a refusal.
func advice(status int) string {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return "; is --token right?"
	case http.StatusNotFound:
		return "; is the path of --url right?"
	}
	return ""
}

// scrapeSoon does not hold up a run.
func scrapeSoon(ctx context.Context, url string) (usage, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	return scrape(ctx, url)
}

// scrape reads what a process that is not ours has used, from its metrics.
func scrape(ctx context.Context, url string) (u usage, err error) {
	body, err := get(ctx, http.DefaultClient, url, nil)
	if err != nil {
		return u, err
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	all, err := parser.TextToMetricFamilies(strings.NewReader(string(body)))
	if err != nil {
		return u, fmt.Errorf("bench: %s: %w: is it a node's --metrics?", url, err)
	}
	value := func(name string) float64 {
		for _, m := range all[name].GetMetric() {
			return cmp.Or(m.GetCounter().GetValue(), m.GetGauge().GetValue(), m.GetUntyped().GetValue())
		}
		return 0
	}
	u.cpu = time.Duration(value("process_cpu_seconds_total") * float64(time.Second))
	u.rss = int64(value("process_resident_memory_bytes"))
	u.conns = int(value("tickwire_fanout_connections"))
	if cpu, rss := value("process_cpu_seconds_total"), value("process_resident_memory_bytes"); !(cpu >= 0 && cpu < 1e9 && rss >= 0 && rss < 1e15) {
		return usage{}, fmt.Errorf("bench: %s: %g s of CPU and %g bytes: is it a node's --metrics?", url, cpu, rss)
	}
	if u == (usage{}) {
		return u, fmt.Errorf("bench: %s has no process_cpu_seconds_total: is it a node's --metrics?", url)
	}
	return u, nil
}
