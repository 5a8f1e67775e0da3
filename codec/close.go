package codec

// Close codes of the stream, besides those of RFC 6455 itself. What a client does after one
// goes by its range: 4000 to 4099 are final.
const (
	CloseRestart    = 1012 // the node restarts
	CloseOverloaded = 1013 // it is overloaded
	CloseRevoked    = 4001 // the token was revoked
	CloseExpired    = 4002 // the token has expired
	CloseReplaced   = 4003 // a newer connection of its subject took its place
	CloseStalled    = 4100 // the client took nothing, or answered no ping
	CloseSilent     = 4101 // it said nothing, or did not end what it began to say
)

// IsFinalClose reports whether a close code says that connecting again as before cannot
// help: two that a token lets in one at a time would replace each other without end.
func IsFinalClose(code int) bool {
	switch code {
	case 1002, 1003, 1007, 1008, 1009: // RFC 6455, 7.4.1: the client's own fault
		return true
	}
	return code >= 4000 && code < 4100
}
