package epoll

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"
	"unsafe"
)

// secure serves TLS connections, and returns its address and what its clients trust.
func secure(t *testing.T, serve func(*tls.Conn)) (netip.AddrPort, *tls.Config) {
	t.Helper()
	web := httptest.NewTLSServer(nil) // for its certificate
	web.Close()
	ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: web.TLS.Certificates})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				serve(c.(*tls.Conn))
			}()
		}
	}()
	roots := x509.NewCertPool()
	roots.AddCert(web.Certificate())
	return ln.Addr().(*net.TCPAddr).AddrPort(), &tls.Config{RootCAs: roots, ServerName: "127.0.0.1"}
}

// shake connects and shakes hands, as a loop does.
func shake(t *testing.T, p *Poll, to netip.AddrPort, config *tls.Config) (*TLS, error) {
	t.Helper()
	fd, err := Connect(netip.Addr{}, to)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Add(fd, Key{Index: 1}); err != nil {
		t.Fatal(err)
	}
	for !Established(fd) {
		if _, err := p.Wait(time.Second); err != nil || Connected(fd) != nil {
			t.Fatal(err, Connected(fd))
		}
	}
	c := NewClient(fd, config)
	t.Cleanup(c.Close)
	done := make(chan error, 1)
	go func() {
		err := c.Handshake()
		p.Wake()
		done <- err
	}()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
		select {
		case err := <-done:
			return c, err
		default:
		}
		events, err := p.Wait(100 * time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		if len(events) > 0 {
			c.Ready()
		}
	}
	t.Fatal("the handshake does not end")
	return nil, nil
}

// readAll reads until the end, waiting where there is nothing.
func readAll(t *testing.T, p *Poll, c *TLS) (all []byte, err error) {
	t.Helper()
	buf := make([]byte, 4096)
	for end := time.Now().Add(10 * time.Second); ; {
		n, err := c.Read(buf)
		all = append(all, buf[:n]...)
		switch {
		case err == ErrAgain:
			if time.Now().After(end) {
				t.Fatal("no end after ", len(all), " bytes")
			}
			p.Wait(100 * time.Millisecond)
		case err != nil || n == 0:
			return all, err
		}
		if c.Pending() > 0 {
			c.Flush()
		}
	}
}

// What is sent comes back, whole, however much it is and however it is cut.
func TestTLSEcho(t *testing.T) {
	for _, size := range []int{1, 100, 1 << 20} {
		to, config := secure(t, func(c *tls.Conn) {
			c.Write([]byte("hello")) // right behind the handshake
			io.CopyN(c, c, int64(size))
		})
		p := poll(t)
		c, err := shake(t, p, to, config)
		if err != nil {
			t.Fatal(err)
		}
		sent := bytes.Repeat([]byte{7, 8, 9}, size/3+1)[:size]
		if err := c.Write(sent); err != nil {
			t.Fatal(err)
		}
		if got, err := readAll(t, p, c); err != nil || string(got[:5]) != "hello" || !bytes.Equal(got[5:], sent) {
			t.Errorf("%d bytes came back as %d: %v", size, len(got), err)
		}
	}
}

// A certificate that nobody vouches for, and a peer that ends, or says nothing, are told.
func TestTLSRefused(t *testing.T) {
	to, config := secure(t, func(c *tls.Conn) { c.Handshake() })
	p := poll(t)
	if _, err := shake(t, p, to, &tls.Config{ServerName: "127.0.0.1", RootCAs: x509.NewCertPool()}); err == nil {
		t.Error("a certificate of nobody is taken")
	}
	config.ServerName = "elsewhere.example"
	if _, err := shake(t, p, to, config); err == nil {
		t.Error("another's certificate is taken")
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		c, err := ln.Accept()
		if err == nil {
			c.Close()
		}
	}()
	if _, err := shake(t, p, ln.Addr().(*net.TCPAddr).AddrPort(), config); err == nil {
		t.Error("a handshake with nobody")
	}
}

// A handshake that hangs is ended by Close, which waits for nothing.
func TestTLSCloseEndsHandshake(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	fd, err := Connect(netip.Addr{}, ln.Addr().(*net.TCPAddr).AddrPort())
	if err != nil {
		t.Fatal(err)
	}
	c := NewClient(fd, &tls.Config{ServerName: "x"})
	done := make(chan error)
	go func() { done <- c.Handshake() }()
	time.Sleep(20 * time.Millisecond)
	c.Close()
	select {
	case err := <-done:
		if err == nil {
			t.Error("no error")
		}
	case <-time.After(5 * time.Second):
		t.Fatal("the handshake goes on")
	}
	if Established(fd) {
		t.Error("the descriptor is open still")
	}
}

// A connection comes from the address that was asked for; one to nobody says why.
func TestConnect(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	to := ln.Addr().(*net.TCPAddr).AddrPort()
	p := poll(t)
	from := netip.MustParseAddr("127.0.0.9")
	fd, err := Connect(from, to)
	if err != nil {
		t.Fatal(err)
	}
	defer Close(fd)
	c, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if got := c.RemoteAddr().(*net.TCPAddr).AddrPort().Addr(); got != from {
		t.Errorf("it comes from %v", got)
	}
	c.Close()
	ln.Close()
	fd, err = Connect(netip.Addr{}, to)
	if err == nil {
		defer Close(fd)
		p.Add(fd, Key{Index: 2})
		p.Wait(time.Second)
		err = Connected(fd)
	}
	if err == nil {
		t.Error("connected to nobody")
	}
}

// A connection keeps no buffer of the longest record that it ever read, and looks for
// those of crypto/tls where they are.
func TestTLSKeepsNoBuffers(t *testing.T) {
	for name, at := range map[string]uintptr{"rawInput": rawInput, "hand": hand} {
		if at == 0 {
			t.Errorf("crypto/tls has no %s any more: see trim.go", name)
		}
	}
	send := make(chan bool)
	defer close(send)
	to, config := secure(t, func(c *tls.Conn) {
		c.Write(make([]byte, 1<<20)) // records of 16 KiB
		<-send
	})
	p := poll(t)
	c, err := shake(t, p, to, config)
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 64<<10)
	for got, end := 0, time.Now().Add(10*time.Second); got < 1<<20; {
		n, err := c.Read(buf)
		if got += n; err == ErrAgain {
			p.Wait(100 * time.Millisecond)
		} else if err != nil || time.Now().After(end) {
			t.Fatal(err)
		}
	}
	if _, err := c.Read(buf); err != ErrAgain {
		t.Fatal(err)
	}
	for name, at := range map[string]uintptr{"rawInput": rawInput, "hand": hand} {
		if kept := (*bytes.Buffer)(unsafe.Add(unsafe.Pointer(c.conn), at)).Cap(); kept > trimAbove {
			t.Errorf("%s keeps %d bytes", name, kept)
		}
	}
}

// Sealing is the path of a price.
func TestSealAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	to, config := secure(t, func(c *tls.Conn) { io.Copy(io.Discard, c) })
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		config.MaxVersion = version
		c, err := shake(t, poll(t), to, config)
		if err != nil {
			t.Fatal(err)
		}
		dst, p := make([]byte, 0, 64<<10), make([]byte, 40<<10) // three records
		if n := testing.AllocsPerRun(100, func() {
			if dst, err = c.Seal(dst[:0], p); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("TLS %x: %v allocations", version, n)
		}
	}
}
