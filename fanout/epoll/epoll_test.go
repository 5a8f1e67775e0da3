package epoll

import (
	"errors"
	"fmt"
	"net"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// pair is a connection accepted by a Poll's listener and its net.Conn peer.
func pair(t testing.TB) (fd int, peer net.Conn) {
	t.Helper()
	lfd, err := Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer Close(lfd)
	peer, err = net.Dial("tcp", bound(t, lfd))
	if err != nil {
		t.Fatal(err)
	}
	for fd, _, err = Accept(lfd, time.Second); err == ErrAgain; fd, _, err = Accept(lfd, time.Second) {
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { peer.Close() })
	return fd, peer
}

// bound is a listener's address.
func bound(t testing.TB, fd int) string {
	t.Helper()
	at, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", at.(*unix.SockaddrInet4).Port)
}

func poll(t testing.TB) *Poll {
	t.Helper()
	p, err := NewPoll()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

func TestWakeEndsAWait(t *testing.T) {
	p := poll(t)
	go func() {
		time.Sleep(10 * time.Millisecond)
		p.Wake()
	}()
	events, err := p.Wait(-1)
	if err != nil || len(events) != 0 {
		t.Fatalf("Wait = %v, %v; want no events", events, err)
	}
	p.Wake() // before a wait, it ends the next one
	if _, err := p.Wait(-1); err != nil {
		t.Fatal(err)
	}
	if events, err := p.Wait(0); err != nil || len(events) != 0 {
		t.Fatalf("a wake-up stayed behind: %v, %v", events, err)
	}
}

// A loop that sleeps, or never does, keeps neither a collection from its work nor others
// from theirs, not on one processor.
func TestWaitHoldsNobodyUp(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	for _, timeout := range []time.Duration{-1, 0} {
		p := poll(t)
		if n := runtime.GOMAXPROCS(0); n != 2 {
			t.Errorf("%d processors beside a poll", n)
		}
		var ended atomic.Bool
		done := make(chan error, 1)
		go func() {
			var err error
			for !ended.Load() && err == nil {
				_, err = p.Wait(timeout)
			}
			done <- err
		}()
		time.Sleep(10 * time.Millisecond) // it waits
		began := time.Now()
		for range 20 {
			runtime.GC()
		}
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("20 collections took %v", took)
		}
		ended.Store(true)
		p.Wake()
		if err := <-done; err != nil {
			t.Error(err)
		}
		p.Close()
		if n := runtime.GOMAXPROCS(0); n != 1 {
			t.Errorf("%d processors when it is closed", n)
		}
	}
}

// A kernel without the finer wait has the other.
func TestCoarseWait(t *testing.T) {
	p := poll(t)
	p.coarse = true
	for _, timeout := range []time.Duration{0, time.Microsecond, 5 * time.Millisecond} {
		began := time.Now()
		if events, err := p.Wait(timeout); err != nil || len(events) != 0 {
			t.Fatalf("Wait = %v, %v", events, err)
		}
		if took := time.Since(began); took < timeout {
			t.Errorf("a wait of %v took %v", timeout, took)
		}
	}
	p.Wake()
	if _, err := p.Wait(-1); err != nil {
		t.Fatal(err)
	}
}

func TestEventsCarryTheirKey(t *testing.T) {
	p := poll(t)
	fd, peer := pair(t)
	defer Close(fd)
	key := Key{Index: 7, Gen: 1 << 31}
	if err := p.Add(fd, key); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Wait(time.Second); err != nil { // the first edge: writable
		t.Fatal(err)
	}
	peer.Write([]byte("hello"))
	events, err := p.Wait(time.Second)
	if err != nil || len(events) != 1 || events[0].Key != key || !events[0].Readable() {
		t.Fatalf("Wait = %+v, %v", events, err)
	}
	var buf [16]byte
	if n, err := Read(fd, buf[:]); n != 5 || err != nil {
		t.Fatalf("Read = %d, %v", n, err)
	}
	if _, err := Read(fd, buf[:]); err != ErrAgain {
		t.Fatalf("Read of nothing = %v, want ErrAgain", err)
	}
}

// A socket whose reader stopped takes little: what waits must wait in our memory.
func TestStoppedReaderFillsSoon(t *testing.T) {
	fd, _ := pair(t)
	defer Close(fd)
	p := make([]byte, 1000)
	var taken int
	for taken < 10<<20 {
		n, err := Write(fd, p)
		taken += n
		if err != nil {
			if !errors.Is(err, ErrAgain) {
				t.Fatal(err)
			}
			break
		}
	}
	if taken > 1<<20 {
		t.Fatalf("a stopped reader's socket took %d bytes", taken)
	}
}

func TestListenersShareAPort(t *testing.T) {
	a, err := Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer Close(a)
	b, err := Listen(bound(t, a))
	if err != nil {
		t.Fatal(err)
	}
	Close(b)
}

func TestDetachGivesANetConn(t *testing.T) {
	fd, peer := pair(t)
	c, err := Detach(fd)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	go peer.Write([]byte("x"))
	c.SetReadDeadline(time.Now().Add(2 * time.Second))
	var b [1]byte
	if _, err := c.Read(b[:]); err != nil || b[0] != 'x' {
		t.Fatalf("Read = %q, %v", b, err)
	}
}

func TestNothingAllocates(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	p := poll(t)
	fd, _ := pair(t)
	defer Close(fd)
	p.Add(fd, Key{Index: 1})
	var buf [8]byte
	if n := testing.AllocsPerRun(100, func() {
		p.Wait(0)
		p.Wake()
		p.Wait(time.Minute)
		p.Wait(time.Microsecond)
		Read(fd, buf[:])
		Write(fd, buf[:1])
	}); n != 0 {
		t.Errorf("%v allocations a round", n)
	}
}

// A peer that gave up while it waited is no reason to stop accepting.
func TestOutOfResources(t *testing.T) {
	for err, want := range map[error]bool{
		unix.EMFILE: true, unix.ENFILE: true, unix.ENOBUFS: true, unix.ENOMEM: true, unix.ECONNABORTED: false, unix.EINTR: false,
	} {
		if OutOfResources(err) != want {
			t.Errorf("%v: want %v", err, want)
		}
	}
}
