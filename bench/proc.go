package bench

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/procfs"
	"golang.org/x/sys/unix"
)

// proc is a process of a run, and how it ended.
type proc struct {
	name string
	cmd  *exec.Cmd
	said func() string // of its log, the end at least
	gone chan struct{} // closed when it has ended
	// expected: its end is part of the run.
	expected atomic.Bool
	err      error // then: why
}

// tailBuffer keeps the end of what a process says, for when it fails.
type tailBuffer struct {
	mu  sync.Mutex // protects buf
	buf []byte
}

const tailKept = 64 << 10

func (t *tailBuffer) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	if len(t.buf) > tailKept {
		t.buf = append(t.buf[:0], t.buf[len(t.buf)-tailKept:]...)
	}
	return len(p), nil
}

func (t *tailBuffer) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.buf)
}

// start runs a command on the given cores (none: all), and ends it when we do. The end of
// what it says is kept.
func start(name string, cpus []int, stdin io.Reader, stdout io.Writer, exe string, args ...string) (*proc, error) {
	log := new(tailBuffer)
	p := &proc{name: name, cmd: exec.Command(exe, args...), said: log.String}
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = stdin, stdout, log
	if stdout == nil {
		p.cmd.Stdout = log
	}
	if err := p.start(cpus); err != nil {
		return nil, err
	}
	return p, nil
}

// start runs what cmd says.
func (p *proc) start(cpus []int) error {
	p.gone = make(chan struct{})
	p.cmd.WaitDelay = 2 * time.Second // for what it has said to be read
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	began := make(chan error)
	go func() {
		// A child has the affinity of the thread that forks it, and dies with that thread.
		runtime.LockOSThread()
		var err error
		if len(cpus) > 0 {
			var set unix.CPUSet
			for _, cpu := range cpus {
				set.Set(cpu)
			}
			err = unix.SchedSetaffinity(0, &set)
		}
		if err == nil {
			err = p.cmd.Start()
		}
		began <- err
		if err == nil {
			p.err = p.cmd.Wait()
			close(p.gone)
		}
		// The thread ends with the goroutine: it is locked.
	}()
	if err := <-began; err != nil {
		return fmt.Errorf("bench: %s: %w", p.name, err)
	}
	return nil
}

// dead says why a process has ended; nil while it runs.
func (p *proc) dead() error {
	select {
	case <-p.gone:
		if p.expected.Load() {
			return nil
		}
		why := "it ended"
		if p.err != nil {
			why = p.err.Error()
		}
		return fmt.Errorf("bench: %s: %s: %s", p.name, why, p.lastWords())
	default:
		return nil
	}
}

// wordsMost is how much of what a process said is told.
const wordsMost = 2 << 10

// lastWords is the end of what a process said, or how it panicked.
func (p *proc) lastWords() string {
	said := strings.TrimSpace(p.said())
	if i := strings.LastIndex(said, "panic: "); i >= 0 {
		return said[i:min(len(said), i+wordsMost)]
	}
	return said[max(0, len(said)-wordsMost):]
}

// stop ends a process with a signal, and kills it when it does not heed that.
func (p *proc) stop(sig syscall.Signal, within time.Duration) {
	p.cmd.Process.Signal(sig)
	select {
	case <-p.gone:
	case <-time.After(within):
		p.cmd.Process.Kill()
		<-p.gone
	}
}

// usage is what a process has used so far.
type usage struct {
	cpu     time.Duration
	rss     int64 // bytes
	sockets int64 // bytes that all sockets of the machine hold in the kernel
	conns   int   // of a node, as it says
}

// used is what the process has used: when it has gone, of CPU time all that it ever did.
func (p *proc) used() usage {
	select {
	case <-p.gone:
		return usage{cpu: p.cmd.ProcessState.UserTime() + p.cmd.ProcessState.SystemTime()}
	default:
		return usedBy(p.cmd.Process.Pid)
	}
}

// usedBy reads /proc: zeros when the process has gone.
func usedBy(pid int) (u usage) {
	p, err := procfs.NewProc(pid)
	if err != nil {
		return u
	}
	stat, err := p.Stat()
	if err != nil {
		return u
	}
	return usage{cpu: time.Duration(stat.CPUTime() * float64(time.Second)), rss: int64(stat.ResidentMemory())}
}

// socketMemory is what all TCP sockets of the machine hold in the kernel, in bytes:
// their buffers. The sockets themselves come on top, some 3.7 KB each.
func socketMemory() int64 {
	fs, err := procfs.NewDefaultFS()
	if err != nil {
		return 0
	}
	all, err := fs.NetSockstat()
	if err != nil {
		return 0
	}
	for _, p := range all.Protocols {
		if p.Protocol == "TCP" && p.Mem != nil {
			return int64(*p.Mem * os.Getpagesize())
		}
	}
	return 0
}

// wait polls until ready says so, a process dies, or ctx ends.
func wait(ctx context.Context, what string, procs []*proc, ready func() bool) error {
	for !ready() {
		for _, p := range procs {
			if err := p.dead(); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("bench: waiting for %s: %w", what, context.Cause(ctx))
		case <-time.After(20 * time.Millisecond):
		}
	}
	return nil
}
