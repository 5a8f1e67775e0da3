package tapes

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tickwire/tickwire/codec/tapes/tapetest"
)

// certificate writes one of 127.0.0.1, and its key, and returns their files.
func certificate(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	private8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	for file, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: private8}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

// Every form of a URL is what it says.
func TestURLForms(t *testing.T) {
	cert, key := certificate(t)
	for url, want := range map[string]struct {
		addrs, kind, user, password, master string
		db                                  int
		tls, replicas                       bool
	}{
		"redis://h:1":             {addrs: "h:1", kind: "*redis.Client"},
		"redis://h":               {addrs: "h:6379", kind: "*redis.Client"},
		"redis://[::1]:1":         {addrs: "[::1]:1", kind: "*redis.Client"},
		"redis://u:p%40@h:1/5":    {addrs: "h:1", kind: "*redis.Client", user: "u", password: "p@", db: 5},
		"redis://:p@h:1?db=5":     {addrs: "h:1", kind: "*redis.Client", password: "p", db: 5},
		"redis://h:1?protocol=2":  {addrs: "h:1", kind: "*redis.Client"},
		"rediss://h:1":            {addrs: "h:1", kind: "*redis.Client", tls: true},
		"unix:///run/redis":       {addrs: "/run/redis", kind: "*redis.Client"},
		"unix://u:p@/r?db=2":      {addrs: "/r", kind: "*redis.Client", user: "u", password: "p", db: 2},
		"redis://h:1?cluster=":    {addrs: "h:1", kind: "*redis.Client"},
		"rediss://h?ca=" + cert:   {addrs: "h:6379", kind: "*redis.Client", tls: true},
		"redis://h?cluster=false": {addrs: "h:6379", kind: "*redis.Client"},
		"rediss://h?skip_verify=true&cert=" + cert + "&key=" + key:                                                {addrs: "h:6379", kind: "*redis.Client", tls: true},
		"redis://u:p@h:1?master_name=m&addr=i:2&addr=j:3&replicas=true&sentinel_username=su&sentinel_password=sp": {addrs: "h:1,i:2,j:3", kind: "*redis.Client", user: "u", password: "p", master: "m", replicas: true},
		"redis://u:p@h:1?cluster=true&addr=i:2&replicas=true":                                                     {addrs: "h:1,i:2", kind: "*redis.ClusterClient", user: "u", password: "p", replicas: true},
		"rediss://h:1?cluster=true": {addrs: "h:1", kind: "*redis.ClusterClient", tls: true},
	} {
		r, err := Open(url, Role{Name: "n", Conns: 3, Reads: true})
		if err != nil {
			t.Errorf("%s: %v", url, err)
			continue
		}
		r.Close()
		o := r.opt
		if r.At != want.addrs || fmt.Sprintf("%T", r.client) != want.kind || o.Username != want.user || o.Password != want.password ||
			o.DB != want.db || o.MasterName != want.master || (o.TLSConfig != nil) != want.tls || o.ReadOnly != want.replicas {
			t.Errorf("%s: at %s, a %T, %+v", url, r.At, r.client, o)
		}
		if o.ClientName != "n" || o.PoolSize != 3 || o.MaxRetries != -1 {
			t.Errorf("%s: %+v", url, o)
		}
	}
	o, err := parse("rediss://h?skip_verify=true&ca=" + cert + "&cert=" + cert + "&key=" + key)
	if err != nil || !o.TLSConfig.InsecureSkipVerify || o.TLSConfig.RootCAs == nil || len(o.TLSConfig.Certificates) != 1 {
		t.Error(o, err)
	}
	o, err = parse("redis://h?master_name=m&sentinel_username=su&sentinel_password=sp")
	if err != nil || o.SentinelUsername != "su" || o.SentinelPassword != "sp" {
		t.Error(o, err)
	}
	if r, err := Open("redis://h?cluster=true&replicas=true", Role{}); err != nil || r.opt.ReadOnly {
		t.Error("who writes is sent to a replica", err)
	}
}

