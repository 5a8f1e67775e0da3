import { MAX_SCALE } from './decimal.js';
import { refuse } from './error.js';
import { IMAGE } from './flags.js';
import { FIELDS, INDEX, NUM_FIELDS, isScale, type Quote } from './quote.js';
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
  /** One value per bit of mask, lowest first; NaN is not known. */
  values: number[];
  /** Where JSON printed decimals without naming their scale: refuses the quote that holds another. */
  agree?: (q: Quote) => void;
}

/** One update of a binary data message: [id, seq, flags, mask, history if an image, value...]. */
export function parseUpdate(r: Reader): Update {
  const n = r.array('an update');
  return parseUpdateTail(r, n && r.uint('id', 2 ** 32 - 1), n - 1);
}

/** Refuses what is no symbol. */
export function checkSymbol(key: string): void {
  if (!SYMBOL.test(key)) refuse('range', 'a symbol is venue:NAME');
}

/** An update after its key, n elements of its array. */
export function parseUpdateTail(r: Reader, key: number | string, n: number): Update {
  if (n < 3) refuse('count', 'an update has four elements');
  const seq = r.uint('seq'), flags = r.uint('flags', 255), mask = r.uint('mask', 2 ** 32 - 1);
  const image = flags & IMAGE;
  if (n !== 3 + image + bits(mask)) refuse('count', 'not the values that the mask says');
  const history = image ? r.uint('history') : 0;
  const values: number[] = [];
  for (let f = 0; mask >>> f !== 0 && f < 32; f++) {
    if (!((mask >>> f) & 1)) continue;
    const v = r.value(FIELDS[f] ?? 'a value');
    if (f < NUM_FIELDS) values.push(checked(f, v));
  }
  return { key, seq, flags, history, mask: mask & KNOWN, values };
}

/** Scales and the status have bounds of their own; a newer node may know more statuses. */
export function checked(f: number, v: number): number {
  if (isScale(f) ? v < 0 || v > MAX_SCALE : f === INDEX.status && v < 0) refuse('range', `${FIELDS[f]} is ${v}`);
  return v;
}

function bits(mask: number): number {
  let n = 0;
  for (; mask !== 0; mask &= mask - 1) n++;
  return n;
}
