//go:build race

package epoll

// raceEnabled: the race detector allocates in system calls.
const raceEnabled = true
