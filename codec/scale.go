package codec

import "math/bits"

// Set puts a decimal into its field, raising the scale of its group, and the other
// fields with it, when it needs more decimals. ErrRange leaves q as it was: a price
// or size that 53 bits cannot hold in the group's scale is refused, a volume loses
// decimals instead.
func (q *Quote) Set(f Field, mantissa int64, scale int) error {
	g, ok := f.Scale()
	if !ok {
		return ErrRange
	}
	if q[g] == int64(scale) && f.holds(mantissa) { // most often: no field to rescale
		q[f] = mantissa
		return nil
	}
	var from Quote
	from[f], from[g] = mantissa, int64(scale)
	_, err := q.Apply(&from, 1<<f)
	return err
}

// SetText is Set of a number as text; ErrSyntax is no number.
func (q *Quote) SetText(f Field, text []byte) error {
	parse := ParseDecimal
	if Volumes.Has(f) {
		parse = ParseVolume
	}
	m, s, err := parse(text)
	if err != nil {
		return err
	}
	return q.Set(f, m, s)
}

// Apply merges the fields of m from a quote with scales of its own, which need not
// be in m, and returns what changed in q: rescaled fields and scales too. It is
// ErrRange, and q is as it was, when a field of m, or its scale, is not what the wire
// may hold, or when 53 bits cannot hold a price or size of its group in the larger
// of both scales. Volumes lose decimals instead.
func (q *Quote) Apply(from *Quote, m Mask) (changed Mask, err error) {
	for rest := uint32(m.WithScales() & AllFields); rest != 0; rest &= rest - 1 {
		if f := Field(bits.TrailingZeros32(rest)); from[f] != Absent && !f.holds(from[f]) {
			return 0, ErrRange
		}
	}
	next := *q
	next.Merge(from, m&^(Prices|Sizes|Volumes|Scales))
	for _, g := range groups {
		fields := m & g.mask
		if fields == 0 {
			continue
		}
		had, has := q.decimals(g.scale), from.decimals(g.scale)
		to := max(had, has)
		for !next.rescale(q, g.mask&^fields, had, to) || !next.rescale(from, fields, has, to) {
			if g.scale != VolumeScale || to == 0 {
				return 0, ErrRange
			}
			to--
		}
		if next.Present()&g.mask != 0 {
			next[g.scale] = int64(to)
		}
	}
	changed = next.Diff(q)
	*q = next
	return changed, nil
}

// rescale copies fields that another quote has in another scale; false when 53 bits
// cannot hold one.
func (q *Quote) rescale(from *Quote, fields Mask, had, to int) bool {
	for rest := uint32(fields); rest != 0; rest &= rest - 1 {
		f := bits.TrailingZeros32(rest)
		v, ok := rescale(from[f], had, to)
		if !ok {
			return false
		}
		q[f] = v
	}
	return true
}

// rescale changes the number of decimals of a mantissa; fewer drop digits.
func rescale(v int64, from, to int) (int64, bool) {
	switch {
	case v == Absent || from == to:
		return v, true
	case from > to:
		return v / pow10[from-to], true
	}
	p := pow10[to-from]
	most := MaxInt / p
	return v * p, v <= most && v >= -most
}
