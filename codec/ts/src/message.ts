import { decode } from '@msgpack/msgpack';
import { FIELDS, INDEX, MAX_INT, STATUSES, parseDecimal, scaleOf, type Reason } from './quote.js';

/** Why a message was refused; `kind` is the class of testdata/invalid.json. */
export class ProtocolError extends Error {
  constructor(readonly kind: 'syntax' | 'truncated' | 'trailing' | 'type' | 'range' | 'count', text: string) {
    super(`${kind}: ${text}`);
    this.name = 'ProtocolError';
  }
}

/** One update as it came: fields of the mask only. */
export interface Update {
  /** The node's number for the symbol (msgpack), or the symbol itself (JSON). */
  key: number | string;
  seq: number;
  image: boolean;
  gap: boolean;
  conflated: Reason | null;
  history: number;
  mask: number;
  /** Values by field index; null is not known. */
  values: (number | null)[];
}

export interface WireError { id?: number | null; code: number; text: string; retry: boolean }
export interface Result { symbol: string; id?: number; matched?: number; rate?: number; fields?: string[]; error?: WireError }
export interface Hello {
  protocol: number; node: string; time: number; fields: string[]; heartbeat: number; periods: number[];
  limits: { request_bytes: number; request_symbols: number; subs: number; requests_per_s: number };
  token_ttl: number | null;
}
export interface Reply { id: number; op: string; rate?: number; fields?: string[]; time?: number; results?: Result[] }
export interface Heartbeat { time: number; subs: number; hash: number }

export type Message =
  | { type: 'data'; sentAt: number; updates: Update[] }
  | ({ type: 'hello' } & Hello)
  | ({ type: 'reply' } & Reply)
  | ({ type: 'heartbeat' } & Heartbeat)
  | { type: 'lag'; blocked_ms: number }
  | { type: 'drain'; within_ms: number }
  | ({ type: 'error' } & WireError)
  | { type: 'unknown' };

const TYPES = ['data', 'hello', 'reply', 'heartbeat', 'lag', 'drain', 'error'] as const;
const REASONS: readonly Reason[] = ['rate', 'slow', 'catch-up'];

const IMAGE = 1, CONFLATED = 2, GAP = 16;

/** An integer within limits, or an error that names what it was. */
function int(v: unknown, what: string, least: number, most: number): number {
  if (typeof v === 'bigint') throw new ProtocolError('range', what);
  if (typeof v !== 'number' || !Number.isFinite(v)) throw new ProtocolError('type', what);
  if (!Number.isInteger(v)) throw new ProtocolError('type', what);
  if (v < least || v > most) throw new ProtocolError('range', what);
  return v;
}

/** Reads a binary message. What a newer server may add is ignored, what is wrong is refused. */
export function parseMessage(bytes: Uint8Array): Message {
  let m: unknown;
  try {
    m = decode(bytes, { useBigInt64: false, maxArrayLength: bytes.length, maxMapLength: bytes.length });
  } catch (e) {
    const text = String(e);
    throw new ProtocolError(/Extra/.test(text) ? 'trailing' : /Insufficient|RangeError|Offset|Max length/.test(text) ? 'truncated' : 'type', text);
  }
  if (!Array.isArray(m)) throw new ProtocolError('type', 'a message is an array');
  if (m.length < 2) throw new ProtocolError('count', 'a message has two elements at least');
  const type = TYPES[int(m[0], 'type', 0, 255)];
  if (type === undefined) return { type: 'unknown' };
  if (type !== 'data') {
    if (m.length !== 2) throw new ProtocolError('count', type);
    return control(type, m[1]);
  }
  const updates: Update[] = [];
  for (let i = 2; i < m.length; i++) updates.push(parseUpdate(m[i]));
  return { type, sentAt: int(m[1], 'sent_at', 0, MAX_INT), updates };
}

