package bench

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// member is a process of a stand that is killed, stopped and begun again.
type member struct {
	name string
	log  string // the file of all that it says, however often it is begun
	exe  string
	args []string

	mu sync.Mutex // protects p
	p  *proc      // the last one
}

// newMember is one whose log is in a directory.
func newMember(dir, name, exe string, args ...string) *member {
	return &member{name: name, log: filepath.Join(dir, name+".log"), exe: exe, args: args}
}

// begin begins it, unless it runs.
func (m *member) begin() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	after := ""
	if m.p != nil {
		select {
		case <-m.p.gone:
			after = fmt.Sprintf(", after it ended: %v", m.p.cmd.ProcessState)
		default:
			return nil
		}
	}
	log, err := os.OpenFile(m.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	defer log.Close() // the process has its own
	if _, err := fmt.Fprintf(log, "-- begun at %s%s\n", time.Now().UTC().Format("2006-01-02T15:04:05.000Z"), after); err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	before := len(m.text())
	said := func() string {
		text := m.text()
		return text[min(before, len(text)):]
	}
	p := &proc{name: m.name, cmd: exec.Command(m.exe, m.args...), said: said}
	p.cmd.Stdout, p.cmd.Stderr = log, log
	if err := p.start(nil); err != nil {
		return err
	}
	m.p = p
	return nil
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

// procs are those of members that have begun, in the lives they have now.
func procs(all []*member) (now []*proc) {
	for _, m := range all {
		now = append(now, m.now())
	}
	return now
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

// text is all that it has said.
func (m *member) text() string {
	text, err := os.ReadFile(m.log)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// crashed reports whether the error of a process that ended is one that no process may
// end with.
func crashed(err error) bool {
	text := err.Error()
	return strings.Contains(text, "panic: ") || strings.Contains(text, "fatal error: ") || strings.Contains(text, "DATA RACE")
}
