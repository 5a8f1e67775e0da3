package bench

import (
	"context"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tickwire/tickwire/codec"
)

// others are nodes that somebody else runs: behind a proxy that ends TLS and asks for a
// token, as they are in the world.
func others(t *testing.T) (s *stand, secure string) {
	t.Helper()
	cfg := small(t)
	s, err := newStand(t.Context(), &cfg, (*stand).begin)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	node, err := url.Parse("http://" + s.endpoints[0].Host)
	if err != nil {
		t.Fatal(err)
	}
	forward := httputil.NewSingleHostReverseProxy(node)
	proxy := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer good" {
			http.Error(w, "the token is not good", http.StatusUnauthorized)
			return
		}
		forward.ServeHTTP(w, r)
	}))
	t.Cleanup(proxy.Close)
	roots := filepath.Join(t.TempDir(), "roots.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: proxy.Certificate().Raw})
	if err := os.WriteFile(roots, text, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SSL_CERT_FILE", roots) // for the workers; this process trusts by its transport
	before := http.DefaultTransport
	http.DefaultTransport = proxy.Client().Transport
	t.Cleanup(func() { http.DefaultTransport = before })
	return s, "wss" + strings.TrimPrefix(proxy.URL, "https") + codec.StreamPath
}

// Nodes that run already are measured by their URL, over TLS, with a token; everything
// that came is held against their tape, though their feed goes on.
func TestOthers(t *testing.T) {
	s, secure := others(t)
	metrics, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	second, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.start("node 2", nil, s.cfg.Exe, "fanout", "--redis", s.redis, "--listen", second.String(), "--metrics", metrics.String()); err != nil {
		t.Fatal(err)
	}
	e := at(second)
	if err := wait(t.Context(), "node 2", s.procs, func() bool { return e.ready(t.Context()) }); err != nil {
		t.Fatal(err)
	}
	measure := func(set func(*Config)) (*Result, error) {
		cfg := Config{
			Scenario: "steady", Conns: 20, Nodes: 1, Ramp: 200, Duration: 2 * time.Second, Seed: 1, Encoding: "msgpack", Bound: 1,
			Floor: true, Verify: true, Exe: s.cfg.Exe, Redis: s.redis, Token: "good", URL: []string{secure},
		}
		set(&cfg)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		return Run(ctx, cfg, nil)
	}
	res, err := measure(func(c *Config) {
		c.URL = append(c.URL, "ws://"+second.String())
		c.NodeMetrics = []string{"http://" + metrics.String() + "/metrics"}
	})
	if err != nil || !res.Verified || res.Nodes != 2 || res.Symbols != 20 || res.Subs != 20 || res.Ended != 20*20 || res.ServerCPU <= 0 || res.RSS == 0 {
		t.Errorf("%v, %+v", err, res)
	}
	out, err := exec.Command(s.cfg.Exe, "bench", "--url", "ws://"+second.String(), "--redis", s.redis, "--conns", "10", "--duration", "1s", "--json").CombinedOutput()
	if err != nil || !strings.Contains(string(out), `"verified": true`) {
		t.Errorf("from the command line: %v, %s", err, out)
	}
	res, err = measure(func(c *Config) { c.Verify, c.Redis, c.Encoding = false, "", "json" })
	if err != nil || res.Verified || res.Failed() || res.UpdatesPS == 0 {
		t.Errorf("without --verify: %v, %+v", err, res)
	}
	for want, set := range map[string]func(*Config){
		"401 Unauthorized: the token is not good; is --token right?": func(c *Config) { c.Token = "bad" },
		"; is the path of --url right?":                              func(c *Config) { c.URL = []string{"ws://" + second.String() + "/v2/stream"} },
		"connection refused":                                         func(c *Config) { c.URL = []string{"ws://127.0.0.1:1"} },
		"no such host":                                               func(c *Config) { c.URL = []string{"ws://nowhere.invalid"} },
		"--url is ws://HOST:PORT":                                    func(c *Config) { c.URL = []string{"http://" + second.String()} },
		"the node has 20 symbols":                                    func(c *Config) { c.Subs = 30 },
		"the tape cannot be read, to verify: dial tcp 127.0.0.1:1":   func(c *Config) { c.Redis = "redis://127.0.0.1:1" },
		"is it a node's --metrics?":                                  func(c *Config) { c.NodeMetrics = []string{"http://" + second.String()} },
	} {
		if _, err := measure(set); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v instead of %q", err, want)
		}
	}
}

// A node that dies while nothing is verified leaves subscribers behind, which is told.
func TestOthersDie(t *testing.T) {
	t.Parallel()
	cfg := small(t)
	s, err := newStand(t.Context(), &cfg, (*stand).begin)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	cfg = Config{Scenario: "steady", Conns: 20, Nodes: 1, Ramp: 200, Duration: 2 * time.Second, Encoding: "msgpack", Bound: 1, Exe: cfg.Exe, URL: []string{"ws://" + s.endpoints[0].Host}}
	time.AfterFunc(3*time.Second, func() { s.nodes[0].cmd.Process.Kill() })
	res, err := Run(t.Context(), cfg, nil)
	if err != nil || !res.Failed() || !strings.Contains(strings.Join(res.Problems, "\n"), "20 times: not connected in the end") {
		t.Errorf("%v, %+v", err, res)
	}
}

// A server that takes connections but lets nobody in, by any way of saying so, ends a run
// at once, in its own words.
func TestNobodyGetsIn(t *testing.T) {
	list := http.NewServeMux()
	list.HandleFunc("GET /v1/symbols", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, `{"symbols":["sim:A"]}`) })
	list.HandleFunc("GET /v1/stream", func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, "the token has expired", http.StatusForbidden)
	})
	plain := httptest.NewServer(list)
	defer plain.Close()
	for want, url := range map[string]string{
		"upgrade: 403 Forbidden the token has expired; is --token right?": "ws" + strings.TrimPrefix(plain.URL, "http"),
	} {
		cfg := small(t)
		cfg = Config{Scenario: "steady", Conns: 20, Nodes: 1, Ramp: 200, Duration: time.Second, Encoding: "msgpack", Bound: 1, Exe: cfg.Exe, URL: []string{url}}
		began := time.Now()
		res, err := Run(t.Context(), cfg, nil)
		if err == nil || !strings.Contains(err.Error(), "nobody gets in") || !strings.Contains(err.Error(), want) || !res.Partial || time.Since(began) > 20*time.Second {
			t.Errorf("%v after %v, %+v", err, time.Since(began), res)
		}
	}
}

// What is wrong with a URL is told without what may be a secret in it.
func TestURLIsNotShown(t *testing.T) {
	for _, bad := range []string{"ws://me:hunter2@127.0.0.1", "ws://127.0.0.1?token=hunter2", "ws://127.0.0.1:x?token=hunter2"} {
		if _, err := parseEndpoint(t.Context(), bad); err == nil || strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), "--url") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}
