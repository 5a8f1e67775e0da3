package bench

import "time"

// perEntry is a cost by what it is made of: CPU time in us, or bytes.
type perEntry struct {
	Entry      float64 `json:"per_entry"`           // that is written
	Update     float64 `json:"per_update"`          // that is in it
	Read       float64 `json:"per_read"`            // of an entry, by one reader
	ReadUpdate float64 `json:"per_update_and_read"` // that is in it
}

// of is what so much costs.
func (p *perEntry) of(entries, updates, reads, readUpdates float64) float64 {
	return entries*p.Entry + updates*p.Update + reads*p.Read + readUpdates*p.ReadUpdate
}

// spent is a cost that was measured, and of what.
type spent struct{ entries, updates, reads, readUpdates, cost float64 }

// fit finds what the costs are made of that entries had, and the tape of a feed that one node
// read.
func (r *TapeReport) fit() {
	var cpu, out []spent
	for i := range r.Entries {
		c := &r.Entries[i]
		s := spent{1, float64(c.PerEntry), c.Reads, float64(c.PerEntry * c.Readers), c.EntryUS}
		cpu = append(cpu, s)
		s.cost = c.OutBytes * s.updates
		out = append(out, s)
	}
	for i := range r.Runs {
		if run := &r.Runs[i]; run.Nodes == 1 && run.tape() && run.Limit == "" {
			updates := run.MessagesPS * run.PerMessage
			s := spent{run.MessagesPS, updates, run.ReadsPS, updates, run.RedisUS*updates - r.IdleUS}
			cpu = append(cpu, s)
			s.cost = run.OutPS
			out = append(out, s)
		}
	}
	r.CPU, r.Out = fitted(cpu), fitted(out)
}

// fitted finds what is spent where nobody reads, and then what reading adds.
func fitted(all []spent) (p perEntry) {
	var f fit
	for _, s := range all {
		if s.readUpdates == 0 {
			f.add(s.entries, s.updates, s.cost, s.cost)
		}
	}
	p.Entry, p.Update = f.solve()
	f = fit{}
	for _, s := range all {
		if s.readUpdates > 0 {
			f.add(s.reads, s.readUpdates, s.cost-p.of(s.entries, s.updates, 0, 0), s.cost)
		}
	}
	p.Read, p.ReadUpdate = f.solve()
	return p
}

// fit is least squares of z = a x + b y, neither a nor b below zero.
type fit struct{ xx, xy, yy, xz, yz float64 }

// add adds a point, whose error counts as part of the whole.
func (f *fit) add(x, y, z, whole float64) {
	if whole <= 0 {
		return
	}
	x, y, z = x/whole, y/whole, z/whole
	f.xx, f.xy, f.yy, f.xz, f.yz = f.xx+x*x, f.xy+x*y, f.yy+y*y, f.xz+x*z, f.yz+y*z
}

func (f *fit) solve() (a, b float64) {
	d := f.xx*f.yy - f.xy*f.xy
	a, b = ratio(f.xz*f.yy-f.yz*f.xy, d), ratio(f.yz*f.xx-f.xz*f.xy, d)
	switch {
	case a < 0:
		return 0, max(0, ratio(f.yz, f.yy))
	case b < 0:
		return max(0, ratio(f.xz, f.xx)), 0
	}
	return a, b
}

// Demand is what so many nodes ask of a Redis at a rate.
type Demand struct {
	Nodes     int     `json:"nodes"`
	Transport string  `json:"transport"`
	Updates   float64 `json:"updates_per_s"`
	Entries   float64 `json:"entries_per_s"`
	Cores     float64 `json:"redis_cores"` // calculated; 0: it is not
	Out       float64 `json:"redis_out_bytes_per_s"`
	CoresThen float64 `json:"measured_redis_cores"` // 0: it was not measured
	OutThen   float64 `json:"measured_redis_out_bytes_per_s"`
	DidNotFit bool    `json:"did_not_fit"` // not all came when it was measured
}

// singly is the tape where no two updates come at once, as the sim's do: each has an entry of
// its own, unless they come faster than those are written.
const singly = "tickwire, updates one by one"

// demand says what a load asks: calculated from what its entries were when one node read
// them, and measured.
func (r *TapeReport) demand(t transport, rate float64) {
	one := r.find(t.name, rate, 1)
	if one == nil || one.Limit != "" {
		return
	}
	for _, n := range demandedNodes {
		d := Demand{Transport: t.name, Updates: rate, Nodes: n, Entries: one.MessagesPS}
		if t.as == "" {
			r.calculate(&d)
		}
		if run := r.find(t.name, rate, n); run != nil {
			d.CoresThen, d.OutThen, d.DidNotFit = run.RedisCores, run.OutPS, run.Limit != ""
		}
		r.Demands = append(r.Demands, d)
	}
}

// demandSingly says what a load asks that no run has.
func (r *TapeReport) demandSingly(rate float64) {
	for i := range r.Entries {
		if c := &r.Entries[i]; c.PerEntry == 1 && c.Readers == 1 {
			for _, n := range demandedNodes {
				d := Demand{Transport: singly, Updates: rate, Nodes: n, Entries: min(rate, ratio(1e6, c.RoundUS))}
				r.calculate(&d)
				r.Demands = append(r.Demands, d)
			}
		}
	}
}

// calculate has what the tape's entries cost with so many nodes. Each reads at its own pace:
// what comes faster it reads several at a time.
func (r *TapeReport) calculate(d *Demand) {
	nodes := float64(d.Nodes)
	reads := nodes * min(d.Entries, float64(time.Second/nodeReadEvery))
	d.Cores = (r.IdleUS + r.CPU.of(d.Entries, d.Updates, reads, nodes*d.Updates)) / 1e6
	d.Out = r.Out.of(d.Entries, d.Updates, reads, nodes*d.Updates)
}
