package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"time"

	coder "github.com/coder/websocket"
	gorilla "github.com/gorilla/websocket"
	"github.com/vmihailenco/msgpack/v5"

	"github.com/tickwire/tickwire/codec"
)

// goSocket is a connection of a Go client.
type goSocket interface {
	write(text string) error
	read() ([]byte, error)
	leave() error // reads on: what comes then is passed over
	// ended is the code of the node's close frame that a read met; 0 for another error.
	ended(err error) int
	pings() int
}

// visitGo makes the visits of a Go client.
func (v *visitor) visitGo(dial func(config *tls.Config, auth http.Header) (goSocket, *http.Response, error)) (visits []visit, err error) {
	config := &tls.Config{RootCAs: x509.NewCertPool()}
	if v.ca != "" {
		text, err := os.ReadFile(v.ca)
		if err != nil {
			return nil, err
		}
		config.RootCAs.AppendCertsFromPEM(text)
	}
	for end := time.Now().Add(time.Minute); len(visits) < 3; {
		s, res, err := dial(config, http.Header{"Authorization": {"Bearer " + v.token}})
		if err != nil {
			if len(visits) == 2 && time.Now().Before(end) { // the node is gone, and will be back
				time.Sleep(200 * time.Millisecond)
				continue
			}
			return visits, err
		}
		seen := visit{Protocol: res.Header.Get("Sec-WebSocket-Protocol"), Extensions: res.Header.Get("Sec-WebSocket-Extensions")}
		if err := v.stay(s, &seen, len(visits) != 1); err != nil {
			return visits, err
		}
		visits = append(visits, seen)
	}
	return visits, nil
}

// stay subscribes until it has enough, and then leaves, or says that it is ready and waits.
func (v *visitor) stay(s goSocket, seen *visit, leave bool) error {
	if err := s.write(`{"op":"subscribe","id":1,"symbols":["sim:*"]}`); err != nil {
		return err
	}
	for enough := false; ; {
		p, err := s.read()
		if err != nil {
			n := s.pings()
			seen.Pings, seen.Code = &n, s.ended(err)
			seen.Clean = seen.Code != 0 // the library answers, or has been answered
			return nil
		}
		if err := seen.count(p, v.protocol == codec.ProtocolJSON); err != nil {
			return err
		}
		if enough || seen.Images < 24 || seen.Bytes < bytesEnough || s.pings() < 5 {
			continue
		}
		if enough = true; !leave {
			v.ready()
		} else if err := s.leave(); err != nil {
			return err
		}
	}
}

// count reads a message with a decoder that is not ours.
func (s *visit) count(p []byte, text bool) error {
	s.Bytes += len(p)
	image := func(is bool) {
		if is {
			s.Images++
		} else {
			s.Updates++
		}
	}
	if text {
		var m struct {
			Type    string
			Updates []struct{ Image bool }
		}
		err := json.Unmarshal(p, &m)
		for _, u := range m.Updates {
			image(u.Image)
		}
		s.Lags += strings.Count(m.Type, "lag")
		return err
	}
	var m []any
	if err := msgpack.NewDecoder(bytes.NewReader(p)).Decode(&m); err != nil {
		return err
	}
	switch m[0] {
	case int8(codec.TypeLag):
		s.Lags++
	case int8(codec.TypeData):
		for _, u := range m[2:] {
			image(u.([]any)[2].(int8)&1 != 0)
		}
	}
	return nil
}

// gorillaSocket is one of gorilla/websocket.
type gorillaSocket struct {
	*gorilla.Conn
	pinged int
}

func (v *visitor) gorilla() ([]visit, error) {
	return v.visitGo(func(config *tls.Config, auth http.Header) (goSocket, *http.Response, error) {
		d := gorilla.Dialer{TLSClientConfig: config, EnableCompression: true, Subprotocols: []string{v.protocol}}
		c, res, err := d.DialContext(v.t.Context(), v.url, auth)
		if err != nil {
			return nil, nil, err
		}
		s := &gorillaSocket{Conn: c}
		answer := c.PingHandler()
		c.SetPingHandler(func(payload string) error { s.pinged++; return answer(payload) })
		return s, res, nil
	})
}

func (s *gorillaSocket) write(text string) error {
	return s.WriteMessage(gorilla.TextMessage, []byte(text))
}

func (s *gorillaSocket) read() ([]byte, error) {
	_, p, err := s.ReadMessage()
	return p, err
}

func (s *gorillaSocket) leave() error {
	return s.WriteControl(gorilla.CloseMessage, gorilla.FormatCloseMessage(gorilla.CloseNormalClosure, ""), time.Time{})
}

func (s *gorillaSocket) ended(err error) int {
	s.Close()
	if e, ok := err.(*gorilla.CloseError); ok {
		return e.Code
	}
	return 0
}

func (s *gorillaSocket) pings() int { return s.pinged }

// coderSocket is one of coder/websocket, once nhooyr.io's.
type coderSocket struct {
	*coder.Conn
	ctx    context.Context
	pinged int
	left   bool
}

func (v *visitor) coder() ([]visit, error) {
	return v.visitGo(func(config *tls.Config, auth http.Header) (goSocket, *http.Response, error) {
		s := &coderSocket{ctx: v.t.Context()}
		c, res, err := coder.Dial(s.ctx, v.url, &coder.DialOptions{
			HTTPClient: &http.Client{Transport: &http.Transport{TLSClientConfig: config}}, HTTPHeader: auth,
			CompressionMode: coder.CompressionContextTakeover, Subprotocols: []string{v.protocol},
			OnPingReceived: func(context.Context, []byte) bool { s.pinged++; return true },
		})
		s.Conn = c
		return s, res, err
	})
}

func (s *coderSocket) write(text string) error {
	return s.Write(s.ctx, coder.MessageText, []byte(text))
}

func (s *coderSocket) read() ([]byte, error) {
	_, p, err := s.Read(s.ctx)
	return p, err
}

// leave reads to the node's close frame, which must have the same code, or is an error.
func (s *coderSocket) leave() error {
	s.left = true
	return s.Close(coder.StatusNormalClosure, "")
}

func (s *coderSocket) ended(err error) int {
	if s.left {
		return int(coder.StatusNormalClosure)
	}
	s.CloseNow()
	return max(0, int(coder.CloseStatus(err)))
}

func (s *coderSocket) pings() int { return s.pinged }
