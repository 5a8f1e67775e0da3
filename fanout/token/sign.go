package token

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"
)

// rsaBits is the size of an RSA key that we make: good beyond 2030 (NIST SP 800-57).
const rsaBits = 3072

// Signer signs tokens with one key.
type Signer struct {
	method  jwt.SigningMethod
	private any
	kid     string // thumbprint of the public key; "" of a secret
}

// NewSigner signs with the private key in a PEM file's text.
func NewSigner(text []byte) (*Signer, error) {
	private, err := parsePrivate(text)
	if err != nil {
		return nil, err
	}
	k, err := newKey(private.Public(), "")
	if err != nil {
		return nil, err
	}
	return &Signer{k.method, private, k.kid}, nil
}

// NewSecretSigner signs with the secret in a file's text, as a node reads it.
func NewSecretSigner(text []byte) (*Signer, error) {
	k, err := parseSecret(text)
	if err != nil {
		return nil, err
	}
	return &Signer{method: k.method, private: k.public}, nil
}

func parsePrivate(text []byte) (crypto.Signer, error) {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		var private any
		var err error
		switch {
		case block.Type == "EC PARAMETERS": // openssl writes it before a key
			continue
		case block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != "":
			return nil, errors.New("this key is encrypted; openssl pkey -in FILE prints it in the clear")
		case block.Type == "PRIVATE KEY":
			private, err = x509.ParsePKCS8PrivateKey(block.Bytes)
		case block.Type == "EC PRIVATE KEY":
			private, err = x509.ParseECPrivateKey(block.Bytes)
		case block.Type == "RSA PRIVATE KEY":
			private, err = x509.ParsePKCS1PrivateKey(block.Bytes)
		case strings.HasSuffix(block.Type, "PUBLIC KEY"):
			return nil, errors.New("this is a public key; signing needs the private one")
		default:
			return nil, fmt.Errorf("this is a %.40q; signing needs a PRIVATE KEY", block.Type)
		}
		if err != nil {
			return nil, err
		}
		if signer, ok := private.(crypto.Signer); ok {
			return signer, nil
		}
		return nil, fmt.Errorf("a key of this kind (%T) does not sign", private)
	}
	return nil, errors.New("there is no private key in it, which would be PEM")
}

// Sign makes a token. It refuses claims that no node takes, but for their times.
func (s *Signer) Sign(c *Claims) (string, error) {
	if err := c.Validate(); err != nil {
		return "", err
	}
	t := jwt.NewWithClaims(s.method, c)
	if s.kid != "" {
		t.Header["kid"] = s.kid
	}
	signed, err := t.SignedString(s.private)
	if err == nil && len(signed) > TokenMax {
		err = errTooLong
	}
	if err != nil {
		return "", err
	}
	return signed, nil
}

// Keys are the texts of the files of a new key: a secret for HS256, else all others.
type Keys struct {
	Signing []byte // PEM (PKCS#8), for who signs only
	Public  []byte // PEM, for nodes
	JWKS    []byte // the same, for an issuer to publish
	Secret  []byte // for who signs and for nodes
}

// MakeKey makes a key of an algorithm.
func MakeKey(alg string) (*Keys, error) {
	var private crypto.Signer
	var err error
	switch alg {
	case "HS256":
		secret := make([]byte, secretMin)
		rand.Read(secret) // never fails
		return &Keys{Secret: []byte(base64.RawURLEncoding.EncodeToString(secret) + "\n")}, nil
	case "EdDSA":
		_, private, err = ed25519.GenerateKey(nil)
	case "ES256":
		private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "RS256":
		private, err = rsa.GenerateKey(rand.Reader, rsaBits)
	default:
		return nil, errors.New("there are EdDSA, ES256, RS256 and HS256")
	}
	if err != nil {
		return nil, err
	}
	return keysOf(private)
}

func keysOf(private crypto.Signer) (*Keys, error) {
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, err
	}
	pkix, err := x509.MarshalPKIXPublicKey(private.Public())
	if err != nil {
		return nil, err
	}
	k, err := newKey(private.Public(), "")
	if err != nil {
		return nil, err
	}
	m, err := jwkOf(k.public)
	if err != nil {
		return nil, err
	}
	m.ALG, m.USE, m.KID = jwkset.ALG(k.method.Alg()), jwkset.UseSig, k.kid
	set, err := json.MarshalIndent(jwkset.JWKSMarshal{Keys: []jwkset.JWKMarshal{m}}, "", "  ")
	if err != nil {
		return nil, err
	}
	return &Keys{
		Signing: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}),
		Public:  pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: pkix}),
		JWKS:    append(set, '\n'),
	}, nil
}
