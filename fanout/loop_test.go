package fanout

import "testing"

// A wake-up that a loop takes in the midst of a cycle is not forgotten: what was posted
// does not wait for the next.
func TestWakeUpTakenInACycle(t *testing.T) {
	c := newCrowd(t, 1, 1, false, 0)
	if c.timeout() == 0 {
		t.Fatal("a loop with nothing to do does not sleep")
	}
	c.tick(1)
	c.serve()
	if c.timeout() != 0 {
		t.Error("the loop sleeps on what was posted")
	}
	c.runCycle(nil)
	if c.timeout() == 0 {
		t.Error("a loop that has taken what was posted does not sleep")
	}
}
