package fanout

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tickwire/tickwire/codec"
)

// writeCert writes a certificate for this machine, and returns what trusts it.
func writeCert(t *testing.T, certFile, keyFile string, serial int64) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return writeCertOf(t, key, certFile, keyFile, serial)
}

// writeCertOf is writeCert of a key.
func writeCertOf(t *testing.T, key crypto.Signer, certFile, keyFile string, serial int64) *x509.CertPool {
	t.Helper()
	like := &x509.Certificate{
		SerialNumber: big.NewInt(serial), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature,
	}
	if serial < 0 { // it has expired
		like.SerialNumber.Neg(like.SerialNumber)
		like.NotAfter = time.Now().Add(-time.Minute)
	}
	cert, err := x509.CreateCertificate(rand.Reader, like, like, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: cert}, keyFile: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	roots := x509.NewCertPool()
	parsed, _ := x509.ParseCertificate(cert)
	roots.AddCert(parsed)
	return roots
}

// A new certificate is taken up while nobody is dropped; one that does not fit its key is
// not.
func TestCertificateChanges(t *testing.T) {
	n, config := startSecure(t, nil)
	p := dialSecure(t, n.addr, config)
	p.next(codec.TypeHello)
	refused := func(what string, write func()) {
		t.Helper()
		had := n.said.count("the old one stands")
		write()
		eventually(t, 30*time.Second, what+" is read", func() bool { return n.said.count("the old one stands") > had })
		dialSecure(t, n.addr, config).next(codec.TypeHello)
	}
	refused("nonsense", func() {
		if err := os.WriteFile(n.cfg.TLSCert, []byte("nonsense"), 0o600); err != nil {
			t.Fatal(err)
		}
	})
	config = &tls.Config{RootCAs: writeCert(t, n.cfg.TLSCert, n.cfg.TLSKey, 2)}
	eventually(t, 30*time.Second, "the new certificate is shown", func() bool {
		c, err := tls.Dial("tcp", n.addr, config)
		if err != nil {
			return false
		}
		defer c.Close()
		return c.ConnectionState().PeerCertificates[0].SerialNumber.Int64() == 2
	})
	refused("one that has expired", func() { writeCert(t, n.cfg.TLSCert, n.cfg.TLSKey, -3) })
	p.send(`{"op":"ping","id":1}`)
	p.next(codec.TypeReply)
}

// A client that has no certificate of --client-ca's shakes no hands; one that has does, and
// the authority may change.
func TestClientCertificates(t *testing.T) {
	dir := t.TempDir()
	authority := filepath.Join(dir, "ca.pem")
	own := func(serial int64) tls.Certificate {
		certFile, keyFile := filepath.Join(dir, "own.pem"), filepath.Join(dir, "own-key.pem")
		writeCert(t, certFile, keyFile, serial)
		cert, err := tls.LoadX509KeyPair(certFile, keyFile)
		if err != nil {
			t.Fatal(err)
		}
		return cert
	}
	trusted, other := own(7), own(8)
	trust := func(cert tls.Certificate) {
		text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]})
		if err := os.WriteFile(authority, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	trust(trusted)
	n, config := startSecure(t, func(cfg *Config) { cfg.ClientCA = authority })
	reaches := func(certs ...tls.Certificate) bool {
		config.Certificates = certs
		client := http.Client{Transport: &http.Transport{TLSClientConfig: config.Clone()}, Timeout: 5 * time.Second}
		res, err := client.Get("https://" + n.addr + "/healthz")
		if err == nil {
			res.Body.Close()
		}
		return err == nil
	}
	if reaches() || reaches(other) || !reaches(trusted) {
		t.Errorf("without a certificate %v, with another's %v, with its own %v", reaches(), reaches(other), reaches(trusted))
	}
	config.Certificates = []tls.Certificate{trusted}
	p := dialSecure(t, n.addr, config)
	p.next(codec.TypeHello)
	trust(other)
	eventually(t, 10*time.Second, "the other authority counts", func() bool { return reaches(other) && !reaches(trusted) })
	p.send(`{"op":"ping","id":1}`)
	p.next(codec.TypeReply)
}

// What an operator is told to mend.
func TestCertificateRefused(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	writeCert(t, certFile, keyFile, 1)
	other := filepath.Join(dir, "other.pem")
	writeCert(t, filepath.Join(dir, "x.pem"), other, 2)
	none, encrypted := filepath.Join(dir, "none"), filepath.Join(dir, "encrypted.pem")
	if err := os.WriteFile(encrypted, pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY"}), 0o600); err != nil {
		t.Fatal(err)
	}
	for want, cfg := range map[string]Config{
		"--tls-cert and --tls-key go together":  {TLSCert: certFile},
		"go together":                           {TLSKey: keyFile},
		"and --client-ca with both":             {ClientCA: certFile},
		"does not match":                        {TLSCert: certFile, TLSKey: other},
		"the key is encrypted, which is not ta": {TLSCert: certFile, TLSKey: encrypted},
		"fanout: --tls-cert: stat " + none:      {TLSCert: none, TLSKey: keyFile},
		"fanout: --tls-key: stat " + none:       {TLSCert: certFile, TLSKey: none},
		"fanout: --client-ca: stat " + none:     {TLSCert: certFile, TLSKey: keyFile, ClientCA: none},
		"fanout: --tls-key: read " + dir:        {TLSCert: certFile, TLSKey: dir},
		"--client-ca " + keyFile:                {TLSCert: certFile, TLSKey: keyFile, ClientCA: keyFile},
	} {
		cfg.Listen, cfg.Loops, cfg.Heartbeat, cfg.Limits = "127.0.0.1:0", 1, time.Second, usual(t)
		if _, err := New(t.Context(), cfg, prometheus.NewRegistry(), slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}
