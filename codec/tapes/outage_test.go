package tapes

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var o Outage
		lines := 0
		flap := func(times int) {
			for range times {
				for range 3 {
					if o.Begins() {
						lines++
					}
					time.Sleep(10 * time.Millisecond)
				}
				if o.Ends() {
					lines++
				}
			}
		}
		if flap(2); lines != 4 {
			t.Errorf("two outages had %d lines", lines)
		}
		if flap(100); lines != 2*outagesSaid {
			t.Errorf("3 s of them had %d lines", lines)
		}
		if o.Begins() {
			t.Error("still one is said")
		}
		if time.Sleep(outagesEvery); !o.Begins() {
			t.Error("one that lasts is never said")
		}
		if o.Begins() || !o.Ends() || o.Ends() {
			t.Error("it is said more than once, or not when it ends")
		}
	})
}
