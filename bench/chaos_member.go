package bench

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// member is a process of a stand that is killed, stopped and begun again.
type member struct {
	name string
	exe  string
	args []string

	mu   sync.Mutex // protects what follows
	p    *proc      // the last one
	said tailBuffer // what those before it said
}

func newMember(name, exe string, args ...string) *member {
	return &member{name: name, exe: exe, args: args}
}

// begin begins it, unless it runs.
func (m *member) begin() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.p != nil {
		select {
		case <-m.p.gone:
			fmt.Fprintf(&m.said, "%s\n-- it ended: %v\n", m.p.log.String(), m.p.err)
		default:
			return nil
		}
	}
	p, err := start(m.name, nil, nil, nil, m.exe, m.args...)
	if err == nil {
		m.p = p
	}
	return err
}

// end ends it with a signal, and waits until it has.
func (m *member) end(sig syscall.Signal) {
	if p := m.now(); p != nil {
		p.expected.Store(true)
		p.stop(sig, 5*time.Second)
	}
}

func (m *member) kill() { m.end(syscall.SIGKILL) }

// freeze stops it where it is, until it is thawed.
func (m *member) freeze() { m.signal(syscall.SIGSTOP) }

func (m *member) thaw() { m.signal(syscall.SIGCONT) }

func (m *member) signal(sig syscall.Signal) {
	if p := m.now(); p != nil {
		p.cmd.Process.Signal(sig)
	}
}

func (m *member) now() *proc {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.p
}

// died says how it ended by itself; nil if it did not. It is said once.
func (m *member) died() error {
	p := m.now()
	if p == nil {
		return nil
	}
	err := p.dead()
	if err != nil && p.expected.Swap(true) {
		return nil
	}
	return err
}

// text is all that is left of what it said.
func (m *member) text() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.p == nil {
		return ""
	}
	return m.said.String() + "\n" + m.p.log.String() + "\n"
}

// crashed reports whether the error of a process that ended is one that no process may
// end with.
func crashed(err error) bool {
	text := err.Error()
	return strings.Contains(text, "panic: ") || strings.Contains(text, "fatal error: ") || strings.Contains(text, "DATA RACE")
}

// lastingPort is an address on loopback for who comes back to it. It is below those that
// the system gives to sockets that connect: one of these may have it meanwhile, and
// whoever connects to it then may be connected to himself.
func lastingPort() (string, error) {
	for range 1000 {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(10_000+rand.IntN(20_000)))
		if ln, err := net.Listen("tcp", addr); err == nil {
			ln.Close()
			return addr, nil
		}
	}
	return "", fmt.Errorf("bench: no free port on 127.0.0.1 from 10000 to 30000")
}