// What is refused is told with what would be right, and never with a password: neither one
// that is where it should be, nor one whose characters make another URL of it.
func TestURLRefusals(t *testing.T) {
	const url = "a URL is redis://HOST:PORT"
	cert, _ := certificate(t)
	for text, say := range map[string]string{
		"":                                                            url,
		"h:1":                                                         url,
		"redis://":                                                    url,
		"redis:///5":                                                  url,
		"http://u:secret@h":                                           url,
		"redis://u:secret@h:port":                                     url,
		"redis://u:secret%zz@h":                                       url,
		"redis://u:secret@h/x":                                        url,
		"redis://u:secret@h/1/2":                                      url,
		"redis://u:secret@h?db=x":                                     url,
		"redis://u:secret@h?protocol=x":                               url,
		"redis://u:secret@h?skip_verify=true":                         url,
		"redis://u:12/secret@h":                                       url,
		"redis://u:12#secret@h":                                       "as %23",
		"redis://u:12?secret@h":                                       "as %23",
		"redis://u:12?a&secret=1@h":                                   "as %23",
		"unix://u:secret@":                                            url,
		"redis://u:secret@h?sentinels=x":                              `no option "sentinels": there are addr, ca`,
		"redis://u:secret@h?db=1&db=2":                                "db is there twice",
		"redis://h?addr=i:1":                                          "addr in a Redis URL goes with master_name",
		"redis://h?master_name=m&addr=i":                              "addr in a Redis URL is HOST:PORT",
		"redis://h?cluster=true&addr=secret@i:1":                      "addr in a Redis URL is HOST:PORT",
		"redis://h?cluster=true&addr=:1":                              "addr in a Redis URL is HOST:PORT",
		"redis://h?cluster=true&addr=u:secret@i":                      "addr in a Redis URL is HOST:PORT",
		"redis://u:secret@h?master_name=m&cluster=true":               "has one of them",
		"unix:///r?cluster=true":                                      "is redis:// or rediss://",
		"redis://h?sentinel_password=secret":                          "go with master_name",
		"redis://u:secret@h/1?cluster=true":                           "has no databases",
		"redis://h?cluster=secret":                                    "cluster in a Redis URL is true or false",
		"redis://h?master_name=m&replicas=secret":                     "replicas in a Redis URL is true or false",
		"redis://u:secret@h?replicas=true":                            "replicas=true in a Redis URL goes with",
		"rediss://u:secret@h?cert=x":                                  "cert and key in a Redis URL go together",
		"redis://u:secret@h?ca=x":                                     "take rediss://",
		"redis://u:secret@h?cert=x&key=y":                             "take rediss://",
		"rediss://u:secret@h?ca=no/such":                              "no such file",
		"rediss://u:secret@h?ca=url_test.go":                          "has no certificate, PEM",
		"rediss://u:secret@h?cert=no/such&key=no":                     "no such file",
		"rediss://u:secret@h?cert=" + cert + "&key=" + cert:           "cert and key in a Redis URL: tls:",
		"redis://u:secret@h?master_name=m&sentinel_password=s@cret&x": "as %23",
	} {
		r, err := Open(text, Role{})
		if err == nil {
			r.Close()
			t.Errorf("%s is taken for %s", text, r.At)
			continue
		}
		if !strings.Contains(err.Error(), say) || strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "s@cret") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// Who has several hosts holds the certificate of each against its own name.
func TestURLHosts(t *testing.T) {
	t.Parallel()
	for url, name := range map[string]string{
		"rediss://one:1": "one", "rediss://one:1?master_name=m&addr=two:2": "", "rediss://one:1?cluster=true&addr=two:2": "",
	} {
		if o, err := parse(url); err != nil || o.TLSConfig.ServerName != name {
			t.Errorf("%s: %v, %+v", url, err, o)
		}
	}
	cert, key := certificate(t)
	free := tapetest.Start(t) // a port for TLS
	free.Kill()
	s := tapetest.Start(t, "--tls-port", free.Port, "--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file", cert,
		"--tls-auth-clients", "no", "--tls-cluster", "yes", "--cluster-enabled", "yes", "--cluster-announce-ip", "127.0.0.1")
	if err := s.Client().ClusterAddSlotsRange(t.Context(), 0, 16383).Err(); err != nil {
		t.Fatal(err)
	}
	r := open(t, "rediss://localhost:"+free.Port+"?cluster=true&addr="+free.Addr+"&ca="+cert)
	eventually(t, "the one with a certificate answers", func() bool { return r.Now().Get(t.Context(), "x").Err() == redis.Nil })
}

// A client by its URL is one that works, and says no password when it does not.
func TestURLPassword(t *testing.T) {
	t.Parallel()
	s := tapetest.Start(t, "--requirepass", "right")
	r := open(t, "redis://:right@"+s.Addr)
	if err := r.Now().Ping(t.Context()).Err(); err != nil {
		t.Error(err)
	}
	for _, url := range []string{"redis://u:secret@" + s.Addr, "redis://:secret@" + s.Addr, "redis://:secret@127.0.0.1:1"} {
		r := open(t, url)
		if _, err := r.Streams(t.Context()); err == nil || strings.Contains(err.Error(), "secret") || !strings.Contains(err.Error(), "redis at "+r.At) {
			t.Errorf("%s: %v", url, err)
		}
	}
	if name, err := r.Now().(*redis.Client).ClientGetName(t.Context()).Result(); err != nil || name != "test" {
		t.Error(name, err)
	}
}
