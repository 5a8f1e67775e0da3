// Package web is the page that a node serves at /: a live board of symbols in
// plain HTML, CSS and ES modules, with nothing to build and nothing fetched from
// elsewhere. It works under Content-Security-Policy "default-src 'self'".
//
// index.html is the frame and the templates; board.js starts everything and owns
// the state of the page; wire.js is the only file that talks to tickwire.js, which
// is the TypeScript client of codec/ts, bundled by its `npm run bundle`; door.js is
// the form that asks for a token, where the node does. console.html is the protocol
// console, for those who write clients: frames as they come, decoded; console.js starts
// it, and console/ has its parts, which speak the protocol without wire.js. test/ drives
// the page in a browser and is not embedded.
package web

import "embed"

// FS holds the page, index.html at its root.
//
//go:embed *.html *.css *.js *.svg console
var FS embed.FS
