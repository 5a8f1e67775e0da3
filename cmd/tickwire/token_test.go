package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tickwire/tickwire/fanout/token"
)

// run runs the program to its end, with something to read.
func run(t *testing.T, stdin string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, args...)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errs
	cmd.Run()
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// What is signed with a key that we made is verified with its public half, and shown.
func TestTokens(t *testing.T) {
	for alg, c := range map[string]struct{ sign, verify []string }{
		"EdDSA": {[]string{"--key", "signing.pem"}, []string{"--key", "public.pem"}},
		"ES256": {[]string{"--key", "signing.pem"}, []string{"--key", "jwks.json"}},
		"HS256": {[]string{"--secret", "secret"}, []string{"--secret", "secret"}},
	} {
		dir := filepath.Join(t.TempDir(), "made", "if need be")
		stdout, stderr, code := run(t, "", "keys", dir, "--alg", alg)
		if code != 0 {
			t.Fatal(stderr)
		}
		modes := map[string]os.FileMode{"signing.pem": 0o600, "public.pem": 0o644, "jwks.json": 0o644}
		if alg == "HS256" {
			modes = map[string]os.FileMode{"secret": 0o600}
		}
		files, _ := os.ReadDir(dir)
		if len(files) != len(modes) || strings.Count(stdout, "\n") != len(modes) {
			t.Errorf("%s: %v\n%s", alg, files, stdout)
		}
		for _, f := range files {
			if info, err := f.Info(); err != nil || info.Mode()&^modes[f.Name()] != 0 || !strings.Contains(stdout, f.Name()+": ") {
				t.Errorf("%s: %s has mode %v (%v)", alg, f.Name(), info.Mode(), err)
			}
		}
		before, _ := os.ReadFile(filepath.Join(dir, files[len(files)-1].Name()))
		if _, stderr, code = run(t, "", "keys", dir, "--alg", alg, "--keep"); code != 0 {
			t.Error(stderr)
		}
		if _, stderr, code = run(t, "", "keys", dir, "--alg", alg, "--keep", "--host", "localhost"); code != 1 || !strings.Contains(stderr, "is there, but not "+filepath.Join(dir, "cert.pem")) {
			t.Errorf("of a part: %d, %s", code, stderr)
		}
		if _, stderr, code = run(t, "", "keys", dir, "--alg", alg); code != 1 || !strings.Contains(stderr, "not overwritten") {
			t.Errorf("%s: %d, %s", alg, code, stderr)
		}
		if after, _ := os.ReadFile(filepath.Join(dir, files[len(files)-1].Name())); !bytes.Equal(before, after) {
			t.Errorf("%s: overwritten", alg)
		}

		c.sign[1], c.verify[1] = filepath.Join(dir, c.sign[1]), filepath.Join(dir, c.verify[1])
		args := append([]string{"token", "sign", "--sub", "alice", "--aud", "tickwire", "--iss", "us", "--jti", "7", "--symbols", "coinbase:*,kraken:BTC-USD", "--rate", "5", "--conns", "2", "--newest", "--for", "5m"}, c.sign...)
		signed, stderr, code := run(t, "", args...)
		if code != 0 || stderr != "" || !regexp.MustCompile(`^[\w-]+\.[\w-]+\.[\w-]+\n$`).MatchString(signed) {
			t.Fatalf("%s: %d, %q, %s", alg, code, signed, stderr)
		}
		verify := append([]string{"token", "verify", "--audience", "tickwire", "--issuer", "us"}, c.verify...)
		for _, more := range [][]string{nil, {"-"}, {strings.TrimSpace(signed)}} {
			stdout, stderr, code = run(t, signed, append(slices.Clone(verify), more...)...)
			var claims token.Claims
			if err := json.Unmarshal([]byte(stdout), &claims); code != 0 || stderr != "" || err != nil || claims.Subject != "alice" || claims.ID != "7" || len(claims.Grant.Symbols) != 2 ||
				claims.Grant.Rate != 5 || claims.Grant.Conns != 2 || !claims.Grant.Newest || claims.Left(time.Now()) > 5*time.Minute {
				t.Errorf("%s: %d, %v, %s, %s", alg, code, err, stdout, stderr)
			}
		}
		stdout, _, code = run(t, signed, "token", "show")
		if code != 0 || !strings.HasPrefix(stdout, "NOT VERIFIED") || !strings.Contains(stdout, `"alg": "`+alg+`"`) || !regexp.MustCompile(`(?m)^exp 20\S+Z, in [45]m\d+s$`).MatchString(stdout) {
			t.Errorf("%s: %d, %s", alg, code, stdout)
		}
		for reason, args := range map[string][]string{"audience": {"--audience", "x"}, "issuer": {"--issuer", "x"}} {
			stdout, stderr, code = run(t, signed, append(slices.Clone(verify), args...)...)
			if code != 1 || stdout != "" || !strings.Contains(stderr, "refused, "+reason) || strings.Contains(stderr, strings.TrimSpace(signed)) {
				t.Errorf("%s: %d, %s, %s", alg, code, stdout, stderr)
			}
		}
	}
}

