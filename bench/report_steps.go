package bench

import (
	"fmt"

	"gonum.org/v1/plot/plotter"
)

// drawSteps shows what came of the values that saturate or sweep went through.
func (r *Result) drawSteps() ([]picture, error) {
	n := len(r.Steps)
	if n < 2 || r.Steps[0].Value <= 0 || r.Steps[n-1].Value <= r.Steps[0].Value {
		return nil, nil
	}
	var (
		p50, p99      = series{Name: "p50"}, series{Name: "p99", Ink: 1}
		sent          = series{Name: "p99 until it was sent", Ink: 2}
		above         = series{Name: "p99, not within", Ink: 3, Dots: true}
		asked, came   = series{Name: "offered", Ink: 2, Dashed: true}, series{Name: "delivered"}
		messages      = series{Name: "messages", Ink: 1}
		update, write = series{Name: "an update"}, series{Name: "a message", Ink: 1}
		memory        = series{}
	)
	for _, s := range r.Steps {
		if s.P99 == 0 || s.Broken { // or nobody came up
			continue
		}
		p50.add(s.Value, inMS(s.P50))
		p99.add(s.Value, inMS(s.P99))
		sent.add(s.Value, inMS(s.SentP99))
		messages.add(s.Value, max(1, s.MessagesPS))
		asked.add(s.Value, max(1, s.Deliveries))
		came.add(s.Value, max(1, s.UpdatesPS))
		update.add(s.Value, max(0.01, s.CPUPerUpd))
		write.add(s.Value, max(0.01, s.CPUPerMsg))
		memory.add(s.Value, max(0.01, float64(s.RSSPerConn)/1024))
		if !s.Within {
			above.add(s.Value, inMS(s.P99))
		}
	}
	latencies := []series{p50, p99, sent}
	if len(above.points) > 0 {
		latencies = append(latencies, above)
	}
	return r.drawByValue([]byValue{
		{"Latency", "From when a tick was due until a subscriber had it", lasting, latencies},
		{"Deliveries", "Updates a second of all subscribers together, those merged not counted; and the messages they came in", short, []series{asked, came, messages}},
		{"CPU", "Microseconds of the nodes' CPU", plain, []series{update, write}},
		{"Memory", "Kilobytes of the nodes' resident memory a connection", plain, []series{memory}},
	})
}

func (s *series) add(x, y float64) { s.points = append(s.points, plotter.XY{X: x, Y: y}) }

// byValue is a plot against the values.
type byValue struct {
	title, note string
	label       func(float64) string
	lines       []series
}

func (r *Result) drawByValue(plots []byValue) (all []picture, err error) {
	x := scale{logarithmic: true, from: r.Steps[0].Value, to: r.Steps[len(r.Steps)-1].Value, label: short}
	for _, p := range plots {
		least, most := extent(p.lines)
		svg, err := draw(half, x, logScale(least, most, p.label), p.lines)
		if err != nil {
			return nil, err
		}
		legend := p.lines
		if len(legend) == 1 {
			legend = nil // the title says it
		}
		all = append(all, picture{p.title + " by " + sweptNames[r.swept()], fmt.Sprintf("%s. Both scales are logarithmic.", p.note), legend, svg})
	}
	return all, nil
}

// sweptNames is what is counted along the axis.
var sweptNames = map[string]string{
	"updates": "updates a second offered", "conns": "subscribers", "subs": "subscriptions of each", "symbols": "symbols",
}
