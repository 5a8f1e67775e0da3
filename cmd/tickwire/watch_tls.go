package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/tickwire/tickwire/fanout"
)

// tls is how to speak TLS to a node: whom to trust, and what to show.
func (c *watchCmd) tls() (*tls.Config, error) {
	config := &tls.Config{}
	if c.CA != "" {
		text, err := os.ReadFile(c.CA)
		if err != nil {
			return nil, fmt.Errorf("--ca: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("--ca %s: no certificate in PEM", c.CA)
		}
	}
	if c.Cert != "" {
		chain, err := os.ReadFile(c.Cert)
		if err != nil {
			return nil, fmt.Errorf("--cert: %w", err)
		}
		key, err := os.ReadFile(c.Key)
		if err != nil {
			return nil, fmt.Errorf("--key: %w", err)
		}
		cert, err := fanout.KeyPair(chain, key)
		if err != nil {
			return nil, fmt.Errorf("--cert %s, --key %s: %w", c.Cert, c.Key, err)
		}
		config.Certificates = []tls.Certificate{cert}
	}
	return config, nil
}

// advice is what to do about a connection that trying again will not bring about.
func (c *watchCmd) advice(err error) string {
	var op *net.OpError
	switch {
	case errors.As(err, new(*tls.CertificateVerificationError)):
		return "; --ca FILE says whom to trust"
	case errors.As(err, new(tls.RecordHeaderError)):
		return "; this port does not speak TLS, take ws://"
	case !errors.As(err, &op) || op.Op != "remote error" || !strings.Contains(op.Error(), "certificate"):
		return ""
	case c.Cert == "":
		return "; --cert and --key name one to show"
	case strings.Contains(op.Error(), "expired"):
		return "; renew that of --cert"
	}
	// One that is of none of the authorities that the node names is not even shown.
	return "; that of --cert is not of an authority that the node names (--client-ca)"
}
