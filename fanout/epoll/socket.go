package epoll

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ErrAgain is what Read, Write and Accept return when they would block.
var ErrAgain error = unix.EAGAIN

// notSentLow is TCP_NOTSENT_LOWAT: how many bytes the kernel holds unsent before
// a write would block. What waits beyond it waits in our memory, where it is
// still conflated. Measured on loopback with a stopped reader: 3.9 MB are taken
// without it, 77 KB with it.
const notSentLow = 16 << 10

// Listen opens a non-blocking TCP listener. Several may share a port (SO_REUSEPORT):
// the kernel spreads the connections over them.
func Listen(addr string) (fd int, err error) {
	config := net.ListenConfig{Control: sharePort}
	config.SetMultipathTCP(false) // its sockets do not take all of Accept's options
	ln, err := config.Listen(context.Background(), "tcp", addr)
	if err != nil {
		return -1, err
	}
	defer ln.Close()
	raw, err := ln.(*net.TCPListener).SyscallConn()
	if err != nil {
		return -1, err
	}
	// A duplicate, for the runtime polls the other.
	if ctlErr := raw.Control(func(s uintptr) { fd, err = unix.FcntlInt(s, unix.F_DUPFD_CLOEXEC, 0) }); ctlErr != nil {
		return -1, ctlErr
	}
	return fd, err
}

func sharePort(_, _ string, raw syscall.RawConn) (err error) {
	ctlErr := raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) })
	return cmp.Or(ctlErr, err)
}

// OutOfResources reports whether Accept failed for want of descriptors or memory: it
// will again until some are given back. Any other error is of one connection.
func OutOfResources(err error) bool {
	return err == unix.EMFILE || err == unix.ENFILE || err == unix.ENOBUFS || err == unix.ENOMEM
}

// Accept takes one connection, non-blocking and tuned: no delay, little unsent
// in the kernel, and given up after timeout when the peer acknowledges nothing. From is
// the peer's address.
func Accept(listener int, timeout time.Duration) (fd int, from netip.Addr, err error) {
	fd, peer, err := unix.Accept4(listener, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
	if err != nil {
		return -1, from, err
	}
	// Options that an exotic socket refuses cost speed, not correctness.
	unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, notSentLow)
	unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(timeout.Milliseconds()))
	return fd, addrOf(peer), nil
}

// Peer is the address of whom a socket is connected to; the zero address when it is not.
func Peer(fd int) netip.Addr {
	peer, _ := unix.Getpeername(fd)
	return addrOf(peer)
}

func addrOf(a unix.Sockaddr) (addr netip.Addr) {
	switch a := a.(type) {
	case *unix.SockaddrInet4:
		addr = netip.AddrFrom4(a.Addr)
	case *unix.SockaddrInet6:
		addr = netip.AddrFrom16(a.Addr)
	}
	return addr
}

// Read reads what is there: ErrAgain when nothing is, 0 at the end of stream.
func Read(fd int, p []byte) (int, error) { return transfer(unix.SYS_RECVFROM, fd, p, 0) }

// Peek is Read, but what it reads is there yet.
func Peek(fd int, p []byte) (int, error) { return transfer(unix.SYS_RECVFROM, fd, p, unix.MSG_PEEK) }

// Write writes what the kernel takes, which may be less than p; ErrAgain when it
// takes nothing.
func Write(fd int, p []byte) (int, error) { return transfer(unix.SYS_SENDTO, fd, p, 0) }

// transfer is a recvfrom(2) or sendto(2) that does not block, which is why the runtime
// need not know of it.
func transfer(call uintptr, fd int, p []byte, flags uintptr) (int, error) {
	for {
		n, _, errno := unix.RawSyscall6(call, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)),
			unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL|flags, 0, 0)
		switch errno {
		case 0:
			return int(n), nil
		case unix.EINTR:
		case unix.EAGAIN:
			return 0, ErrAgain
		default:
			return 0, errno
		}
	}
}

// Close closes a descriptor; a poll it was registered with forgets it.
func Close(fd int) { unix.Close(fd) }

// Shutdown ends the sending direction: the peer reads what was written, then the
// end of stream.
func Shutdown(fd int) { unix.Shutdown(fd, unix.SHUT_WR) }

// Detach makes a net.Conn of a connection, for the standard library to serve, and
// closes the descriptor; on an error it stays the caller's.
func Detach(fd int) (net.Conn, error) {
	dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("detach: %w", err)
	}
	f := os.NewFile(uintptr(dup), "conn")
	// net.FileConn works on a duplicate, which joins the runtime's own poller.
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		return nil, fmt.Errorf("detach: %w", err)
	}
	Close(fd)
	return c, nil
}

// Connect begins a connection from one of our addresses, its port chosen by the
// kernel, or by it alone when from is invalid. The descriptor is writable once it is
// there; Connected says how it went.
func Connect(from netip.Addr, to netip.AddrPort) (fd int, err error) {
	family := unix.AF_INET
	if to.Addr().Is6() {
		family = unix.AF_INET6
	}
	fd, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	if from.IsValid() {
		// The port is chosen by connect, which knows the other end: 28,000 to each.
		unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
		if err := unix.Bind(fd, sockaddr(netip.AddrPortFrom(from, 0))); err != nil {
			unix.Close(fd)
			return -1, err
		}
	}
	if err := unix.Connect(fd, sockaddr(to)); err != nil && err != unix.EINPROGRESS {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// Established reports whether a connection that Connect began is there already, as one
// to the same machine mostly is.
func Established(fd int) bool {
	_, err := unix.Getpeername(fd)
	return err == nil
}

// Connected is why a connection that Connect began did not come about; nil if it did.
func Connected(fd int) error {
	code, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err == nil && code != 0 {
		err = syscall.Errno(code)
	}
	return err
}

func sockaddr(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is6() {
		return &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}
	}
	return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().Unmap().As4()}
}
