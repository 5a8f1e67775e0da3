import { MAX_INT, MAX_SCALE, integer, parseDecimal } from './decimal.js';
import { ProtocolError } from './error.js';
import { CONFLATED, GAP, IMAGE, REASONS, type Reason } from './flags.js';
import { FIELDS, INDEX, NUM_FIELDS, STATUSES, isScale, scaleOf, type Field } from './quote.js';
import type { Reader } from './msgpack.js';

/** venue:NAME, of at most 64 visible ASCII characters without a star. */
const SYMBOL = /^(?=.{3,64}$)[!-)+-9;-~]+:[!-)+-~]+$/;
const KNOWN = 2 ** NUM_FIELDS - 1;

/** Changed fields of one symbol, as they came. */
export interface Update {
  /** The node's number for the symbol, or in JSON the symbol itself. */
  key: number | string;
  seq: number;
  /** IMAGE, CONFLATED with its reason, GAP. */
  flags: number;
  /** Of an image: the history its seqs belong to; 0 otherwise. */
  history: number;
  /** Fields that have a value here, by number. */
  mask: number;
  /** Of those the scales that JSON did not name, but printed decimals in. */
  implied: number;
  /** One value per bit of mask, lowest first; NaN is not known. */
  values: number[];
}

/** One update of a binary data message: [id, seq, flags, mask, history if an image, value...]. */
export function parseUpdate(r: Reader): Update {
  const n = r.array('an update');
  if (n < 1) throw new ProtocolError('count', 'an update has four elements at least');
  return parseUpdateTail(r, r.uint('id', 2 ** 32 - 1), n - 1);
}

/** Refuses what is no symbol. */
export function checkSymbol(key: string): void {
  if (!SYMBOL.test(key)) throw new ProtocolError('range', 'a symbol is venue:NAME');
}

/** An update after its key, n elements of its array. */
export function parseUpdateTail(r: Reader, key: number | string, n: number): Update {
  if (n < 3) throw new ProtocolError('count', 'an update has four elements at least');
  const seq = r.uint('seq'), flags = r.uint('flags', 255), mask = r.uint('mask', 2 ** 32 - 1);
  const image = flags & IMAGE;
  if (n !== 3 + image + bits(mask)) throw new ProtocolError('count', 'not the values that the mask says');
  const history = image ? r.uint('history') : 0;
  const values: number[] = [];
  for (let f = 0; mask >>> f !== 0 && f < 32; f++) {
    if (!((mask >>> f) & 1)) continue;
    const v = r.value(FIELDS[f] ?? 'a value');
    if (f < NUM_FIELDS) values.push(checked(f, v));
  }
  return { key, seq, flags, history, mask: mask & KNOWN, implied: 0, values };
}

/** Scales and the status have bounds of their own; a newer node may know more statuses. */
function checked(f: number, v: number): number {
  if (isScale(f) && (v < 0 || v > MAX_SCALE)) throw new ProtocolError('range', `${FIELDS[f]} is ${v}`);
  if (f === INDEX.status && v < 0) throw new ProtocolError('range', `status is ${v}`);
  return v;
}

function bits(mask: number): number {
  let n = 0;
  for (; mask !== 0; mask &= mask - 1) n++;
  return n;
}

/** One update of a JSON data message. */
export function parseUpdateJSON(x: unknown): Update {
  if (typeof x !== 'object' || x === null || Array.isArray(x)) throw new ProtocolError('type', 'an update is an object');
  const o = x as Record<string, unknown>;
  const key = o.symbol;
  if (typeof key !== 'string') throw new ProtocolError('type', 'an update has a symbol');
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
  return { key, seq, flags, history, mask: mask | implied, implied, values };
}

/** Puts a field's value as JSON has it; a decimal brings its scale along. */
function takeField(values: (number | undefined)[], f: number, v: unknown): void {
  if (v === null) {
    put(values, f, NaN);
  } else if (f === INDEX.status) {
    const status = (STATUSES as readonly unknown[]).indexOf(v);
    if (status < 0) throw new ProtocolError('type', 'status is none');
    values[f] = status;
  } else if (scaleOf(f) < 0) {
    put(values, f, checked(f, integer(v, FIELDS[f]!, -MAX_INT, MAX_INT)));
  } else {
    if (typeof v !== 'string') throw new ProtocolError('type', `${FIELDS[f]} is no text`);
    const d = parseDecimal(v);
    values[f] = d.mantissa;
    put(values, scaleOf(f), d.scale);
  }
}

/** Decimals of one group, and their scale where it is named, agree: the quote has one scale for all. */
function put(values: (number | undefined)[], f: number, v: number): void {
  const had = values[f];
  if (had !== undefined && had !== v) throw new ProtocolError('syntax', `${FIELDS[f]} is ${had} and ${v}`);
  values[f] = v;
}

function flag(o: Record<string, unknown>, name: string, bit: number): number {
  const v = o[name];
  if (v !== undefined && typeof v !== 'boolean') throw new ProtocolError('type', `${name} is true or false`);
  return v ? bit : 0;
}

function conflated(o: Record<string, unknown>): number {
  if (o.conflated === undefined) return 0;
  const reason = REASONS.indexOf(o.conflated as Reason);
  if (reason < 0) throw new ProtocolError('type', 'conflated is rate, slow or catch-up');
  return CONFLATED | ((reason + 1) << 2);
}
