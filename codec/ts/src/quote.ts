import { decimalText } from './decimal.js';
import { reasonOf, IMAGE, GAP, type Reason } from './flags.js';

/** Fields of a quote in the order of the wire; new ones are added at the end. */
export const FIELDS = [
  'bid', 'bid_size', 'ask', 'ask_size', 'last', 'last_size', 'volume', 'turnover',
  'open', 'high', 'low', 'vwap', 'trades', 'status', 'event_time', 'recv_time',
  'price_scale', 'size_scale', 'volume_scale',
] as const;

export type Field = (typeof FIELDS)[number];

export const NUM_FIELDS = FIELDS.length;

/** The number of each field: its bit in a mask. */
export const INDEX = Object.fromEntries(FIELDS.map((name, i) => [name, i])) as Record<Field, number>;

/** Names of the status by number; JSON has the names, msgpack the numbers. */
export const STATUSES = ['live', 'stale', 'down', 'halted', 'closed'] as const;
export type Status = (typeof STATUSES)[number];

/** Of a price, a size and a volume the number of their scale, in the order of the fields. */
const P = INDEX.price_scale, S = INDEX.size_scale, V = INDEX.volume_scale;
const SCALE_OF = [P, S, P, S, P, S, V, V, P, P, P, P];

/** The number of the field that holds the decimals of field f; -1 when f is no decimal. */
export const scaleOf = (f: number): number => SCALE_OF[f] ?? -1;

/** Whether field f holds decimals of others. */
export const isScale = (f: number): boolean => f >= P && f <= V;

const names = new Map<number, readonly Field[]>();
const NAMES_MOST = 4096; // masks in use are few; a hostile node gets no memory

/** The fields of a mask; the same array for the same mask. */
export function fieldsOf(mask: number): readonly Field[] {
  let list = names.get(mask);
  if (list) return list;
  list = Object.freeze(FIELDS.filter((_, f) => (mask >>> f) & 1));
  if (names.size < NAMES_MOST) names.set(mask, list);
  return list;
}

/** A symbol's merged quote, as those who read it see it. */
export interface QuoteView {
  readonly symbol: string;
  /** The number of the last update; 0 before the first. */
  readonly seq: number;
  /** Unix ms of the birth of the history that seq belongs to; 0 before the first image. */
  readonly history: number;
  readonly status: Status | null;
  /** Of the last update: whether it replaced everything. */
  readonly image: boolean;
  /** Of the last update: whether the venue's stream was interrupted before it. */
  readonly gap: boolean;
  /** Of the last update: why it merges several, or null. */
  readonly reason: Reason | null;
  /** Of the last update: how many before it were not sent. */
  readonly conflated: number;
  /** Exact: a decimal with all its decimals, an integer, or the status by name; null when not known. */
  text(field: Field): string | null;
  /** The nearest double, for charts; null when not known. */
  number(field: Field): number | null;
  /** The integer on the wire, of which `scale(field)` digits are decimals; null when not known. */
  mantissa(field: Field): number | null;
  /** How many decimals a field has: 0 of counts, times and the status; null when not known. */
  scale(field: Field): number | null;
  /** seq and the fields that are known, as /v1/snapshot has them beside the history. */
  toJSON(): Record<string, string | number>;
}

const known = (v: number): number | null => (v === v ? v : null); // NaN is not

/** A symbol's merged quote: what a client holds after the last update. */
export class Quote implements QuoteView {
  /** By field number: mantissas, counts, times; NaN is not known. Doubles hold 53 bits exactly. */
  readonly values = new Float64Array(NUM_FIELDS).fill(NaN);
  seq = 0;
  history = 0;
  /** Flags of the last update. */
  flags = 0;
  conflated = 0;

  constructor(readonly symbol: string) {}

  get image(): boolean { return (this.flags & IMAGE) !== 0; }
  get gap(): boolean { return (this.flags & GAP) !== 0; }
  get reason(): Reason | null { return reasonOf(this.flags); }
  get status(): Status | null { return this.text('status') as Status | null; }

  mantissa(field: Field): number | null {
    return known(this.values[INDEX[field]]!);
  }

  scale(field: Field): number | null {
    const s = scaleOf(INDEX[field]);
    return s < 0 ? 0 : known(this.values[s]!);
  }

  text(field: Field): string | null {
    const v = this.mantissa(field), scale = this.scale(field);
    if (v === null || scale === null) return null;
    return field === 'status' ? (STATUSES[v] ?? String(v)) : decimalText(v, scale);
  }

  number(field: Field): number | null {
    const v = this.mantissa(field), scale = this.scale(field);
    return v === null || scale === null ? null : v / 10 ** scale;
  }

  toJSON(): Record<string, string | number> {
    const out: Record<string, string | number> = { seq: this.seq };
    FIELDS.forEach((field, f) => {
      const text = this.text(field);
      if (text !== null) out[field] = scaleOf(f) >= 0 || field === 'status' ? text : this.values[f]!;
    });
    return out;
  }
}
