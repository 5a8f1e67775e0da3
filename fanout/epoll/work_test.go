package epoll

import (
	"crypto/tls"
	"net"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"
)

// Of who waits for a place, three who go on come before one who begins.
func TestWorkGoesOn(t *testing.T) {
	w := NewWork(1)
	w.Begin()
	var (
		mu    sync.Mutex
		order []string
		all   sync.WaitGroup
	)
	wait := func(take func(), name string, line, n int) {
		all.Go(func() {
			take()
			mu.Lock()
			order = append(order, name)
			mu.Unlock()
			w.Done()
		})
		for waits := 0; waits < n; time.Sleep(time.Millisecond) {
			w.mu.Lock()
			waits = len(w.waiting[line])
			w.mu.Unlock()
		}
	}
	for i := range 3 {
		wait(w.Begin, "begins", 0, i+1)
	}
	for i := range 6 {
		wait(w.GoOn, "goes on", 1, i+1)
	}
	w.Done()
	all.Wait()
	if order[0] != "goes on" || slices.Index(order, "begins") != 3 || order[7] != "begins" || w.free != 1 {
		t.Errorf("%d places are free after %q", w.free, order)
	}
	var nobody *Work
	nobody.Begin()
	nobody.Done()
}

// A handshake that was given up while it waited for its place computes nothing in it.
func TestTLSClosedBeforeItsPlace(t *testing.T) {
	web := httptest.NewTLSServer(nil) // for its certificate
	web.Close()
	fd, peer := pair(t)
	go tls.Client(peer, &tls.Config{InsecureSkipVerify: true}).Handshake()
	work, signed := NewWork(1), 0
	work.Begin()
	s := NewServer(fd, &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		signed++
		return &web.TLS.Certificates[0], nil
	}}, work)
	done := make(chan error)
	go func() { done <- s.Handshake() }()
	s.Close()
	s.Close()
	work.Done()
	if err := <-done; err != net.ErrClosed || signed != 0 {
		t.Errorf("it was computed %d times, for nobody: %v", signed, err)
	}
}
