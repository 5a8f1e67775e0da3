package bench

import (
	"math"
	"strconv"

	"gonum.org/v1/plot"
)

// scale is how an axis counts: where it has ticks, and what stands at them.
type scale struct {
	logarithmic bool
	from, to    float64
	steps       []float64 // of a linear scale, to choose from; nil is 1, 2 or 5 times a power of ten
	label       func(v float64) string
}

// ticksMost is how many steps an axis has room for.
const ticksMost = 8

// linear is a scale from zero to a round number above most.
func linear(most float64, ticks int, label func(float64) string) scale {
	if most <= 0 {
		most = 1
	}
	step := below125(most / float64(ticks))
	for math.Ceil(most/step) > float64(ticks) {
		step = next125(step)
	}
	return scale{to: step * math.Ceil(most/step), steps: []float64{step}, label: label}
}

// logScale is a scale of ratios that has 1, 2 or 5 times a power of ten at both ends.
func logScale(least, most float64, label func(float64) string) scale {
	least = max(least, 1e-3) // zero has no place
	most = max(least, most)
	s := scale{logarithmic: true, from: below125(least), to: below125(most), label: label}
	if s.to < most || s.to == s.from {
		s.to = next125(s.to)
	}
	return s
}

// at is where a value is, of 1.
func (s *scale) at(v float64) float64 {
	if !s.logarithmic {
		return (v - s.from) / (s.to - s.from)
	}
	return math.Log(max(v, s.from)/s.from) / math.Log(s.to/s.from)
}

// ticks are the scale's, no more than so many steps of them with a label.
func (s *scale) ticks(most int) (all []plot.Tick) {
	if s.logarithmic {
		return s.logTicks(most)
	}
	step := s.step(most)
	for i := math.Ceil(s.from / step); i*step <= s.to*(1+1e-9); i++ {
		all = append(all, plot.Tick{Value: i * step, Label: s.label(i * step)})
	}
	return all
}

// step is the least of which there are no more than that.
func (s *scale) step(most int) float64 {
	least := (s.to - s.from) / float64(most)
	for _, step := range s.steps {
		if step >= least {
			return step
		}
	}
	step := below125(least)
	if step < least*(1-1e-9) {
		step = next125(step)
	}
	return step
}

// logTicks labels 1, 2 and 5 of each power of ten, or only powers of ten where these are many.
func (s *scale) logTicks(most int) (all []plot.Tick) {
	few := 3*math.Log10(s.to/s.from) < float64(most)
	for v := below125(s.from); v <= s.to*(1+1e-9); v = next125(v) {
		if v < s.from*(1-1e-9) {
			continue
		}
		tick := plot.Tick{Value: v}
		if _, digit := power(v); few || digit == 1 {
			tick.Label = s.label(v)
		}
		all = append(all, tick)
	}
	return all
}

// power splits a number in a power of ten and what it is a multiple of.
func power(v float64) (ten, digit float64) {
	ten = math.Pow(10, math.Floor(math.Log10(v)+1e-9))
	return ten, math.Round(v/ten*1e6) / 1e6
}

// below125 is the next number that is not above v and 1, 2 or 5 times a power of ten.
func below125(v float64) float64 {
	ten, digit := power(v)
	switch {
	case digit >= 5:
		return 5 * ten
	case digit >= 2:
		return 2 * ten
	}
	return ten
}

// next125 is the number after such a one.
func next125(v float64) float64 {
	ten, digit := power(v)
	switch digit {
	case 1:
		return 2 * ten
	case 2:
		return 5 * ten
	}
	return 10 * ten
}

// seconds is a scale of time, with a unit that suits how long it was.
func seconds(most float64) scale {
	s := scale{to: most, steps: []float64{1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21600, 43200, 86400}}
	unit, name := 1.0, " s"
	switch step := s.step(ticksMost); {
	case step >= 3600:
		unit, name = 3600, " h"
	case step >= 60:
		unit, name = 60, " min"
	}
	s.label = func(v float64) string { return plain(v/unit) + name }
	return s
}

// lasting is a time in ms as one says it.
func lasting(ms float64) string {
	if ms >= 1000 {
		return plain(ms/1000) + " s"
	}
	return plain(ms) + " ms"
}

// short is a large number with its thousands as k, and so on.
func short(v float64) string {
	switch {
	case v >= 1e6:
		return plain(v/1e6) + "M"
	case v >= 1e3:
		return plain(v/1e3) + "k"
	}
	return plain(v)
}

// plain is a number with no more digits than say something.
func plain(v float64) string {
	if v == 0 {
		return "0"
	}
	digits := math.Max(0, 2-math.Floor(math.Log10(math.Abs(v))))
	tens := math.Pow(10, digits)
	return strconv.FormatFloat(math.Round(v*tens)/tens, 'f', -1, 64)
}

// grouped is a whole number with its thousands apart.
func grouped(v float64) string {
	text := strconv.FormatFloat(v, 'f', 0, 64)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
