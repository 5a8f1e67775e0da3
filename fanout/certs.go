package fanout

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// certs is how a node speaks TLS: who it is, and whom it lets shake hands.
type certs struct {
	cert, key, clientCA certFile

	config atomic.Pointer[tls.Config]
	seen   [3]fileState   // the files as of config
	shakes sync.WaitGroup // their goroutines
	log    *slog.Logger
}

// certFile is one that a flag names, or "".
type certFile struct{ flag, name string }

func (f certFile) String() string { return f.flag + " " + f.name }

func (f certFile) read() ([]byte, error) {
	text, err := os.ReadFile(f.name)
	if err != nil {
		return nil, fmt.Errorf("fanout: %s: %w", f.flag, err)
	}
	return text, nil
}

// fileState is what tells that a file was changed.
type fileState struct {
	written time.Time
	size    int64
}

// newCerts reads the certificate; nil without one.
func newCerts(cfg *Config, log *slog.Logger) (*certs, error) {
	if cfg.TLSCert == "" {
		return nil, nil
	}
	c := &certs{cert: certFile{"--tls-cert", cfg.TLSCert}, key: certFile{"--tls-key", cfg.TLSKey}, clientCA: certFile{"--client-ca", cfg.ClientCA}, log: log}
	return c, c.load()
}

// load makes a config of what the files say. Its session tickets are its own: a client
// that one authority let in resumes nothing under another.
func (c *certs) load() error {
	now, err := c.state()
	if err != nil {
		return err
	}
	chain, err := c.cert.read()
	if err != nil {
		return err
	}
	key, err := c.key.read()
	if err != nil {
		return err
	}
	cert, err := KeyPair(chain, key)
	if err != nil {
		return fmt.Errorf("fanout: %s, %s: %w", c.cert, c.key, err)
	}
	config := &tls.Config{
		MinVersion:   tls.VersionTLS12,
		NextProtos:   []string{"http/1.1"},
		Certificates: []tls.Certificate{cert},
		// The default's first, the hybrid with ML-KEM, takes 585 us of CPU a handshake, X25519 360.
		CurvePreferences: []tls.CurveID{tls.X25519, tls.CurveP256},
		// Small first records are for pages: they would cut a data message in pieces.
		DynamicRecordSizingDisabled: true,
	}
	if c.clientCA.name != "" {
		text, err := c.clientCA.read()
		if err != nil {
			return err
		}
		config.ClientAuth, config.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
		if !config.ClientCAs.AppendCertsFromPEM(text) {
			return fmt.Errorf("fanout: %s: no certificate in PEM", c.clientCA)
		}
	}
	if before := c.config.Load(); time.Now().After(cert.Leaf.NotAfter) {
		if before != nil && time.Now().Before(before.Certificates[0].Leaf.NotAfter) {
			return fmt.Errorf("fanout: %s expired on %v", c.cert, cert.Leaf.NotAfter)
		}
		c.log.Error("the certificate has expired: no client will trust this node", "file", c.cert.name, "expired", cert.Leaf.NotAfter)
	}
	c.seen = now
	c.config.Store(config)
	return nil
}

// until is when the certificate ends.
func (c *certs) until() time.Time { return c.config.Load().Certificates[0].Leaf.NotAfter }

// state is what the files are now.
func (c *certs) state() (now [3]fileState, err error) {
	for i, f := range [...]certFile{c.cert, c.key, c.clientCA} {
		if f.name == "" {
			continue
		}
		info, err := os.Stat(f.name)
		if err != nil {
			return now, fmt.Errorf("fanout: %s: %w", f.flag, err)
		}
		now[i] = fileState{info.ModTime(), info.Size()}
	}
	return now, nil
}

// watch reads the files again when they have changed, until ctx ends. Nobody is dropped:
// who is connected has shaken hands. While they cannot be read, or do not belong together
// yet, the old ones stand.
func (c *certs) watch(ctx context.Context) error {
	said := ""
	for sleep(ctx, certsEvery) {
		now, err := c.state()
		if err == nil && now == c.seen {
			continue
		}
		if err == nil {
			err = c.load()
		}
		switch {
		case err == nil:
			c.log.Info("certificate read again", "until", c.until())
		case err.Error() != said:
			c.log.Error("the certificate cannot be read again; the old one stands", "err", err)
		}
		if said = ""; err != nil {
			said = err.Error()
		}
	}
	return nil
}

// certsEvery is how often the files are looked at.
const certsEvery = time.Second
