package token

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"unicode/utf8"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"
)

const (
	// keysMax bounds the keys of a node, the issuer's included: a token without a kid is
	// tried with each that its algorithm fits, which takes some 0.1 ms.
	keysMax = 16
	// secretMin is what HS256 asks for (RFC 7518, 3.2).
	secretMin = 32
	// rsaMin is what RS256 asks for (RFC 7518, 3.3); beyond rsaMax a check takes too long.
	rsaMin, rsaMax = 2048, 8192
	kidMax         = 256 // bytes of a key's name, which is logged
)

var errPrivate = errors.New("this is a private key; a node needs the public one")

// key verifies tokens, by one algorithm only.
type key struct {
	kid      string // its name, or its thumbprint (RFC 7638); "" of a secret
	nameless bool   // nobody named it: it is tried for names that no key has
	method   jwt.SigningMethod
	public   any    // what method takes; of a secret the secret
	print    string // its thumbprint; "" of a secret
	// gone says that the key is in no ring any more: what it verified does not hold.
	gone atomic.Bool
}

// newKey is a key of a public one, with the algorithm that is its.
func newKey(public any, kid string) (*key, error) {
	method, err := methodOf(public)
	if err != nil {
		return nil, err
	}
	print, err := thumbprint(public)
	if err != nil {
		return nil, err
	}
	k := &key{kid: kid, nameless: kid == "", method: method, public: public, print: print}
	if k.nameless {
		k.kid = print
	}
	return k, nil
}

func methodOf(public any) (jwt.SigningMethod, error) {
	switch public := public.(type) {
	case ed25519.PublicKey:
		return jwt.SigningMethodEdDSA, nil
	case *ecdsa.PublicKey:
		if public.Curve == elliptic.P256() {
			return jwt.SigningMethodES256, nil
		}
	case *rsa.PublicKey:
		bits := public.N.BitLen()
		if bits < rsaMin || bits > rsaMax || public.E < 3 || public.E%2 == 0 {
			return nil, fmt.Errorf("an RSA key of %d bits with the exponent %d; %d to %d bits, and 65537, are safe", bits, public.E, rsaMin, rsaMax)
		}
		return jwt.SigningMethodRS256, nil
	}
	return nil, fmt.Errorf("a key of this kind (%T) is not used; RSA, P-256 and Ed25519 are", public)
}

// jwkOf is a public key as others read it, without a name.
func jwkOf(public any) (jwkset.JWKMarshal, error) {
	jwk, err := jwkset.NewJWKFromKey(public, jwkset.JWKOptions{})
	return jwk.Marshal(), err
}

// thumbprint is a key's name by what it is: RFC 7638, and RFC 8037 for Ed25519.
func thumbprint(public any) (string, error) {
	m, err := jwkOf(public)
	if err != nil {
		return "", err
	}
	text := fmt.Sprintf(`{"crv":%q,"kty":%q,"x":%q}`, m.CRV, m.KTY, m.X)
	switch m.KTY {
	case jwkset.KtyEC:
		text = fmt.Sprintf(`{"crv":%q,"kty":%q,"x":%q,"y":%q}`, m.CRV, m.KTY, m.X, m.Y)
	case jwkset.KtyRSA:
		text = fmt.Sprintf(`{"e":%q,"kty":%q,"n":%q}`, m.E, m.KTY, m.N)
	}
	sum := sha256.Sum256([]byte(text))
	return base64.RawURLEncoding.EncodeToString(sum[:]), nil
}

