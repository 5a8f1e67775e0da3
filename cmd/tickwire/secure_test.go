package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tickwire/tickwire/codec/tapes/tapetest"
)

// startSecure runs a market over TLS, and returns its port and the certificate made for it.
func startSecure(t *testing.T, args ...string) (up *process, port, cert string) {
	t.Helper()
	port = tapetest.Port(t)
	up = tickwire(t, append([]string{"up", "--tls", "--listen", "127.0.0.1:" + port, "--metrics", "off"}, args...)...)
	within(t, 10*time.Second, "it is up", func() bool {
		m := regexp.MustCompile(`is up: https://localhost:` + port + `.*\n.*?(/\S+/cert\.pem)`).FindStringSubmatch(up.text())
		if m != nil {
			cert = m[1]
		}
		return m != nil
	})
	return up, port, cert
}

// With --tls everything works as without, for whoever trusts the certificate that is
// told; it goes with the run.
func TestUpSecure(t *testing.T) {
	t.Parallel()
	up, port, cert := startSecure(t)
	w := startWatch(t, port, "--url", "wss://localhost:"+port, "--ca", cert, "sim:*")
	within(t, 10*time.Second, "prices come", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return len(w.quotes) == 24 && w.lines > 100
	})
	stranger := startWatch(t, port, "--url", "wss://localhost:"+port, "sim:*")
	within(t, 10*time.Second, "who does not trust it is told why", func() bool {
		return strings.Contains(stranger.text(), "certificate") && strings.Contains(stranger.text(), "--ca FILE")
	})
	out, err := exec.Command(need(t, "curl"), "--silent", "--cacert", cert, "https://127.0.0.1:"+port+"/v1/symbols").Output()
	if err != nil || !strings.Contains(string(out), `"sim:ACORN-USD"`) {
		t.Errorf("%v: %s", err, out)
	}
	if code, took := up.stop(interrupt); code != 0 || took > 3*time.Second {
		t.Errorf("exit code %d after %v", code, took)
	}
	if _, err := os.Stat(cert); err == nil {
		t.Errorf("%s is left", cert)
	}
}

// An operator whose balancer speaks version 1 is told so, and which it is.
func TestProxyVersion1(t *testing.T) {
	t.Parallel()
	at := "127.0.0.1:" + tapetest.Port(t)
	node := tickwire(t, "fanout", "--redis", "redis://127.0.0.1:1", "--listen", at, "--metrics", "off", "--proxy-from", "127.0.0.0/8")
	var balancer net.Conn
	within(t, 10*time.Second, "it listens", func() bool {
		var err error
		balancer, err = (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 7)}}).Dial("tcp", at)
		return err == nil
	})
	defer balancer.Close()
	balancer.Write([]byte("PROXY TCP4 203.0.113.9 127.0.0.1 1000 443\r\n"))
	within(t, 5*time.Second, "it says so", func() bool {
		return strings.Contains(node.text(), "from=127.0.0.7") && strings.Contains(node.text(), "version 1; have the balancer send version 2")
	})
}

// A node that is killed under subscribers over TLS has them all back, with the right prices.
func TestBenchSecure(t *testing.T) {
	t.Parallel()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "bench", "storm", "--tls", "--tokens", "--resume-tls", "--conns", "40", "--subs", "5", "--duration", "6s", "--no-floor", "--json")
	out, err := cmd.Output()
	var res struct {
		Verified bool
		Over     string
		Lost     map[string]int
	}
	if jerr := json.Unmarshal(out, &res); err != nil || jerr != nil || !res.Verified || res.Over != "wss" || len(res.Lost) == 0 {
		t.Errorf("%v, %v: %.2000s", err, jerr, out)
	}
}