// Whoever takes one file for the other is told which it is.
func TestTokenFiles(t *testing.T) {
	dir := t.TempDir()
	if _, stderr, code := run(t, "", "keys", dir); code != 0 {
		t.Fatal(stderr)
	}
	private, public := filepath.Join(dir, "signing.pem"), filepath.Join(dir, "public.pem")
	for say, args := range map[string]string{
		"a node needs the public one":           "token verify --key " + private,
		"signing needs the private one":         "token sign --key " + public,
		"this is a PEM file":                    "token sign --secret " + public,
		"no such file":                          "token sign --key no/such/file",
		"open no/such/file: no such file":       "token verify --key no/such/file",
		"a JWT has 3":                           "token show a.b",
		"header: not base64url":                 "token show !.e30.x",
		"claims: not JSON":                      "token show e30.AAAA.x",
		"refused, malformed: this is not a JWT": "token verify a.b.c --key " + public,
		"refused, too_long: the token is lo":    "token verify --key " + public + " " + strings.Repeat("a", 4097),
		"keys: mkdir " + private:                "keys " + private,
	} {
		stdout, stderr, code := run(t, "", strings.Fields(args)...)
		if code != 1 || !strings.Contains(stderr, say) || strings.Contains(stdout, "{") && !strings.HasPrefix(stdout, "NOT") {
			t.Errorf("%s: %d, %s, %s", args, code, stdout, stderr)
		}
	}
}

// Who signs what revoking will not end for good is told.
func TestTokenSignWarns(t *testing.T) {
	dir := t.TempDir()
	if _, stderr, code := run(t, "", "keys", dir); code != 0 {
		t.Fatal(stderr)
	}
	private, public := filepath.Join(dir, "signing.pem"), filepath.Join(dir, "public.pem")
	for args, say := range map[string]string{
		"":                     "cannot be revoked, for it has neither --sub nor --jti",
		"--sub alice":          "",
		"--jti 7 --for 7d":     "",
		"--jti 7 --for 6d24h":  "",
		"--jti 7 --for 6d25h":  "for 7 days, and this token is good for longer",
		"--sub alice --for 8d": "a revocation is kept for 7 days, and this token is good for longer",
	} {
		signed, stderr, code := run(t, "", append([]string{"token", "sign", "--key", private}, strings.Fields(args)...)...)
		if code != 0 || (say == "") != (stderr == "") || !strings.Contains(stderr, say) {
			t.Errorf("%s: %d, %s", args, code, stderr)
		}
		if stdout, stderr, code := run(t, signed, "token", "verify", "--key", public); code != 0 || !strings.Contains(stdout, `"exp"`) {
			t.Errorf("%s: %d, %s, %s", args, code, stdout, stderr)
		}
		if shown, _, _ := run(t, signed, "token", "show"); strings.Contains(args, "8d") && !strings.Contains(shown, "Z, in 191h59m") && !strings.Contains(shown, "Z, in 192h0m0s") {
			t.Errorf("%s: %s", args, shown)
		}
	}
}

