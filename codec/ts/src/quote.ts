/** Fields of a quote in the order of the wire; a newer server may name more. */
export const FIELDS = [
  'bid', 'bid_size', 'ask', 'ask_size', 'last', 'last_size', 'volume', 'turnover',
  'open', 'high', 'low', 'vwap', 'trades', 'status', 'event_time', 'recv_time',
  'price_scale', 'size_scale', 'volume_scale',
] as const;

export type Field = (typeof FIELDS)[number];

export const INDEX = Object.fromEntries(FIELDS.map((name, i) => [name, i])) as Record<Field, number>;

export const STATUSES = ['live', 'stale', 'down', 'halted', 'closed'] as const;
export type Status = (typeof STATUSES)[number];

export type Reason = 'rate' | 'slow' | 'catch-up';

/** The largest magnitude of an integer on the wire. */
export const MAX_INT = Number.MAX_SAFE_INTEGER;
export const MAX_SCALE = 15;

const SCALE_OF: readonly (number | undefined)[] = FIELDS.map((name) => {
  if (['bid', 'ask', 'last', 'open', 'high', 'low', 'vwap'].includes(name)) return INDEX.price_scale;
  if (['bid_size', 'ask_size', 'last_size'].includes(name)) return INDEX.size_scale;
  if (['volume', 'turnover'].includes(name)) return INDEX.volume_scale;
  return undefined;
});

/** The field that holds the decimals of the field at an index; undefined for what is no decimal. */
export const scaleOf = (index: number): number | undefined => SCALE_OF[index];

/** A symbol's merged quote: what the client holds after the last update. */
export class Quote {
  /** Mantissas, counts and times by field index; null is not known. */
  readonly values: (number | null)[] = new Array(FIELDS.length).fill(null);
  seq = 0;
  /** Unix ms of the birth of the history its seqs belong to. */
  history = 0;

  /** What the last update said of itself. */
  image = false;
  gap = false;
  conflated: Reason | null = null;
  /** Updates between the last and the one before that were merged into it. */
  skipped = 0;
  /** Fields of the last update, as a bit set by field index. */
  mask = 0;

  constructor(readonly symbol: string) {}

  /** A field's exact text: a decimal with all its decimals, an integer, or the status by name. */
  text(field: Field): string | null {
    const i = INDEX[field];
    const v = this.values[i];
    if (v == null) return null;
    if (field === 'status') return STATUSES[v] ?? String(v);
    const scale = SCALE_OF[i];
    return scale === undefined ? String(v) : decimalText(v, this.values[scale] ?? 0);
  }

  /** A field as a number, for charts: decimals may be rounded to what a double holds. */
  number(field: Field): number | null {
    const i = INDEX[field];
    const v = this.values[i];
    if (v == null) return null;
    const scale = SCALE_OF[i];
    return scale === undefined ? v : v / 10 ** (this.values[scale] ?? 0);
  }

  get status(): Status | null {
    return this.text('status') as Status | null;
  }

  /** The names of the fields that the last update carried. */
  get changed(): Field[] {
    return FIELDS.filter((_, i) => (this.mask >>> i) & 1);
  }
}

/** mantissa x 10^-scale with exactly scale decimals. */
export function decimalText(mantissa: number, scale: number): string {
  if (scale === 0) return String(mantissa);
  const digits = String(Math.abs(mantissa)).padStart(scale + 1, '0');
  return (mantissa < 0 ? '-' : '') + digits.slice(0, -scale) + '.' + digits.slice(-scale);
}

/** The mantissa and decimals of a decimal's text, exactly; null when it is none or too long. */
export function parseDecimal(text: string): { mantissa: number; scale: number } | null {
  const m = /^(-?)(\d+)(?:\.(\d+))?$/.exec(text);
  if (!m) return null;
  const part = m[3] ?? '';
  const mantissa = Number(m[2]! + part);
  if (mantissa > MAX_INT || part.length > MAX_SCALE) return null;
  return { mantissa: m[1] && mantissa ? -mantissa : mantissa, scale: part.length };
}
