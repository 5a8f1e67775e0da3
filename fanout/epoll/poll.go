package epoll

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"sync"
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

// Poll is one epoll instance and its wake-up. A goroutine that waits in it keeps its
// thread and its processor, in Go's sense, and the runtime does not know that it waits: an
// open Poll adds a processor to GOMAXPROCS, so that others have as many as without. What
// that saves is the runtime's part in falling asleep and waking, and its monitor, which
// looks around every 20 us for a while whenever a process wakes from doing nothing.
type Poll struct {
	fd, wakefd int
	coarse     bool // the kernel counts timeouts in ms: before 5.11, or some sandbox
	raw        [batchMax]unix.EpollEvent
	ready      [batchMax]Event
}

// NewPoll opens an epoll instance.
func NewPoll() (*Poll, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll: create: %w", err)
	}
	p := &Poll{fd: fd}
	if p.wakefd, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("epoll: eventfd: %w", err)
	}
	addProcs(1)
	if err := p.Add(p.wakefd, wakeKey); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

var procs sync.Mutex // around a change of GOMAXPROCS

func addProcs(n int) {
	procs.Lock()
	defer procs.Unlock()
	runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + n)
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
// is ready; the slice is valid until the next Wait. A wake-up, or a signal, ends the wait
// and is not among the events.
func (p *Poll) Wait(timeout time.Duration) ([]Event, error) {
	n, errno := p.wait(timeout)
	if errno == unix.ENOSYS || errno == unix.EPERM {
		p.coarse = true
		n, errno = p.wait(timeout)
	}
	if errno != 0 && errno != unix.EINTR {
		return nil, fmt.Errorf("epoll: wait: %w", errno)
	}
	k := 0
	for i := range p.raw[:max(0, n)] {
		key := Key{Index: uint32(p.raw[i].Fd), Gen: uint32(p.raw[i].Pad)}
		if key != wakeKey {
			p.ready[k] = Event{Key: key, Ready: p.raw[i].Events}
			k++
		}
	}
	return p.ready[:k], nil
}

// wait is raw: the runtime would take the processor away, and bring it back. When it
// wants this goroutine to stop, for a collection, its signal ends the wait.
func (p *Poll) wait(timeout time.Duration) (int, unix.Errno) {
	if p.coarse {
		ms := -1
		if timeout >= 0 {
			ms = int((timeout + time.Millisecond - 1) / time.Millisecond)
		}
		n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(p.fd), uintptr(unsafe.Pointer(&p.raw[0])), batchMax, uintptr(ms), 0, 0)
		return int(n), errno
	}
	most := unix.NsecToTimespec(int64(timeout))
	limit := &most
	if timeout < 0 {
		limit = nil
	}
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT2, uintptr(p.fd), uintptr(unsafe.Pointer(&p.raw[0])), batchMax, uintptr(unsafe.Pointer(limit)), 0, 0)
	return int(n), errno
}

// Wake ends the Wait under way, or the next one. Any goroutine may call it. The count
// that it adds to is never read: edge-triggered, every addition is an event.
func (p *Poll) Wake() {
	var one [8]byte
	binary.NativeEndian.PutUint64(one[:], 1)
	unix.Write(p.wakefd, one[:])
}

// Close closes the poll, once, not the descriptors registered with it.
func (p *Poll) Close() {
	if p.fd < 0 {
		return
	}
	unix.Close(p.wakefd)
	unix.Close(p.fd)
	p.fd = -1
	addProcs(-1)
}
