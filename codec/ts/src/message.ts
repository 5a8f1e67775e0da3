import { decode } from '@msgpack/msgpack';
import { MAX_INT, integer } from './decimal.js';
import { ProtocolError, type WireError } from './error.js';
import { Reader } from './msgpack.js';
import { FIELDS, NUM_FIELDS } from './quote.js';
import { parseUpdate, parseUpdateJSON, type Update } from './update.js';

/** The version of the protocol that hello must name. */
export const PROTOCOL = 1;

/** What became of one symbol, or pattern, of a request. */
export interface Result {
  symbol: string;
  /** The node's number for the symbol on this connection. */
  id?: number;
  /** Of a pattern: symbols that match now. */
  matched?: number;
  /** Of list, and of auth where it lowers a rate: what is in effect. */
  rate?: number;
  fields?: string[];
  error?: WireError;
}

export interface Limits { request_bytes: number; request_symbols: number; subs: number; requests_per_s: number }

export interface Hello {
  protocol: number;
  node: string;
  /** us since the Unix epoch, the node's clock. */
  time: number;
  /** Names by bit of a mask. */
  fields: string[];
  /** ms of silence after which a heartbeat comes. */
  heartbeat: number;
  /** ms between two updates of a symbol that a rate may be rounded to; 0 is raw. */
  periods: number[];
  limits: Limits;
  /** Seconds that the token is good for; null without one. */
  token_ttl: number | null;
}

export interface Reply {
  id: number;
  op: string;
  /** In effect: updates a second and symbol; 0 is as they come. */
  rate?: number;
  fields?: string[];
  /** Of ping: us since the Unix epoch. */
  time?: number;
  /** Of auth: seconds that the token is good for. */
  token_ttl?: number;
  results?: Result[];
}

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
type Control = Exclude<(typeof TYPES)[number], 'data'>;

/** Reads a binary message. What a newer node may add is ignored, what is wrong refused. */
export function parseMessage(bytes: Uint8Array): Message {
  const r = new Reader(bytes);
  const n = r.array('a message');
  if (n < 2) throw new ProtocolError('count', 'a message has two elements at least');
  const type = TYPES[r.uint('type', 255)];
  if (type === undefined) return { type: 'unknown' };
  if (type === 'data') {
    const sentAt = r.uint('sent_at');
    const updates: Update[] = [];
    for (let i = 2; i < n; i++) updates.push(parseUpdate(r));
    r.end();
    return { type, sentAt, updates };
  }
  const from = r.at;
  r.check();
  if (n !== 2) throw new ProtocolError('count', `${type} has one map`);
  r.end();
  return control(type, general(bytes.subarray(from)));
}

/** Decodes what was checked before; what the decoder still refuses is a key __proto__. */
function general(bytes: Uint8Array): unknown {
  try {
    return decode(bytes);
  } catch (e) {
    throw new ProtocolError('type', String(e));
  }
}

/** Reads a text message. */
export function parseMessageJSON(text: string): Message {
  let m: unknown;
  try {
    m = JSON.parse(text);
  } catch (e) {
    throw new ProtocolError('syntax', String(e));
  }
  const o = map(m, 'a message');
  const type = string(o.type, 'type');
  if (!(TYPES as readonly string[]).includes(type)) return { type: 'unknown' };
  if (type !== 'data') return control(type as Control, o);
  const sentAt = integer(o.sent_at, 'sent_at', 0, MAX_INT);
  return { type, sentAt, updates: list(o.updates, 'updates', parseUpdateJSON) };
}

/** A message other than data from its map. */
function control(type: Control, body: unknown): Message {
  const o = map(body, type);
  switch (type) {
    case 'hello': return { type, ...hello(o) };
    case 'reply': return { type, ...reply(o) };
    case 'heartbeat': return { type, time: natural(o, 'time'), subs: natural(o, 'subs'), hash: integer(o.hash, 'hash', 0, 2 ** 32 - 1) };
    case 'lag': return { type, blocked_ms: natural(o, 'blocked_ms') };
    case 'drain': return { type, within_ms: natural(o, 'within_ms') };
    case 'error': return { type, ...wireError(o) };
  }
}

