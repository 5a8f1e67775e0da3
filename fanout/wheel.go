package fanout

import "time"

// wheel holds the rated lanes by period and phase, and when each is due next.
type wheel struct {
	lanes [len(periods)][phases][]uint32
	next  [len(periods)][phases]time.Duration // on the loop's clock
}

func (l *loop) wheelAdd(li uint32, phase uint8) {
	ln := &l.lanes[li]
	list := &l.wheel.lanes[ln.period][phase]
	if len(*list) == 0 {
		// Phases stand at fixed moments of the period, so that lanes that join
		// later fall in step with those before.
		period := periods[ln.period]
		offset := period / phases * time.Duration(phase)
		l.wheel.next[ln.period][phase] = (l.clock-offset+period)/period*period + offset
	}
	ln.phase, ln.slot = phase, uint32(len(*list))
	*list = append(*list, li)
}

func (l *loop) wheelRemove(li uint32) {
	ln := &l.lanes[li]
	list := &l.wheel.lanes[ln.period][ln.phase]
	last := (*list)[len(*list)-1]
	(*list)[ln.slot] = last
	l.lanes[last].slot = ln.slot
	*list = (*list)[:len(*list)-1]
}

// advance makes every rated lane due whose moment has come.
func (l *loop) advance() {
	for p := 1; p < len(periods); p++ {
		for phase := range phases {
			list, next := l.wheel.lanes[p][phase], &l.wheel.next[p][phase]
			if len(list) == 0 || *next > l.clock {
				continue
			}
			*next += periods[p] * (1 + (l.clock-*next)/periods[p])
			for _, li := range list {
				if ln := &l.lanes[li]; !ln.asleep {
					ln.scan = true
					l.schedule(ln.conn)
				}
			}
		}
	}
}

// nextDue is when the wheel is due, most at the most.
func (l *loop) nextDue(most time.Duration) time.Duration {
	for p := 1; p < len(periods); p++ {
		for phase := range phases {
			if len(l.wheel.lanes[p][phase]) > 0 {
				most = min(most, max(0, l.wheel.next[p][phase]-l.clock))
			}
		}
	}
	return most
}
