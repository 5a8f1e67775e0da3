package epoll

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Readiness bits of an Event.
const (
	In  = unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLHUP | unix.EPOLLERR
	Out = unix.EPOLLOUT | unix.EPOLLHUP | unix.EPOLLERR
)

// Key is what a caller registers with a descriptor and gets back with its
// events. Gen tells an event of a closed descriptor from one of its successor
// under the same Index.
type Key struct {
	Index uint32
	Gen   uint32
}

// Event is one descriptor's readiness.
type Event struct {
	Key   Key
	Ready uint32
}

// Readable reports whether reading will not block: there are bytes, an end of
// stream or an error to be had.
func (e Event) Readable() bool { return e.Ready&In != 0 }

// Ended reports whether the peer sends no more: no event follows this one, so what
// is there must be read to its end.
func (e Event) Ended() bool {
	return e.Ready&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0
}

// Writable reports whether writing will not block.
func (e Event) Writable() bool { return e.Ready&Out != 0 }

// batchMax is how many events one Wait takes: 4 KiB of them, so that a loop
// comes back to its flushing often enough.
const batchMax = 256

// wakeKey marks the wake-up descriptor; no caller's Index reaches it.
var wakeKey = Key{Index: 1<<32 - 1, Gen: 1<<32 - 1}

// Poll is one epoll instance and its wake-up. It waits as any goroutine waits for a
// socket: the epoll instance is a descriptor of the runtime's own poller. A thread
// blocked in epoll_wait(2) would keep its processor from the goroutines beside it until
// the runtime's monitor notices, up to 10 ms later.
type Poll struct {
	fd, wakefd int
	file       *os.File // owns fd
	conn       syscall.RawConn
	take       func(fd uintptr) bool // p.poll, once made
	yield      bool                  // poll is to be asked again
	n          int                   // events in raw
	err        error                 // of poll
	raw        [batchMax]unix.EpollEvent
	ready      [batchMax]Event
}

// NewPoll opens an epoll instance.
func NewPoll() (*Poll, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll: create: %w", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil { // os.NewFile asks the runtime to poll what is
		unix.Close(fd)
		return nil, fmt.Errorf("epoll: set non-blocking: %w", err)
	}
	p := &Poll{fd: fd, wakefd: -1, file: os.NewFile(uintptr(fd), "epoll")}
	p.take = p.poll
	if p.conn, err = p.file.SyscallConn(); err == nil {
		err = p.file.SetReadDeadline(time.Time{}) // refused when the runtime does not poll it
	}
	if err == nil {
		p.wakefd, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	}
	if err != nil {
		p.Close()
		return nil, fmt.Errorf("epoll: %w", err)
	}
	if err := p.Add(p.wakefd, wakeKey); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

// Add registers a descriptor, once, for both directions, edge-triggered.
func (p *Poll) Add(fd int, key Key) error {
	ev := unix.EpollEvent{
		Events: unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET,
		Fd:     int32(key.Index),
		Pad:    int32(key.Gen),
	}
	if err := unix.EpollCtl(p.fd, unix.EPOLL_CTL_ADD, fd, &ev); err != nil {
		return fmt.Errorf("epoll: add: %w", err)
	}
	return nil
}

// AddListener registers a listening descriptor level-triggered: connections that
// one round leaves in the backlog are announced again in the next.
func (p *Poll) AddListener(fd int, key Key) error {
	ev := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(key.Index), Pad: int32(key.Gen)}
	if err := unix.EpollCtl(p.fd, unix.EPOLL_CTL_ADD, fd, &ev); err != nil {
		return fmt.Errorf("epoll: add listener: %w", err)
	}
	return nil
}

// Remove forgets a descriptor that stays open. Closing one forgets it too.
func (p *Poll) Remove(fd int) error {
	if err := unix.EpollCtl(p.fd, unix.EPOLL_CTL_DEL, fd, nil); err != nil {
		return fmt.Errorf("epoll: remove: %w", err)
	}
	return nil
}

// Wait blocks for at most timeout (negative: until something happens) and returns what
// is ready; the slice is valid until the next Wait. A wake-up ends the wait and is not
// among the events. With a timeout of 0 it lets other goroutines have their turn, those
// too whose sockets have become ready, and returns.
func (p *Poll) Wait(timeout time.Duration) ([]Event, error) {
	p.yield = timeout == 0
	if !p.yield && p.poll(0) {
		return p.events()
	}
	var deadline time.Time
	if timeout > 0 {
		deadline = time.Now().Add(timeout)
	}
	if err := p.file.SetReadDeadline(deadline); err != nil {
		return nil, fmt.Errorf("epoll: wait: %w", err)
	}
	if err := p.conn.Read(p.take); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, fmt.Errorf("epoll: wait: %w", err)
	}
	return p.events()
}

// poll takes what is ready, and reports whether anything is. A raw system call is not
// seen by the runtime, which would make ready for one that takes long; this one does not.
func (p *Poll) poll(uintptr) bool {
	p.n, p.err = 0, nil
	if p.yield {
		p.yield = false
		p.Wake() // so that we shall be asked again
		return false
	}
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(p.fd), uintptr(unsafe.Pointer(&p.raw[0])), batchMax, 0, 0, 0)
	if errno == unix.EINTR {
		return true
	}
	if errno != 0 {
		p.err = fmt.Errorf("epoll: wait: %w", errno)
		return true
	}
	p.n = int(n)
	return n > 0
}

// events are those that poll has taken.
func (p *Poll) events() ([]Event, error) {
	k := 0
	for i := range p.raw[:p.n] {
		key := Key{Index: uint32(p.raw[i].Fd), Gen: uint32(p.raw[i].Pad)}
		if key != wakeKey {
			p.ready[k] = Event{Key: key, Ready: p.raw[i].Events}
			k++
		}
	}
	p.n = 0
	return p.ready[:k], p.err
}

// Wake ends the Wait under way, or the next one. Any goroutine may call it. The count
// that it adds to is never read: edge-triggered, every addition is an event.
func (p *Poll) Wake() {
	var one [8]byte
	binary.NativeEndian.PutUint64(one[:], 1)
	unix.Write(p.wakefd, one[:])
}

// Close closes the poll, not the descriptors registered with it.
func (p *Poll) Close() {
	unix.Close(p.wakefd)
	p.file.Close()
}
