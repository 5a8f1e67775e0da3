// Package epoll is the few system calls that an event loop needs: a readiness
// queue, non-blocking TCP sockets and a wake-up.
//
// It knows file descriptors only: no WebSocket, no market, no goroutine. A Poll
// and every descriptor given to it belong to one goroutine; Wake alone may be
// called from any.
//
// Sockets are registered once, edge-triggered, for both directions: an event is
// an invitation to read or write until ErrAgain, and no epoll_ctl(2) follows.
package epoll
