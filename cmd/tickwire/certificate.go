package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"time"
)

// certificate is one for this machine, made for one run: a file of it, which clients may be
// told to trust, and one of its key.
type certificate struct{ dir, cert, key string }

// certLife is how long one is good, should it be kept by mistake.
const certLife = 30 * 24 * time.Hour

// makeCertificate makes one for this machine's names and a listen address. Remove takes it
// away.
func makeCertificate(listen string) (c *certificate, err error) {
	host := ""
	if at, err := netip.ParseAddrPort(listen); err == nil && !at.Addr().IsUnspecified() {
		host = at.Addr().String()
	}
	cert, key, err := selfSigned(host)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "tickwire-")
	if err != nil {
		return nil, fmt.Errorf("a certificate: %w", err)
	}
	c = &certificate{dir, filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")}
	for name, text := range map[string][]byte{c.cert: cert, c.key: key} {
		if err := os.WriteFile(name, text, 0o600); err != nil {
			c.remove()
			return nil, fmt.Errorf("a certificate: %w", err)
		}
	}
	return c, nil
}

func (c *certificate) remove() { os.RemoveAll(c.dir) }

// selfSigned makes a certificate for this machine's names and another host, a name or an
// address or "", and its key: PEM.
func selfSigned(host string) (cert, key []byte, err error) {
	secret, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, nil, err
	}
	like := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: "tickwire, to try it"},
		NotBefore:    time.Now().Add(-time.Hour), // clocks differ
		NotAfter:     time.Now().Add(certLife),
		KeyUsage:     x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:     []string{"localhost"},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		// Clients trust it as an authority, which some take to need the word.
		BasicConstraintsValid: true, IsCA: true, MaxPathLenZero: true,
	}
	if this, err := os.Hostname(); err == nil {
		like.DNSNames = append(like.DNSNames, this)
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		like.IPAddresses = append(like.IPAddresses, addr.AsSlice())
	} else if host != "" {
		like.DNSNames = append(like.DNSNames, host)
	}
	der, err := x509.CreateCertificate(rand.Reader, like, like, &secret.PublicKey, secret)
	if err != nil {
		return nil, nil, err
	}
	secretDER, err := x509.MarshalPKCS8PrivateKey(secret)
	if err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secretDER}), nil
}
