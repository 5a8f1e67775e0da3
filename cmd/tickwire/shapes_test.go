package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tickwire/tickwire/codec/tapes/tapetest"
)

// redisCLI says something to a Redis, and returns its answer.
func redisCLI(t *testing.T, port string, args ...string) string {
	t.Helper()
	out, err := exec.Command(need(t, "redis-cli"), append([]string{"-p", port}, args...)...).CombinedOutput()
	if err != nil || strings.HasPrefix(string(out), "ERR") {
		t.Fatalf("redis-cli %v: %v: %s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// startServer runs a redis-server that keeps nothing, on a port of its own.
func startServer(t *testing.T, args ...string) (p *process, port string) {
	t.Helper()
	port = tapetest.Port(t)
	p = start(t, "redis-server", need(t, "redis-server"), append([]string{"--port", port, "--bind", "127.0.0.1", "--dir", t.TempDir(), "--save", ""}, args...)...)
	return p, port
}

// answers waits until a Redis says something.
func answers(t *testing.T, port, want string, args ...string) {
	t.Helper()
	within(t, 20*time.Second, fmt.Sprintf("redis-cli %v says %s", args, want), func() bool {
		out, _ := exec.Command("redis-cli", append([]string{"-p", port}, args...)...).CombinedOutput()
		return strings.Contains(string(out), want)
	})
}

// shape is a Redis, the URLs by which feeds and nodes reach it, and something that may
// happen to it; flow checks that prices go on coming meanwhile.
type shape struct {
	feed, node string
	happens    func(flow func(what string))
}

// usersFile has the users of deploy/redis.
func usersFile(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join(root, "deploy/redis/users.acl"))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// operator says something as one of them to a Redis that has them.
func operator(t *testing.T, port string, args ...string) string {
	t.Helper()
	return redisCLI(t, port, append([]string{"-a", "operator-secret", "--no-auth-warning"}, args...)...)
}

// nothingRefused checks that they have all that they need.
func nothingRefused(t *testing.T, port string) {
	t.Helper()
	if log := operator(t, port, "acl", "log"); log != "" {
		t.Errorf("the users of deploy/redis/users.acl lack something: %s", log)
	}
}

// secured is a server with TLS that asks for certificates, and the users of deploy/redis.
func secured(t *testing.T) shape {
	made, err := makeCertificate("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { made.remove() })
	mine, key := writeClientCert(t)
	tls := tapetest.Port(t)
	_, port := startServer(t, "--tls-port", tls, "--tls-cert-file", made.cert, "--tls-key-file", made.key,
		"--tls-ca-cert-file", mine, "--tls-auth-clients", "yes", "--aclfile", usersFile(t))
	answers(t, port, "PONG", "-a", "operator-secret", "ping")
	url := "rediss://%s:%[1]s-secret@localhost:" + tls + "?ca=" + made.cert + "&cert=" + mine + "&key=" + key
	return shape{fmt.Sprintf(url, "feed"), fmt.Sprintf(url, "node"), func(func(string)) {
		for _, args := range [][]string{{"status"}, {"tail", "--count", "1"}, {"verify", "--for", "1s"}} {
			if out, bad, code := tapeRun(t, fmt.Sprintf(url, "viewer"), args...); code != 0 {
				t.Errorf("tape %v of who only looks: exit code %d\n%s%s", args, code, out, bad)
			}
		}
		nothingRefused(t, port)
	}}
}

// sentinels are a master, two replicas, of which nodes read, and three Sentinels.
func sentinels(t *testing.T) shape {
	_, master := startServer(t)
	for range 2 {
		startServer(t, "--replicaof", "127.0.0.1", master)
	}
	answers(t, master, "connected_slaves:2", "info", "replication")
	var hosts []string
	for range 3 {
		conf := filepath.Join(t.TempDir(), "sentinel.conf")
		port := tapetest.Port(t)
		text := fmt.Sprintf("port %s\nbind 127.0.0.1\nsentinel monitor tape 127.0.0.1 %s 2\nsentinel down-after-milliseconds tape 1000\nsentinel failover-timeout tape 3000\n", port, master)
		if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		start(t, "sentinel", need(t, "redis-server"), conf, "--sentinel")
		hosts = append(hosts, "127.0.0.1:"+port)
	}
	one := hosts[0][len("127.0.0.1:"):]
	answers(t, one, "num-other-sentinels\n2", "sentinel", "master", "tape")
	answers(t, one, "num-slaves\n2", "sentinel", "master", "tape")
	url := "redis://" + hosts[0] + "?master_name=tape&addr=" + hosts[1] + "&addr=" + hosts[2]
	return shape{url, url + "&replicas=true", func(func(string)) {
		redisCLI(t, one, "sentinel", "failover", "tape")
		within(t, 20*time.Second, "another is the master", func() bool {
			return !strings.Contains(redisCLI(t, one, "sentinel", "get-master-addr-by-name", "tape"), master)
		})
	}}
}

// cluster is three masters, with the users of deploy/redis; a stream's slot moves to another
// while it is written and read, and both are asked for it for a while.
func cluster(t *testing.T) shape {
	users := usersFile(t)
	var ports []string
	for i, slots := range [][2]string{{"0", "5460"}, {"5461", "10922"}, {"10923", "16383"}} {
		_, port := startServer(t, "--cluster-enabled", "yes", "--cluster-node-timeout", "2000", "--aclfile", users)
		answers(t, port, "PONG", "-a", "operator-secret", "ping")
		operator(t, port, "cluster", "addslotsrange", slots[0], slots[1])
		operator(t, port, "cluster", "set-config-epoch", fmt.Sprint(i+1))
		ports = append(ports, port)
		operator(t, ports[0], "cluster", "meet", "127.0.0.1", port)
	}
	for _, port := range ports {
		answers(t, port, "cluster_state:ok", "-a", "operator-secret", "cluster", "info")
		answers(t, port, "cluster_known_nodes:3", "-a", "operator-secret", "cluster", "info")
	}
	url := "redis://%s:%[1]s-secret@127.0.0.1:" + ports[0] + "?cluster=true&addr=127.0.0.1:" + ports[1]
	return shape{fmt.Sprintf(url, "feed"), fmt.Sprintf(url, "node") + "&replicas=true", func(flow func(string)) {
		const slot = "8256" // of sim/0, the second's
		from, to := operator(t, ports[1], "cluster", "myid"), operator(t, ports[2], "cluster", "myid")
		if keys := operator(t, ports[1], "cluster", "getkeysinslot", slot, "10"); !strings.Contains(keys, "tape:{sim/0}") {
			t.Fatalf("slot %s has %s", slot, keys)
		}
		operator(t, ports[2], "cluster", "setslot", slot, "importing", from)
		operator(t, ports[1], "cluster", "setslot", slot, "migrating", to)
		keys := func() []string { return strings.Fields(operator(t, ports[1], "cluster", "getkeysinslot", slot, "10")) }
		for left := keys(); len(left) > 0; left = keys() {
			operator(t, ports[1], append([]string{"migrate", "127.0.0.1", ports[2], "", "0", "2000", "auth2", "default", "operator-secret", "keys"}, left...)...)
		}
		flow("while the slot moves")
		answers(t, ports[1], "errorstat_ASK", "-a", "operator-secret", "info", "errorstats")
		operator(t, ports[2], "cluster", "setslot", slot, "node", to)
		operator(t, ports[1], "cluster", "setslot", slot, "node", to)
		for _, port := range ports {
			nothingRefused(t, port)
		}
	}}
}

// The tape over a Redis in every shape it may have, by one URL: while it is written and
// read, something happens to it, and all prices go on coming, none older than before.
func TestRedisShapes(t *testing.T) {
	for name, make := range map[string]func(*testing.T) shape{"tls and users": secured, "sentinels": sentinels, "cluster": cluster} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			need(t, "redis-cli")
			s := make(t)
			var feeds []*process
			for range 2 {
				feeds = append(feeds, tickwire(t, "feed", "--redis", s.feed, "--metrics", "off", "--shards", "4", "--sim-symbols", "40", "--sim-rate", "1000"))
			}
			port := tapetest.Port(t)
			tickwire(t, "fanout", "--redis", s.node, "--listen", "127.0.0.1:"+port, "--metrics", "off")
			w := startWatch(t, port, "sim:*")
			flow := func(what string) {
				t.Helper()
				w.mu.Lock()
				from := map[string]float64{}
				for symbol, seq := range w.seqs {
					from[symbol] = seq
				}
				w.mu.Unlock()
				within(t, 15*time.Second, what+": every symbol has something new, and is live", func() bool {
					w.mu.Lock()
					defer w.mu.Unlock()
					for symbol, seq := range w.seqs {
						if seq <= from[symbol] || w.quotes[symbol]["status"] != "live" {
							return false
						}
					}
					return len(w.seqs) == 40
				})
			}
			flow("at first")
			s.happens(flow)
			flow("after it happened")
			feeds[0].kill()
			flow("the other feed has them all")
			w.mu.Lock()
			defer w.mu.Unlock()
			for _, line := range w.back {
				t.Error(line)
			}
		})
	}
}