function hello(o: Record<string, unknown>): Hello {
  const protocol = natural(o, 'protocol');
  if (protocol !== PROTOCOL) throw new ProtocolError('version', `protocol ${protocol}`);
  const fields = list(o.fields, 'fields', string);
  if (fields.some((name, f) => f < NUM_FIELDS && name !== FIELDS[f])) throw new ProtocolError('version', 'fields of another order');
  const limits = map(o.limits ?? {}, 'limits');
  return {
    protocol,
    node: string(o.node, 'node'),
    time: natural(o, 'time'),
    fields,
    heartbeat: natural(o, 'heartbeat'),
    periods: list(o.periods ?? [], 'periods', (x) => integer(x, 'a period', 0, MAX_INT)),
    limits: {
      request_bytes: natural(limits, 'request_bytes'), request_symbols: natural(limits, 'request_symbols'),
      subs: natural(limits, 'subs'), requests_per_s: natural(limits, 'requests_per_s'),
    },
    token_ttl: o.token_ttl == null ? null : natural(o, 'token_ttl'),
  };
}

function reply(o: Record<string, unknown>): Reply {
  const out: Reply = { id: natural(o, 'id'), op: string(o.op, 'op') };
  if (o.rate != null) out.rate = number(o.rate, 'rate');
  if (o.fields != null) out.fields = list(o.fields, 'fields', string);
  if (o.time != null) out.time = natural(o, 'time');
  if (o.token_ttl != null) out.token_ttl = natural(o, 'token_ttl');
  if (o.results != null) out.results = list(o.results, 'results', result);
  return out;
}

function result(x: unknown): Result {
  const o = map(x, 'a result');
  const out: Result = { symbol: string(o.symbol, 'symbol') };
  if (o.id != null) out.id = integer(o.id, 'id', 0, 2 ** 32 - 1);
  if (o.matched != null) out.matched = natural(o, 'matched');
  if (o.rate != null) out.rate = number(o.rate, 'rate');
  if (o.fields != null) out.fields = list(o.fields, 'fields', string);
  if (o.error != null) out.error = wireError(map(o.error, 'error'));
  return out;
}

function wireError(o: Record<string, unknown>): WireError {
  const out: WireError = { code: natural(o, 'code'), text: string(o.text, 'text'), retry: o.retry === true };
  if (o.id != null) out.id = natural(o, 'id');
  return out;
}

function map(x: unknown, what: string): Record<string, unknown> {
  if (typeof x !== 'object' || x === null || Array.isArray(x)) throw new ProtocolError('type', `${what} is no map`);
  return x as Record<string, unknown>;
}

function list<T>(x: unknown, what: string, one: (x: unknown, what: string) => T): T[] {
  if (!Array.isArray(x)) throw new ProtocolError('type', `${what} is no array`);
  return x.map((v) => one(v, what));
}

function string(x: unknown, what: string): string {
  if (typeof x !== 'string') throw new ProtocolError('type', `${what} is no text`);
  return x;
}

function number(x: unknown, what: string): number {
  if (typeof x !== 'number' || !Number.isFinite(x)) throw new ProtocolError('type', `${what} is no number`);
  return x;
}

/** A key's integer from 0; a key that is missing says 0, as the node's own encoder leaves some out. */
function natural(o: Record<string, unknown>, key: string): number {
  return integer(o[key] ?? 0, key, 0, MAX_INT);
}

/** FNV-1a, 32 bits, of a symbol's UTF-8: what a heartbeat's hash is made of. */
export function symbolHash(symbol: string): number {
  let h = 0x811c9dc5;
  for (const byte of utf8.encode(symbol)) h = Math.imul(h ^ byte, 0x01000193);
  return h >>> 0;
}

const utf8 = new TextEncoder();
