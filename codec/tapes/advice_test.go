package tapes

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tickwire/tickwire/codec/tapes/tapetest"
)

// What a Redis of another kind, or a user who may not, answers says what to do.
func TestAdvice(t *testing.T) {
	t.Parallel()
	plain, replica := tapetest.Start(t), tapetest.Start(t)
	if err := replica.Client().ReplicaOf(t.Context(), "127.0.0.1", plain.Port).Err(); err != nil {
		t.Fatal(err)
	}
	sentinel := tapetest.Start(t, "--sentinel")
	secured := tapetest.Start(t, "--requirepass", "secret")
	full := tapetest.Start(t, "--maxmemory", "1")
	gone := tapetest.Port(t)
	behind := crowded(t)
	read := func(r *Redis) error {
		ctx, cancel := context.WithTimeout(t.Context(), 2*dialTimeout)
		defer cancel()
		return r.Now().Get(ctx, "x").Err()
	}
	write := func(r *Redis) error { return r.Now().Set(t.Context(), "x", "1", 0).Err() }
	for _, c := range []struct {
		url, want string
		do        func(*Redis) error
	}{
		{replica.URL, "; it is a replica: name its master", write},
		{sentinel.URL, "; perhaps it is a Sentinel: add master_name=NAME", read},
		{sentinel.URL + "?master_name=nobody", `; the Sentinels know no master "nobody"`, read},
		{plain.URL + "?master_name=tape", "; it is no Sentinel: leave out master_name", read},
		{plain.URL + "?cluster=true", "; it is no Cluster: leave out cluster=true", read},
		{secured.URL, "; the Redis asks for a password", read},
		{strings.Replace(secured.URL, "//", "//default:wrong@", 1), "; the Redis asks for a password", read},
		{full.URL, "; give it more maxmemory", write},
		{strings.Replace(plain.URL, "redis:", "rediss:", 1), "; rediss:// is TLS, take redis://", read},
		{"redis://127.0.0.1:" + gone, "connection refused; begin it", read},
		{"rediss://" + behind, "i/o timeout; begin it", read}, // nothing is known of what it speaks
	} {
		r := open(t, c.url)
		var err error
		eventually(t, c.want, func() bool { err = c.do(r); return err != nil })
		text := r.Advise(err, "begin it").Error()
		if !strings.Contains(text, c.want) || strings.Contains(text, "\n") {
			t.Errorf("%s: %q, want %q", c.url, text, c.want)
		}
		if !errors.Is(r.Advise(err, ""), err) {
			t.Errorf("%s: the error itself is lost", c.url)
		}
	}
	if addr := elsewhere(t); addr != "" {
		closed := tapetest.Start(t, "--protected-mode", "yes", "--bind", "127.0.0.1 "+addr)
		r := open(t, "redis://"+net.JoinHostPort(addr, closed.Port))
		if text := r.Advise(read(r), "begin it").Error(); !strings.Contains(text, "it is in protected mode") {
			t.Error(text)
		}
	}
	if r := open(t, plain.URL); r.Advise(nil, "") != nil || r.Advise(context.Canceled, "begin it") != context.Canceled {
		t.Error("advice where there is none to give")
	}
}

// elsewhere is an address of this machine that is not its loopback, or "".
func elsewhere(t *testing.T) string {
	t.Helper()
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, addr := range addrs {
		if ip, ok := addr.(*net.IPNet); ok && ip.IP.To4() != nil && !ip.IP.IsLoopback() {
			return ip.IP.String()
		}
	}
	return ""
}

// crowded is where no connection is made nor refused, as behind a firewall: a listener that
// takes none, with as many waiting as it has room for.
func crowded(t *testing.T) (addr string) {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	here := &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}
	if err := errors.Join(syscall.Bind(fd, here), syscall.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	at, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	addr = fmt.Sprintf("127.0.0.1:%d", at.(*syscall.SockaddrInet4).Port)
	for {
		conn, err := net.DialTimeout("tcp", addr, 100*time.Millisecond)
		if err != nil {
			return addr
		}
		t.Cleanup(func() { conn.Close() })
	}
}
