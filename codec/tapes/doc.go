// Package tapes is the way to the Redis that holds the tapes, for who writes and who
// reads them: a server, a Sentinel's master, or a Cluster, all by one URL (url.go,
// redis.go). What the bytes there mean is package codec's.
package tapes
