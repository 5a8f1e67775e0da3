package fanout

import (
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// Without a descriptor for net/http, plain HTTP is told so, and counted by its reason.
func TestHandOverWithoutDescriptors(t *testing.T) {
	n := startNode(t, func(cfg *Config) { cfg.Loops = 1 })
	conn, err := net.Dial("tcp", n.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	eventually(t, 3*time.Second, "the connection is accepted", func() bool { return n.opened() == 1 })
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	none := limit
	none.Cur = 3
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &none); err != nil {
		t.Fatal(err)
	}
	io.WriteString(conn, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
	conn.SetReadDeadline(time.Now().Add(3 * time.Second))
	answer, err := io.ReadAll(conn)
	syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
	if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 503") || !strings.Contains(string(answer), "Retry-After: 1") {
		t.Errorf("%q %v", answer, err)
	}
	eventually(t, 3*time.Second, "the refusal is counted, and no place taken", func() bool {
		return testutil.ToFloat64(n.events.handshakes.WithLabelValues("no_descriptor")) == 1 && n.http.open.Load() == 0
	})
	res, err := http.Get("http://" + n.addr + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	if res.Body.Close(); res.StatusCode != http.StatusOK {
		t.Errorf("with descriptors: %s", res.Status)
	}
}
