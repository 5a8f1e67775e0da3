package tapes

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// What a URL may have behind its question mark: what is read here, and with it what the
// driver reads.
var (
	ownOptions = []string{"addr", "master_name", "sentinel_username", "sentinel_password", "cluster", "replicas", "ca", "cert", "key"}
	options    = slices.Sorted(slices.Values(append([]string{"skip_verify", "db", "protocol"}, ownOptions...)))
)

var errURL = errors.New("a URL is redis://HOST:PORT, rediss:// for TLS, or unix:///PATH; of Sentinels redis://HOST:PORT?master_name=NAME, of a Cluster redis://HOST:PORT?cluster=true")

var errEscape = errors.New("a user, or a password, in a Redis URL has # as %23, ? as %3F, / as %2F and @ as %40")

// parse reads a URL. No error quotes it, for it may hold a password.
//
//	redis://[USER:PASSWORD@]HOST:PORT[/DB]      one server; rediss:// is TLS
//	unix://[USER:PASSWORD@]/PATH                likewise
//	  ?master_name=NAME[&addr=HOST:PORT...]     HOST:PORT, and addr, are Sentinels
//	   &sentinel_username=U&sentinel_password=P what they ask for
//	  ?cluster=true[&addr=HOST:PORT...]         nodes of a Cluster, to begin with
//	  &replicas=true                            readers may be sent to replicas
//	  &ca=FILE &cert=FILE&key=FILE              of TLS, PEM; &skip_verify=true
func parse(text string) (*redis.UniversalOptions, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" && u.Scheme != "unix" {
		return nil, errURL
	}
	if strings.Contains(text, "#") {
		return nil, errEscape // else it ends the URL within a password, which is another then
	}
	query := u.Query()
	for name, values := range query {
		switch {
		case !slices.Contains(options, name) && strings.Contains(u.RawQuery, "@"):
			return nil, errEscape // the name may be part of a password
		case !slices.Contains(options, name):
			return nil, fmt.Errorf("a Redis URL has no option %q: there are %s", name, strings.Join(options, ", "))
		case len(values) > 1 && name != "addr":
			return nil, fmt.Errorf("the option %s is there twice in a Redis URL", name)
		}
	}
	own := url.Values{}
	for _, name := range ownOptions {
		own[name] = query[name]
		query.Del(name)
	}
	u.RawQuery = query.Encode()
	one, err := redis.ParseURL(u.String())
	if err != nil {
		return nil, errURL
	}
	o := &redis.UniversalOptions{
		Addrs: append([]string{one.Addr}, own["addr"]...), DB: one.DB, Username: one.Username, Password: one.Password,
		Protocol: one.Protocol, TLSConfig: one.TLSConfig, MasterName: own.Get("master_name"),
		SentinelUsername: own.Get("sentinel_username"), SentinelPassword: own.Get("sentinel_password"),
	}
	if o.IsClusterMode, err = flag(own, "cluster"); err != nil {
		return nil, err
	}
	if o.ReadOnly, err = flag(own, "replicas"); err != nil {
		return nil, err
	}
	return o, complete(o, own, u.Scheme)
}

// complete refuses what does not go together, and reads the files of TLS.
func complete(o *redis.UniversalOptions, own url.Values, scheme string) error {
	for _, addr := range own["addr"] {
		host, port, err := net.SplitHostPort(addr)
		if _, bad := strconv.ParseUint(port, 10, 16); err != nil || bad != nil || host == "" || strings.Contains(host, "@") {
			return errors.New("addr in a Redis URL is HOST:PORT")
		}
	}
	several := o.MasterName != "" || o.IsClusterMode
	if several && o.TLSConfig != nil {
		o.TLSConfig.ServerName = "" // that of the first: each host has a certificate of its own
	}
	switch {
	case o.MasterName != "" && o.IsClusterMode:
		return errors.New("master_name is of Sentinels, cluster of a Cluster: a Redis URL has one of them")
	case len(own["addr"]) > 0 && !several:
		return errors.New("addr in a Redis URL goes with master_name, for Sentinels, or with cluster=true")
	case several && scheme == "unix":
		return errors.New("a Redis URL of Sentinels, or of a Cluster, is redis:// or rediss://")
	case o.MasterName == "" && o.SentinelUsername+o.SentinelPassword != "":
		return errors.New("sentinel_username and sentinel_password in a Redis URL go with master_name")
	case o.IsClusterMode && o.DB != 0:
		return errors.New("a Redis Cluster has no databases: leave out the /DB")
	case !several && o.ReadOnly:
		return errors.New("replicas=true in a Redis URL goes with master_name or cluster=true; a node may also be given the URL of a replica")
	case (own.Get("cert") == "") != (own.Get("key") == ""):
		return errors.New("cert and key in a Redis URL go together")
	case o.TLSConfig == nil && own.Get("ca")+own.Get("cert") != "":
		return errors.New("ca, cert and key in a Redis URL are of TLS: take rediss://")
	}
	if ca := own.Get("ca"); ca != "" {
		pem, err := os.ReadFile(ca)
		if err != nil {
			return fmt.Errorf("ca in a Redis URL: %w", err)
		}
		o.TLSConfig.RootCAs = x509.NewCertPool()
		if !o.TLSConfig.RootCAs.AppendCertsFromPEM(pem) {
			return fmt.Errorf("ca in a Redis URL: %s has no certificate, PEM", ca)
		}
	}
	if cert := own.Get("cert"); cert != "" {
		pair, err := tls.LoadX509KeyPair(cert, own.Get("key"))
		if err != nil {
			return fmt.Errorf("cert and key in a Redis URL: %w", err)
		}
		o.TLSConfig.Certificates = []tls.Certificate{pair}
	}
	return nil
}

// flag is an option that is true or false.
func flag(own url.Values, name string) (bool, error) {
	switch own.Get(name) {
	case "", "false":
		return false, nil
	case "true":
		return true, nil
	}
	return false, fmt.Errorf("%s in a Redis URL is true or false", name)
}
