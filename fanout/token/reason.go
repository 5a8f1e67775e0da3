package token

import (
	"errors"
	"fmt"
)

// Reason is why a token is refused: a metric's label.
type Reason string

const (
	TooLong     Reason = "too_long"      // above TokenMax
	Malformed   Reason = "malformed"     // no JWT
	Algorithm   Reason = "algorithm"     // none of a key's
	UnknownKey  Reason = "unknown_key"   // its kid names no key
	Signature   Reason = "signature"     // not of the key
	Expired     Reason = "expired"       // exp is over
	NotYetValid Reason = "not_yet_valid" // nbf or iat is to come
	Audience    Reason = "audience"      // aud is another
	Issuer      Reason = "issuer"        // iss is another
	BadClaims   Reason = "claims"        // missing, or not what they should be
	Unavailable Reason = "unavailable"   // the issuer's keys are not at hand; may be tried again

	// Those of who asks for a token, and revokes it.
	Missing Reason = "missing" // there is none
	Revoked Reason = "revoked"
)

// Reasons are all of them.
var Reasons = []Reason{Missing, Revoked, TooLong, Malformed, Algorithm, UnknownKey, Signature, Expired, NotYetValid, Audience, Issuer, BadClaims, Unavailable}

// Error is a refusal. Its text is for the client, and has nothing of the token in it but
// names of its claims.
type Error struct {
	Reason Reason
	text   string
}

func (e *Error) Error() string { return e.text }

// Refuse is a refusal.
func Refuse(reason Reason, text string) *Error { return &Error{reason, text} }

// Retry reports whether the same token may be taken later. What has not begun yet may, but
// only when its time has come, which its owner knows.
func (e *Error) Retry() bool { return e.Reason == Unavailable }

// ReasonOf is the label of an error that Verify returned, "" of nil.
func ReasonOf(err error) string {
	if err == nil {
		return ""
	}
	if e := (*Error)(nil); errors.As(err, &e) {
		return string(e.Reason)
	}
	return string(Malformed)
}

var (
	errTooLong   = &Error{TooLong, fmt.Sprintf("the token is longer than %d bytes", TokenMax)}
	errMalformed = &Error{Malformed, "this is not a JWT: three segments of base64url with dots between, the first two JSON objects"}
	errHeader    = &Error{Malformed, "the token's header is not a JSON object with alg, each name once"}
	errCrit      = &Error{Malformed, "the token's header has crit, which asks for an extension that is not known here"}
	errAlgorithm = &Error{Algorithm, "the token's alg is not that of a key of this node"}
	errUnknown   = &Error{UnknownKey, "the token's kid names no key of this node; get a new token"}
	errSignature = &Error{Signature, "the token's signature is not of a key of this node"}
	errExpired   = &Error{Expired, "the token has expired; get a new one"}
	errEarly     = &Error{NotYetValid, "the token is not valid yet; look at nbf, iat and the clocks"}
	errAudience  = &Error{Audience, "the token's aud is not this service"}
	errIssuer    = &Error{Issuer, "the token's iss is not the issuer that this service trusts"}
	errNoKeys    = &Error{Unavailable, "the issuer's keys have not come yet; try again in a few seconds"}
	errLately    = &Error{Unavailable, "the token's kid names no key of this node, which asked the issuer a moment ago; try again in a few seconds"}
	errAway      = &Error{Unavailable, "the token's kid names no key of this node, and the issuer does not answer; try again in a few seconds"}
)

// refuse is an error about a claim.
func refuse(format string, args ...any) error {
	return &Error{BadClaims, fmt.Sprintf(format, args...)}
}
