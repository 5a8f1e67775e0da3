package codec

// Set puts a decimal into its field, raising the scale of its group, and the other
// fields with it, when it needs more decimals. ErrRange leaves q as it was: a price
// or size that 53 bits cannot hold in the group's scale is refused, a volume loses
// decimals instead.
func (q *Quote) Set(f Field, mantissa int64, scale int) error {
	var from Quote
	g, ok := f.Scale()
	if !ok || scale < 0 || scale > MaxScale {
		return ErrRange
	}
	from[f], from[g] = mantissa, int64(scale)
	_, err := q.Apply(&from, 1<<f)
	return err
}

// SetText is Set of a number as text.
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
// be in m, and returns what changed in q: rescaled fields and scales too. On ErrRange
// q is as it was.
func (q *Quote) Apply(from *Quote, m Mask) (changed Mask, err error) {
	next := *q
	for _, g := range groups {
		if m&g.mask == 0 {
			continue
		}
		if err := next.applyGroup(from, m&g.mask, g.mask, g.scale); err != nil {
			return 0, err
		}
	}
	next.Merge(from, m&^(Prices|Sizes|Volumes|Scales))
	changed = next.Diff(q)
	*q = next
	return changed, nil
}

// applyGroup merges fields that share a scale into q, in the larger of both scales.
func (q *Quote) applyGroup(from *Quote, fields, group Mask, scale Field) error {
	had, has := q.decimals(scale), from.decimals(scale)
	to := max(had, has)
	for {
		next, fits := *q, true
		for f := Field(0); f < NumFields; f++ {
			if !group.Has(f) {
				continue
			}
			v, decimals := q[f], had
			if fields.Has(f) {
				v, decimals = from[f], has
			}
			if next[f], fits = rescale(v, decimals, to); !fits {
				break
			}
		}
		if fits {
			next[scale] = int64(to)
			if next.Present()&group == 0 {
				next[scale] = q[scale]
			}
			*q = next
			return nil
		}
		if scale != VolumeScale || to == 0 {
			return ErrRange
		}
		to--
	}
}

// rescale changes the number of decimals of a mantissa; fewer drop digits.
func rescale(v int64, from, to int) (int64, bool) {
	if v == Absent || v == 0 {
		return v, true
	}
	for ; from > to; from-- {
		v /= 10
	}
	if from < to {
		p := pow10[to-from]
		if v > MaxInt/p || v < -MaxInt/p {
			return 0, false
		}
		v *= p
	}
	return v, v <= MaxInt && v >= -MaxInt
}