// parsePublic reads the public keys of PEM blocks.
func parsePublic(text []byte) (keys []*key, err error) {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		var public any
		switch {
		case strings.Contains(block.Type, "PRIVATE KEY"):
			return nil, errPrivate
		case block.Type == "PUBLIC KEY":
			public, err = x509.ParsePKIXPublicKey(block.Bytes)
		case block.Type == "RSA PUBLIC KEY":
			public, err = x509.ParsePKCS1PublicKey(block.Bytes)
		case block.Type == "CERTIFICATE":
			err = errors.New("this is a certificate; openssl x509 -pubkey -noout -in FILE prints the key in it")
		default:
			err = fmt.Errorf("this is a %.40q; a node needs a PUBLIC KEY", block.Type)
		}
		if err != nil {
			return nil, err
		}
		k, err := newKey(public, "")
		if err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	if keys == nil {
		return nil, errors.New("there is no key in it, neither PEM nor a JWKS")
	}
	return keys, nil
}

// parseSecret reads a shared secret; the newline that editors and echo put behind it is not
// part of it.
func parseSecret(text []byte) (*key, error) {
	secret := bytes.TrimSuffix(bytes.TrimSuffix(text, []byte("\n")), []byte("\r"))
	if block, _ := pem.Decode(text); block != nil {
		return nil, errors.New("this is a PEM file, which others may know; a secret is random bytes")
	}
	if json.Unmarshal(text, new(map[string]json.RawMessage)) == nil {
		return nil, errors.New("this is JSON, as a JWKS is, which others may know; a secret is random bytes")
	}
	if slices.ContainsFunc(bytes.FieldsFunc(text, func(r rune) bool { return r >= utf8.RuneSelf || !alphabet[r] }), isToken) {
		return nil, errors.New("there is a token in it, which others may know; a secret is random bytes")
	}
	if len(secret) < secretMin {
		return nil, fmt.Errorf("a secret has at least %d bytes; this has %d", secretMin, len(secret))
	}
	return &key{nameless: true, method: jwt.SigningMethodHS256, public: bytes.Clone(secret)}, nil
}

func isToken(word []byte) bool {
	_, err := split(word)
	return err == nil
}

// parseJWK reads a key of a set. What it says of its use must be what we use it for.
func parseJWK(text []byte) (*key, error) {
	var m jwkset.JWKMarshal
	if json.Unmarshal(text, &m) != nil {
		return nil, errors.New("not a JWK")
	}
	switch {
	case m.KTY == jwkset.KtyOct:
		return nil, errors.New("a secret, which has no place where others read")
	case m.D != "" || m.P != "" || m.Q != "":
		return nil, errPrivate
	case len(m.KID) > kidMax:
		return nil, fmt.Errorf("its kid is longer than %d bytes", kidMax)
	case m.USE != "" && m.USE != jwkset.UseSig:
		return nil, errors.New("its use is not sig")
	case len(m.KEYOPS) > 0 && !slices.Contains(m.KEYOPS, jwkset.KeyOpsVerify):
		return nil, errors.New("its key_ops are without verify")
	}
	m.X5C, m.X5T, m.X5TS256, m.X5U = nil, "", "", "" // certificates are not looked at
	jwk, err := jwkset.NewJWKFromMarshal(m, jwkset.JWKMarshalOptions{}, jwkset.JWKValidateOptions{})
	if err != nil {
		return nil, errors.New("not a key of a kind that is known, or broken")
	}
	k, err := newKey(jwk.Key(), m.KID)
	if err == nil && m.ALG != "" && string(m.ALG) != k.method.Alg() {
		return nil, fmt.Errorf("its alg is %.20q; a key of its kind is used for %s only", m.ALG, k.method.Alg())
	}
	return k, err
}

// parseSet reads a JWKS. A key in it that cannot be used, for a reason in odd, is none of
// ours: sets have keys of other kinds, too.
func parseSet(text []byte) (keys []*key, odd []error, err error) {
	var set struct{ Keys *[]json.RawMessage }
	if json.Unmarshal(text, &set) != nil || set.Keys == nil {
		return nil, nil, errors.New("this is not a JWKS: a JSON object with keys")
	}
	for i, jwk := range *set.Keys {
		k, err := parseJWK(jwk)
		if err != nil {
			odd = append(odd, fmt.Errorf("key %d: %w", i+1, err))
			continue
		}
		keys = append(keys, k)
	}
	return keys, odd, nil
}
