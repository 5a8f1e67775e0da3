package fanout

import (
	"crypto/tls"
	"encoding/pem"
	"errors"
	"strings"
)

// KeyPair is a certificate with its key, both PEM. Of an encrypted key it says so, for which
// crypto/tls has no word.
func KeyPair(chain, key []byte) (tls.Certificate, error) {
	for block, rest := pem.Decode(key); block != nil; block, rest = pem.Decode(rest) {
		if strings.HasPrefix(block.Type, "ENCRYPTED ") || block.Headers["DEK-Info"] != "" {
			return tls.Certificate{}, errors.New("the key is encrypted, which is not taken: openssl pkey -in FILE prints it in the clear")
		}
	}
	return tls.X509KeyPair(chain, key)
}
