// Package epoll is the few system calls that an event loop needs: a readiness
// queue, non-blocking TCP sockets and a wake-up.
//
// It knows file descriptors only, and TLS on them: no WebSocket, no market, and no
// goroutine but the one that a caller gives a handshake. A Poll and every descriptor
// given to it belong to one goroutine; Wake alone may be called from any.
//
// Sockets are registered once, edge-triggered, for both directions: an event is
// an invitation to read or write until ErrAgain, and no epoll_ctl(2) follows.
package epoll