// Every way in is measured, and costs what it must.
func TestBenchDoor(t *testing.T) {
	t.Parallel()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(path, "bench", "door", "--conns", "100", "--symbols", "50", "--duration", "1s", "--json").Output()
	var res struct {
		Verified bool
		Steps    []struct {
			Door      string
			ConnectUS float64 `json:"connect_cpu_us"`
			Updates   float64 `json:"updates_per_s"`
		}
	}
	if jerr := json.Unmarshal(out, &res); err != nil || jerr != nil || !res.Verified || len(res.Steps) != 5 {
		t.Fatalf("%v, %v: %.2000s", err, jerr, out)
	}
	for i, want := range []string{"ws", "ws, tokens", "wss", "wss, resumed", "wss, tokens"} {
		// CPU is counted in ticks of 10 ms, of which plain ones may need none.
		if s := res.Steps[i]; s.Door != want || s.ConnectUS <= 0 && strings.HasPrefix(want, "wss") || s.Updates <= 0 {
			t.Errorf("%d: %+v", i, s)
		}
	}
}

// writeClientCert writes a client's certificate, its own authority, and its key.
func writeClientCert(t *testing.T) (cert, key string) {
	t.Helper()
	secret, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	like := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, like, like, &secret.PublicKey, secret)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(secret)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "client.pem"), filepath.Join(dir, "client-key.pem")
	if err := errors.Join(os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600),
		os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), 0o600)); err != nil {
		t.Fatal(err)
	}
	return cert, key
}

// A node that asks for certificates is watched and measured with one, and without is told of.
func TestClientCertificate(t *testing.T) {
	t.Parallel()
	mine, key := writeClientCert(t)
	_, port, cert := startSecure(t, "--client-ca", mine)
	url := "wss://localhost:" + port
	w := startWatch(t, port, "--url", url, "--ca", cert, "--cert", mine, "--key", key, "sim:*")
	within(t, 10*time.Second, "prices come", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return len(w.quotes) == 24
	})
	without := startWatch(t, port, "--url", url, "--ca", cert, "sim:*")
	within(t, 10*time.Second, "who shows none is told so", func() bool { return strings.Contains(without.text(), "--cert and --key name one") })
	wrong, wrongKey := writeClientCert(t)
	stranger := startWatch(t, port, "--url", url, "--ca", cert, "--cert", wrong, "--key", wrongKey, "sim:*")
	within(t, 10*time.Second, "who shows one of a stranger is told so", func() bool {
		return strings.Contains(stranger.text(), "that of --cert is not of an authority") && !strings.Contains(stranger.text(), "name one to show")
	})
	encrypted := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(encrypted, pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Headers: map[string]string{"DEK-Info": "x"}}), 0o600); err != nil {
		t.Fatal(err)
	}
	for say, with := range map[string]string{"the key is encrypted, which is not taken": encrypted, "--key: open no/such": "no/such"} {
		if _, stderr, code := run(t, "", "watch", "--url", url, "--cert", mine, "--key", with, "sim:*"); code != 1 || !strings.Contains(stderr, say) {
			t.Errorf("%d, %s", code, stderr)
		}
	}
	bench := []string{"bench", "--url", url, "--no-verify", "--conns", "5", "--subs", "2", "--duration", "1s", "--no-floor", "--ca", cert}
	if stdout, stderr, code := run(t, "", append(bench, "--cert", mine, "--key", key)...); code != 0 {
		t.Errorf("%d, %s, %s", code, stdout, stderr)
	}
	for say, args := range map[string][]string{
		"certificate required":        nil,
		"bench: --key: open no/such":  {"--cert", mine, "--key", "no/such"},
		"bench: --cert: open no/such": {"--cert", "no/such", "--key", key},
		"bench: --cert, --key: tls:":  {"--cert", mine, "--key", mine},
	} {
		if _, stderr, code := run(t, "", append(bench, args...)...); code != 1 || !strings.Contains(stderr, say) {
			t.Errorf("%v: %d, %s", args, code, stderr)
		}
	}
}

// The page over https.
func TestPageSecure(t *testing.T) {
	t.Parallel()
	dir := modules(t, "cmd/tickwire/web/test")
	need(t, "chromium")
	_, port, _ := startSecure(t)
	node(t, dir, "https://127.0.0.1:"+port+"/", "node", "--test", "--test-reporter=spec", "--test-name-pattern=a first visit")
}