// Who revokes where no node reads is told where they do, and what is revoked where one does ends.
func TestTokenRevoke(t *testing.T) {
	if stdout, stderr, code := run(t, "", "token", "revoke", "--sub", "alice", "--redis", "redis://127.0.0.1:1"); code != 1 || stdout != "" || !strings.Contains(stderr, "begin up with --redis") {
		t.Errorf("%d, %s, %s", code, stdout, stderr)
	}
	d := startDoor(t)
	if _, stderr, code := run(t, "", "token", "revoke", "--sub", "alice", "--redis", strings.Replace(d.redis, "redis:", "rediss:", 1)); code != 1 || !strings.Contains(stderr, "; rediss:// is TLS, take redis:// where it is not spoken") {
		t.Errorf("%d, %s", code, stderr)
	}
	w := startWatch(t, d.port, "--token", d.sign("alice", time.Hour, token.Grant{}), "sim:*")
	within(t, 10*time.Second, "connected", func() bool { return strings.Contains(w.text(), "connected to node") })
	if stdout, stderr, code := run(t, "", "token", "revoke", "--sub", "alice", "--redis", d.redis); code != 0 || !strings.HasPrefix(stdout, "revoked; nodes of this Redis") || !strings.Contains(stdout, "no more for 7 days") {
		t.Errorf("%d, %s, %s", code, stdout, stderr)
	}
	within(t, 10*time.Second, "it is revoked", func() bool { return strings.Contains(w.text(), "4001: the token was revoked") })
}

// That an issuer does not tell its keys is told with the reason, whatever is logged.
func TestTokenIssuer(t *testing.T) {
	d := t.TempDir()
	if _, stderr, code := run(t, "", "keys", d); code != 0 {
		t.Fatal(stderr)
	}
	signed, _, _ := run(t, "", "token", "sign", "--sub", "alice", "--key", filepath.Join(d, "signing.pem"))
	files := httptest.NewServer(http.FileServer(http.Dir(d)))
	defer files.Close()
	for at, say := range map[string]string{
		files.URL + "/public.pem": "this is not a JWKS",
		files.URL + "/none":       "HTTP 404",
		"http://127.0.0.1:1/":     "connection refused",
		files.URL + "/jwks.json":  "",
	} {
		_, stderr, code := run(t, signed, "token", "verify", "--log", "error", "--jwks", at)
		if say != "" && (code != 1 || !strings.Contains(stderr, "--jwks: the issuer's keys cannot be fetched: ") || !strings.Contains(stderr, say)) || say == "" && (code != 0 || stderr != "") {
			t.Errorf("%s: %d, %s", at, code, stderr)
		}
	}
}

// Who verifies a token is told once why not, and that the issuer lacks its key is no matter of
// waiting, for the issuer was asked for it.
func TestTokenIssuerOnce(t *testing.T) {
	d, other := t.TempDir(), t.TempDir()
	for _, dir := range []string{d, other} {
		if _, stderr, code := run(t, "", "keys", dir); code != 0 {
			t.Fatal(stderr)
		}
	}
	signed, _, _ := run(t, "", "token", "sign", "--sub", "alice", "--key", filepath.Join(d, "signing.pem"))
	files := httptest.NewServer(http.FileServer(http.Dir(other)))
	defer files.Close()
	for at, say := range map[string]string{"/jwks.json": "refused, unknown_key: the token's kid names no key", "/none": "HTTP 404"} {
		_, stderr, code := run(t, signed, "token", "verify", "--jwks", files.URL+at)
		if code != 1 || strings.Count(stderr, say) != 1 {
			t.Errorf("%s: %d, %s", at, code, stderr)
		}
	}
}

// A token may be written by anyone: what a terminal would obey is printed instead.
func TestTokenShowIsSafe(t *testing.T) {
	b64 := base64.RawURLEncoding.EncodeToString
	raw := b64([]byte(`{"alg":"none"}`)) + "." + b64([]byte("{\"sub\":\"\u009b2J\u202e\x7f\",\"exp\":1e10,\"nbf\":\"x\",\"iat\":-1}")) + "."
	var out bytes.Buffer
	show := tokenShowCmd{tokenArg{Token: raw}}
	if err := show.run(nil, &out, time.Unix(1e10+5, 0)); err != nil {
		t.Fatal(err)
	}
	if text := out.String(); strings.ContainsAny(text, "\u009b\u202e\x7f") || !strings.Contains(text, `"sub": "\u009b2J\u202e\u007f"`) || !strings.HasSuffix(text, "exp 2286-11-20T17:46:40Z, 5s ago\n") {
		t.Errorf("%q", text)
	}
}
