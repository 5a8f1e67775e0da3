package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tickwire/tickwire/codec"
	"github.com/tickwire/tickwire/codec/client"
)

// visitorConfig is what a speaker is told, in any language.
type visitorConfig struct {
	URL       string   `json:"url"`
	Encoding  string   `json:"encoding"`
	Token     string   `json:"token,omitempty"`
	TokenFile string   `json:"token_file,omitempty"` // read for each token that is needed
	Symbols   []string `json:"symbols"`
}

// aliken has a client say a line for whatever happens to it, as alike.py and alike.mjs do:
// this process is one of the three then.
func aliken(text string) {
	var cfg visitorConfig
	if err := json.Unmarshal([]byte(text), &cfg); err != nil {
		panic(err)
	}
	config := client.Config{URL: cfg.URL, Encoding: cfg.Encoding, Token: cfg.Token}
	if cfg.TokenFile != "" {
		config.Renew = (&tokenFile{name: cfg.TokenFile}).read
	}
	c, conflated, updates := client.New(config), atomic.Int64{}, atomic.Int64{}
	c.OnUpdate = func(u *client.Update) {
		updates.Add(1)
		conflated.Add(u.Conflated)
	}
	c.OnEvent = func(e client.Event) {
		switch e.Kind {
		case client.Refused:
			code := codec.Code(0)
			if why := (*codec.Error)(nil); errors.As(e.Err, &why) {
				code = why.Code
			}
			fmt.Println("error", int(code), orDash(e.Symbol), e.After > 0)
		case client.Token:
			if e.Err != nil {
				fmt.Println("token-error")
			} else {
				fmt.Println("token")
			}
		case client.Live, client.Connecting, client.Stale, client.Drain:
			fmt.Println(e.Kind)
		}
	}
	c.Subscribe(client.Terms{}, cfg.Symbols...)
	go func() {
		err := c.Run(context.Background())
		if final := (*client.FinalError)(nil); errors.As(err, &final) {
			fmt.Println("final", final.Code, orDash(final.Reason))
		} else {
			fmt.Println("ended", err)
		}
	}()
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		switch what := in.Text(); what {
		case "quotes":
			text, _ := json.Marshal(held(c, cfg.Symbols))
			fmt.Printf("quotes %s\n", text)
		case "updates":
			fmt.Println(what, updates.Load())
		default:
			fmt.Println(what, conflated.Load())
		}
	}
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// shownFields are compared between clients, and with a node's snapshot.
var shownFields = []codec.Field{codec.Bid, codec.Ask, codec.Last, codec.Status}

func held(c *client.Client, symbols []string) map[string]map[string]any {
	quotes := make(map[string]map[string]any)
	for _, symbol := range symbols {
		q, seq, ok := c.Quote(symbol)
		if !ok {
			continue
		}
		quotes[symbol] = map[string]any{"seq": seq}
		for _, f := range shownFields {
			if q[f] != codec.Absent {
				quotes[symbol][f.String()] = string(codec.AppendText(nil, &q, f))
			}
		}
	}
	return quotes
}

// speaker is a client in a process of its own.
type speaker struct {
	t    testing.TB
	name string
	cmd  *exec.Cmd
	in   io.WriteCloser

	mu    sync.Mutex
	lines []string
}

// languages are those of the clients.
var languages = []string{"Go", "TypeScript", "Python"}

// speakers begin the three clients, each with the same settings but its own token.
func speakers(t testing.TB, cfg visitorConfig, tokens func(name string) (token, file string)) (all []*speaker) {
	t.Helper()
	for _, name := range languages {
		if tokens != nil {
			cfg.Token, cfg.TokenFile = tokens(name)
		}
		all = append(all, speak(t, name, cfg))
	}
	return all
}

// speak begins one.
func speak(t testing.TB, name string, cfg visitorConfig) *speaker {
	t.Helper()
	py, err := filepath.Abs(filepath.Join(root, "codec/py/src"))
	if err != nil {
		t.Fatal(err)
	}
	command := []string{os.Args[0]}
	switch name {
	case "TypeScript":
		command = []string{need(t, "node"), filepath.Join(modules(t, "codec/ts"), "test/alike.mjs")}
	case "Python":
		command = []string{python(t), filepath.Join(root, "codec/py/tests/alike.py")}
	}
	text, _ := json.Marshal(cfg)
	s := &speaker{t: t, name: name, cmd: exec.Command(command[0], append(command[1:], string(text))...)}
	s.cmd.Env = append(os.Environ(), "PYTHONPATH="+py, "PYTHONDONTWRITEBYTECODE=1", "TICKWIRE_ALIKE="+string(text))
	s.cmd.Stderr = os.Stderr
	if s.in, err = s.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.in.Close()
		time.AfterFunc(5*time.Second, func() { s.cmd.Process.Kill() })
		s.cmd.Wait()
	})
	go s.listen(out)
	return s
}

// listen takes lines.
func (s *speaker) listen(out io.Reader) {
	in := bufio.NewScanner(out)
	for in.Buffer(nil, 1<<22); in.Scan(); {
		s.mu.Lock()
		s.lines = append(s.lines, in.Text())
		s.mu.Unlock()
	}
}

// ofAMoment is a refusal by a node that has just begun, and has no symbols yet.
var ofAMoment = regexp.MustCompile(`^error (111|140) \S+-USD true$`)

// ofMany is a refusal of one of the symbols that no node has, as is every other.
var ofMany = regexp.MustCompile(`NOPE-[0-9]+`)

// said are the lines, what was said again and again but once, and without answers. That
// another connection is sought behind stale some say, and some do not.
func (s *speaker) said() (lines []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, line := range s.lines {
		line, last := ofMany.ReplaceAllString(line, "NOPE-0"), ""
		if len(lines) > 0 {
			last = lines[len(lines)-1]
		}
		switch word, _, _ := strings.Cut(line, " "); {
		case word == "quotes" || word == "conflated" || word == "updates" || line == last:
		case line == "connecting" && last == "stale", ofAMoment.MatchString(line):
		default:
			lines = append(lines, line)
		}
		if n := len(lines); n >= 4 && slices.Equal(lines[n-4:n-2], lines[n-2:]) {
			lines = lines[:n-2]
		}
	}
	return lines
}

// count is how often a line was said, again and again included.
func (s *speaker) count(line string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range s.lines {
		if one == line {
			n++
		}
	}
	return n
}

// ask has a speaker answer with what it holds.
func (s *speaker) ask(what string, into any) error {
	s.mu.Lock()
	before := len(s.lines)
	s.mu.Unlock()
	if _, err := io.WriteString(s.in, what+"\n"); err != nil {
		return err
	}
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		s.mu.Lock()
		for _, line := range s.lines[before:] {
			if text, ok := strings.CutPrefix(line, what+" "); ok {
				s.mu.Unlock()
				return json.Unmarshal([]byte(text), into)
			}
		}
		s.mu.Unlock()
	}
	return errors.New("no answer to " + what)
}