function parseUpdate(u: unknown): Update {
  if (!Array.isArray(u)) throw new ProtocolError('type', 'an update is an array');
  if (u.length < 4) throw new ProtocolError('count', 'an update has four elements at least');
  const key = int(u[0], 'id', 0, 2 ** 32 - 1);
  const seq = int(u[1], 'seq', 0, MAX_INT);
  const flags = int(u[2], 'flags', 0, 255);
  const bits = int(u[3], 'mask', 0, 2 ** 32 - 1);
  const image = (flags & IMAGE) !== 0;
  const values: (number | null)[] = [];
  let at = image ? 5 : 4;
  const history = image && u.length > 4 ? int(u[4], 'history', 0, MAX_INT) : 0;
  for (let f = 0; f < 32; f++) {
    if (!((bits >>> f) & 1)) continue;
    if (at >= u.length) throw new ProtocolError('count', 'fewer values than the mask says');
    const v: unknown = u[at++];
    const value = v === null ? null : int(v, 'value', -MAX_INT, MAX_INT);
    if (f < FIELDS.length) values[f] = value;
  }
  if (at !== u.length) throw new ProtocolError('count', 'more values than the mask says');
  const conflated = flags & CONFLATED ? (REASONS[((flags >> 2) & 3) - 1] ?? 'catch-up') : null;
  return { key, seq, image, gap: (flags & GAP) !== 0, conflated, history, mask: bits & ((1 << FIELDS.length) - 1), values };
}

function control(type: Exclude<(typeof TYPES)[number], 'data'>, body: unknown): Message {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) throw new ProtocolError('type', `${type} is a map`);
  return { ...(body as object), type } as Message;
}

/** Reads a text message. */
export function parseMessageJSON(text: string): Message {
  let m: unknown;
  try {
    m = JSON.parse(text);
  } catch (e) {
    throw new ProtocolError('syntax', String(e));
  }
  if (typeof m !== 'object' || m === null || Array.isArray(m)) throw new ProtocolError('type', 'a message is an object');
  const { type, sent_at, updates } = m as Record<string, unknown>;
  if (typeof type !== 'string') throw new ProtocolError('type', 'type');
  if (!(TYPES as readonly string[]).includes(type)) return { type: 'unknown' };
  if (type !== 'data') return control(type as 'hello', m);
  if (!Array.isArray(updates)) throw new ProtocolError('type', 'updates');
  return { type, sentAt: int(sent_at, 'sent_at', 0, MAX_INT), updates: updates.map(parseUpdateJSON) };
}

function parseUpdateJSON(x: unknown): Update {
  if (typeof x !== 'object' || x === null || Array.isArray(x)) throw new ProtocolError('type', 'an update is an object');
  const o = x as Record<string, unknown>;
  if (typeof o.symbol !== 'string' || o.seq === undefined) throw new ProtocolError('type', 'an update has symbol and seq');
  const u: Update = {
    key: o.symbol, seq: int(o.seq, 'seq', 0, MAX_INT), image: flag(o, 'image'), gap: flag(o, 'gap'), conflated: null,
    history: o.history === undefined ? 0 : int(o.history, 'history', 0, MAX_INT), mask: 0, values: [],
  };
  if (o.conflated !== undefined) {
    if (!(REASONS as readonly unknown[]).includes(o.conflated)) throw new ProtocolError('type', 'conflated');
    u.conflated = o.conflated as Reason;
  }
  for (const name in o) {
    const f = (INDEX as Record<string, number | undefined>)[name];
    if (f === undefined) continue;
    u.mask |= 1 << f;
    setJSON(u.values, f, o[name]);
  }
  return u;
}

/** Puts a value as JSON has it; a decimal brings its scale along. */
function setJSON(values: (number | null)[], f: number, v: unknown): void {
  if (v === null) {
    values[f] = null;
  } else if (f === INDEX.status) {
    const status = (STATUSES as readonly unknown[]).indexOf(v);
    if (status < 0) throw new ProtocolError('type', 'status');
    values[f] = status;
  } else {
    const scale = scaleOf(f);
    if (scale === undefined) {
      values[f] = int(v, FIELDS[f]!, -MAX_INT, MAX_INT);
      return;
    }
    if (typeof v !== 'string') throw new ProtocolError('type', FIELDS[f]!);
    const d = parseDecimal(v);
    if (!d) throw new ProtocolError(/^-?\d+(\.\d+)?$/.test(v) ? 'range' : 'syntax', FIELDS[f]!);
    values[f] = d.mantissa;
    values[scale] = d.scale;
  }
}

function flag(o: Record<string, unknown>, name: string): boolean {
  const v = o[name];
  if (v !== undefined && typeof v !== 'boolean') throw new ProtocolError('type', name);
  return v === true;
}

/** FNV-1a, 32 bits, of a symbol's UTF-8: what a heartbeat's hash is made of. */
export function symbolHash(symbol: string): number {
  let h = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(symbol)) h = Math.imul(h ^ byte, 0x01000193) >>> 0;
  return h;
}
