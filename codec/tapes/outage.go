package tapes

import (
	"time"

	"golang.org/x/time/rate"
)

// Outages that are said at once, and how often after so many: a connection that flaps has
// dozens a second, which metrics count.
const (
	outagesSaid  = 5
	outagesEvery = 10 * time.Second
)

// Outage tells whether to say that Redis does not answer, and that it does again. The zero
// value is ready. One goroutine uses it.
type Outage struct {
	said bool
	pace *rate.Limiter
}

// Begins is asked at every failure. It is true once an outage: at the first, or, after many
// others, later.
func (o *Outage) Begins() bool {
	if o.pace == nil {
		o.pace = rate.NewLimiter(rate.Every(outagesEvery), outagesSaid)
	}
	if o.said || !o.pace.Allow() {
		return false
	}
	o.said = true
	return true
}

// Ends is asked at every success. It is true if the beginning was said.
func (o *Outage) Ends() bool {
	said := o.said
	o.said = false
	return said
}
