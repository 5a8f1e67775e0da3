import { MAX_INT, MAX_SCALE, integer } from './decimal.js';
import { refuse } from './error.js';
import { CONFLATED, GAP, IMAGE, REASONS, type Reason } from './flags.js';
import { TYPES, control, list, map, text, type Control, type Message } from './message.js';
import { FIELDS, INDEX, NUM_FIELDS, STATUSES, scaleOf, type Field, type Quote } from './quote.js';
import { checkSymbol, checked, type Update } from './update.js';

/** Reads a text message. */
export function parseMessageJSON(source: string): Message {
  let m: unknown;
  try {
    m = JSON.parse(source);
  } catch (e) {
    refuse('syntax', String(e));
  }
  const o = map(m, 'a message');
  const type = text(o.type, 'type');
  if (!(TYPES as readonly string[]).includes(type)) return { type: 'unknown' };
  if (type !== 'data') return control(type as Control, o);
  const sentAt = integer(o.sent_at, 'sent_at', 0, MAX_INT);
  return { type, sentAt, updates: list(o.updates, 'updates', parseUpdateJSON) };
}

/** One update of a JSON data message. */
export function parseUpdateJSON(x: unknown): Update {
  const o = map(x, 'an update'), key = text(o.symbol, 'symbol');
  checkSymbol(key);
  const seq = integer(o.seq, 'seq', 0, MAX_INT);
  const flags = flag(o, 'image', IMAGE) | flag(o, 'gap', GAP) | conflated(o);
  const history = o.history === undefined ? 0 : integer(o.history, 'history', 0, MAX_INT);
  const byField = new Array<number | undefined>(NUM_FIELDS).fill(undefined);
  let mask = 0;
  for (const name in o) {
    if (!Object.hasOwn(INDEX, name)) continue;
    mask |= 1 << INDEX[name as Field];
    takeField(byField, INDEX[name as Field], o[name]);
  }
  const values: number[] = [];
  let implied = 0;
  for (let f = 0; f < NUM_FIELDS; f++) {
    const v = byField[f];
    if (v === undefined) continue;
    if (!((mask >>> f) & 1)) implied |= 1 << f;
    values.push(v);
  }
  const u: Update = { key, seq, flags, history, mask: mask | implied, values };
  if (implied) u.agree = (q) => agree(q, u, implied);
  return u;
}

/**
 * JSON names a scale only when it changes. Decimals printed in another than the one
 * held would silently move the point of all that they came without.
 */
function agree(q: Quote, u: Update, implied: number): void {
  for (let f = 0, i = 0; f < NUM_FIELDS; f++) {
    if (!((u.mask >>> f) & 1)) continue;
    const v = u.values[i++]!, old = q.values[f]!;
    if ((implied >>> f) & 1 && old === old && old !== v) {
      refuse('order', `${q.symbol}: ${FIELDS[f]} is ${v}, not ${old}`);
    }
  }
}

/** Puts a field's value as JSON has it; a decimal brings its scale along. */
function takeField(values: (number | undefined)[], f: number, v: unknown): void {
  if (v === null) {
    put(values, f, NaN);
  } else if (f === INDEX.status) {
    const status = (STATUSES as readonly unknown[]).indexOf(v);
    if (status < 0) refuse('type', 'status is none');
    values[f] = status;
  } else if (scaleOf(f) < 0) {
    put(values, f, checked(f, integer(v, FIELDS[f]!, -MAX_INT, MAX_INT)));
  } else {
    if (typeof v !== 'string') refuse('type', `${FIELDS[f]} is no text`);
    const d = parseDecimal(v);
    values[f] = d.mantissa;
    put(values, scaleOf(f), d.scale);
  }
}

/** Decimals of one group, and their scale where it is named, agree: the quote has one scale for all. */
function put(values: (number | undefined)[], f: number, v: number): void {
  const had = values[f];
  if (had !== undefined && had !== v) refuse('syntax', `${FIELDS[f]} is ${had} and ${v}`);
  values[f] = v;
}

function flag(o: Record<string, unknown>, name: string, bit: number): number {
  const v = o[name];
  if (v !== undefined && typeof v !== 'boolean') refuse('type', `${name} is true or false`);
  return v ? bit : 0;
}

function conflated(o: Record<string, unknown>): number {
  if (o.conflated === undefined) return 0;
  const reason = REASONS.indexOf(o.conflated as Reason);
  if (reason < 0) refuse('type', 'conflated is rate, slow or catch-up');
  return CONFLATED | ((reason + 1) << 2);
}

export interface Decimal { mantissa: number; scale: number }

const DECIMAL = /^-?(\d+)(?:\.(\d+))?$/;

/** The mantissa and the decimals of a text, exactly; syntax or range when there are none. */
export function parseDecimal(text: string): Decimal {
  const m = DECIMAL.exec(text);
  if (!m) refuse('syntax', `no decimal: ${text.slice(0, 40)}`);
  const part = m[2] ?? '';
  // No text of more than 2^53-1 rounds to less, so the comparison is exact.
  const mantissa = Number(m[1]! + part);
  if (mantissa > MAX_INT || part.length > MAX_SCALE) refuse('range', `beyond 53 bits: ${text.slice(0, 40)}`);
  return { mantissa: text[0] === '-' && mantissa !== 0 ? -mantissa : mantissa, scale: part.length };
}
