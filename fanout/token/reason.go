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
	cause  error // for the operator alone
}

func (e *Error) Error() string { return e.text }

// Unwrap is why the issuer's keys are not at hand, if that is the reason.
func (e *Error) Unwrap() error { return e.cause }

// because is the same refusal, with its cause.
func (e *Error) because(cause error) error { return &Error{e.Reason, e.text, cause} }

// Refuse is a refusal.
func Refuse(reason Reason, text string) *Error { return &Error{Reason: reason, text: text} }

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
	errTooLong   = Refuse(TooLong, fmt.Sprintf("the token is longer than %d bytes", TokenMax))
	errMalformed = Refuse(Malformed, "this is not a JWT: three segments of base64url with dots between, the first two JSON objects")
	errHeader    = Refuse(Malformed, "the token's header is not a JSON object with alg, each name once")
	errCrit      = Refuse(Malformed, "the token's header has crit, which asks for an extension that is not known here")
	errAlgorithm = Refuse(Algorithm, "the token's alg is not that of a key of this node")
	errUnknown   = Refuse(UnknownKey, "the token's kid names no key of this node; get a new token")
	errSignature = Refuse(Signature, "the token's signature is not of a key of this node")
	errExpired   = Refuse(Expired, "the token has expired; get a new one")
	errEarly     = Refuse(NotYetValid, "the token is not valid yet; look at nbf, iat and the clocks")
	errAudience  = Refuse(Audience, "the token's aud is not this service")
	errIssuer    = Refuse(Issuer, "the token's iss is not the issuer that this service trusts")
	errNoKeys    = Refuse(Unavailable, "the issuer's keys have not come yet; try again in a few seconds")
	errLately    = Refuse(Unavailable, "the token's kid names no key of this node, which asked the issuer a moment ago; try again in a few seconds")
	errAway      = Refuse(Unavailable, "the token's kid names no key of this node, and the issuer does not answer; try again in a few seconds")
)

// badClaim is an error about a claim.
func badClaim(format string, args ...any) error {
	return Refuse(BadClaims, fmt.Sprintf(format, args...))
}
