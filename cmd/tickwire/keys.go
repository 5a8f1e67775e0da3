package main

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/tickwire/tickwire/fanout/token"
)

// keysCmd makes what tokens are signed and verified with, and, to try them, a certificate.
type keysCmd struct {
	Dir  string `arg:"" help:"Directory for the files; made if need be."`
	Alg  string `default:"EdDSA" enum:"EdDSA,ES256,RS256,HS256" env:"TICKWIRE_KEYS_ALG" placeholder:"NAME" help:"What tokens are signed by: EdDSA, ES256, RS256, or HS256, which is a secret that nodes have too. [${default}]"`
	Host string `env:"TICKWIRE_KEYS_HOST" placeholder:"NAME" help:"Make a certificate for this host, too, and its key: to try nodes with, for who is told to trust it. [none]"`
	Keep bool   `env:"TICKWIRE_KEYS_KEEP" help:"If all files are there already, leave them as they are. [that is an error]"`
}

// keyFile is one to be written, and what it is for.
type keyFile struct {
	name string
	text []byte
	mode fs.FileMode
	does string
}

func (c *keysCmd) Run() error { return c.run(os.Stdout) }

func (c *keysCmd) run(stdout io.Writer) error {
	keys, err := token.MakeKey(c.Alg)
	if err != nil {
		return fmt.Errorf("keys: %w", err)
	}
	in := func(name string) string { return filepath.Join(c.Dir, name) }
	files := []keyFile{
		{in("signing.pem"), keys.Signing, 0o600, "keep it secret; tickwire token sign --key takes it"},
		{in("public.pem"), keys.Public, 0o644, "give it to every node: --token-key"},
		{in("jwks.json"), keys.JWKS, 0o644, "or publish it by https and give nodes its URL: --token-jwks"},
	}
	if keys.Secret != nil {
		files = []keyFile{{in("secret"), keys.Secret, 0o600, "keep it secret; tickwire token sign --secret takes it, and every node: --token-secret"}}
	}
	if c.Host != "" {
		cert, key, err := selfSigned(c.Host)
		if err != nil {
			return fmt.Errorf("keys: --host %s: %w", c.Host, err)
		}
		files = append(files, keyFile{in("cert.pem"), cert, 0o644, "a certificate for 30 days: --tls-cert of nodes; watch --ca, curl --cacert"},
			keyFile{in("key.pem"), key, 0o600, "its key: --tls-key"})
	}
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return fmt.Errorf("keys: %w", err)
	}
	var there, missing []string // all or none
	for _, f := range files {
		if stat, err := os.Lstat(f.name); err == nil && stat.Size() > 0 {
			there = append(there, f.name)
		} else {
			missing = append(missing, f.name)
		}
	}
	switch {
	case len(there) > 0 && !c.Keep:
		return fmt.Errorf("keys: %s is there already, and is not overwritten; name another directory", there[0])
	case len(there) > 0 && len(missing) > 0:
		return fmt.Errorf("keys: %s is there, but not %s; name another directory, or remove what is there", there[0], strings.Join(missing, ", "))
	case len(there) > 0:
		return nil
	}
	for _, f := range files {
		if err := writeNew(f); err != nil {
			return fmt.Errorf("keys: %w", err)
		}
		fmt.Fprintf(stdout, "%s: %s\n", f.name, f.does)
	}
	return nil
}

// writeNew writes a file, whole or not at all, that nobody else may have made meanwhile.
func writeNew(f keyFile) error {
	w, err := os.OpenFile(f.name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, f.mode)
	if err != nil {
		return err
	}
	_, err = w.Write(f.text)
	if cerr := w.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		os.Remove(f.name)
	}
	return err
}
