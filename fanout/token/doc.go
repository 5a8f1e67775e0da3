// Package token is what a client shows at the door: a JWT (RFC 7519) that says who it is
// and what it may have. A Signer makes them, a Verifier reads them; both know keys and a
// clock, and neither sockets nor symbols beyond their names.
//
// # The algorithm is the key's
//
// RS256 of an RSA key, ES256 of one on P-256, EdDSA of Ed25519, HS256 of a secret. What a
// token's header says must be the same: it chooses nothing. Of the header only alg and kid
// are read; where it says that keys lie (jku, jwk, x5u, x5c) nobody looks, and crit, which
// asks for what we do not know, is refused.
//
// # Which key
//
// A token with a kid is checked with the key of that name only. A key without a name (a
// PEM file, a secret) is tried for a kid that no key has: the issuer's names are not in
// it. A token without a kid is tried with every key of its algorithm.
//
// A kid that no key has makes the Verifier ask the issuer, once in 10 s, and only if the
// issuer has answered the token is refused for good. A token without one has nobody asked: a
// new key is known to it within 5 minutes.
//
// # The way of a token
//
//  1. (*Verifier).Known: the digest of one that was verified before. verify.go
//  2. split: size, alphabet, three segments, the header. split.go
//  3. (*ring).check: the keys that fit, the signature. ring.go
//  4. parseClaims: what it says, strictly, now that it is the issuer's. claims.go
//  5. (*Verifier).holds: times, audience, issuer. verify.go
//
// # Ownership
//
// A ring of keys never changes; the Verifier holds the newest. One goroutine, (*issuer).run,
// fetches the issuer's keys and puts a new ring in place of the old. Everything else may be
// called from anywhere.
package token
