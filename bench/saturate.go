package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"
)

// saturate looks for the highest rate of the feed at which the p99 latency is within the
// bound, and returns the run that had it; the last one, if none has. A rate that is not
// within is tried twice: machines have moods.
func saturate(ctx context.Context, cfg *Config, tick *ticker) (*Result, error) {
	var (
		best  *Result
		steps []Step
		step  = *cfg
	)
	step.Floor = false
	err := search(cfg.Updates, func(rate float64) (bool, error) {
		tick.say("saturate: %.0f updates/s offered", rate)
		step.Updates = rate
		res, err := single(ctx, &step, tick, nil)
		if err == nil && !res.wrong && res.limit(cfg.Bound) != "" {
			tick.say("saturate: once more: %s", res.limit(cfg.Bound))
			res, err = single(ctx, &step, tick, nil)
		}
		if errors.Is(err, errRamp) {
			err = nil
		}
		if err != nil || res.wrong {
			best = cmp.Or(res, best)
			return false, cmp.Or(err, errWrong)
		}
		s := res.step(rate)
		tick.say("  %s", &s)
		steps = append(steps, s)
		if s.Within || !slices.ContainsFunc(steps, func(s Step) bool { return s.Within }) {
			best = res
		}
		return s.Within, nil
	})
	if best != nil {
		slices.SortFunc(steps, func(a, b Step) int { return cmp.Compare(a.Offered, b.Offered) })
		best.Steps = steps
	}
	if errors.Is(err, errWrong) { // the result says so
		err = nil
	}
	return best, err
}

var errWrong = errors.New("a rate was not verified")

// highest is what saturate found.
func (r *Result) highest() string {
	within := slices.DeleteFunc(slices.Clone(r.Steps), func(s Step) bool { return !s.Within })
	if len(within) == 0 {
		return fmt.Sprintf("none of these had its p99 within %v", r.Settings.Bound)
	}
	best := within[len(within)-1]
	return fmt.Sprintf("%.0f updates/s offered, with p99 within %v; %.0f %% of them merged, %.2f cores busy", best.Offered, r.Settings.Bound, 100*best.Conflated, best.ServerCPU)
}

// limit says what keeps a run from counting as within the bound; "" for nothing.
func (r *Result) limit(bound time.Duration) string {
	switch {
	case r.Partial && errors.Is(r.broken, errRamp):
		return "the subscribers did not come up"
	case r.Partial:
		return brokeOff
	case r.PublishedPS < publishedLeast*r.Offered:
		return fmt.Sprintf("the feed was at its end: %.0f updates/s came to the tape", r.PublishedPS)
	case r.Saturated:
		return "the harness was at its end"
	case !r.Verified:
		return "it was too much to verify"
	case time.Duration(r.LatencyUS.P99)*time.Microsecond > bound:
		return "p99 was above the bound"
	}
	return ""
}

const brokeOff = "it broke off"

const (
	publishedLeast = 0.9  // of what is offered must come to the tape
	searchStep     = 1.5  // ratio of a rate to the one before
	searchDown     = 0.1  // of the first rate, how far down is looked
	searchMost     = 10e6 // updates a second that a feed may be asked for
	searchClose    = 1.1  // ratio of the rates between which the answer lies, in the end
)

// search tries rates: up, or down, until one that is within stands beside one that is
// not, then between them.
func search(first float64, try func(rate float64) (within bool, err error)) error {
	least, most := searchDown*first, float64(searchMost)
	good, bad := 0.0, 0.0
	for rate := first; ; {
		within, err := try(rate)
		if err != nil {
			return err
		}
		if within {
			good = rate
		} else {
			bad = rate
		}
		switch {
		case bad == 0 && rate >= most, good == 0 && rate <= least, bad > 0 && good > 0 && bad/good < searchClose:
			return nil
		case bad == 0:
			rate = min(most, rate*searchStep)
		case good == 0:
			rate = max(least, rate/searchStep)
		default:
			rate = math.Sqrt(good * bad)
		}
	}
}
