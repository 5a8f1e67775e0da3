import { MAX_INT, integer } from './decimal.js';
import { RequestError, refuse, type WireError } from './error.js';
import { Reader } from './msgpack.js';
import { FIELDS, NUM_FIELDS } from './quote.js';
import { parseUpdate, type Update } from './update.js';

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
  error?: RequestError;
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

export const TYPES = ['data', 'hello', 'reply', 'heartbeat', 'lag', 'drain', 'error'] as const;
export type Control = Exclude<(typeof TYPES)[number], 'data'>;

/** Reads a binary message. What a newer node may add is ignored, what is wrong refused. */
export function parseMessage(bytes: Uint8Array): Message {
  const r = new Reader(bytes);
  const n = r.array('a message');
  if (n < 2) refuse('count', 'a message has two elements');
  const type = TYPES[r.uint('type', 255)];
  if (type === undefined) return { type: 'unknown' };
  if (type === 'data') {
    const sentAt = r.uint('sent_at');
    const updates: Update[] = [];
    for (let i = 2; i < n; i++) updates.push(parseUpdate(r));
    r.end();
    return { type, sentAt, updates };
  }
  const body = r.any();
  if (n !== 2) refuse('count', `${type} has one map`);
  r.end();
  return control(type, body);
}

/** How each key of a map is read; undefined is left out. */
type Shape<T> = { [K in keyof T]-?: (x: unknown, key: string, o: Record<string, unknown>) => T[K] | undefined };

const LIMITS: Shape<Limits> = { request_bytes: natural, request_symbols: natural, subs: natural, requests_per_s: natural };
const HELLO: Shape<Hello> = {
  protocol, node: text, time: natural, fields, heartbeat: natural,
  periods: (x, key) => list(x ?? [], key, natural),
  limits: (x, key) => read(LIMITS, x ?? {}, key),
  token_ttl: (x, key) => (x == null ? null : natural(x, key)),
};
const ERROR: Shape<WireError> = { code: natural, text, retry: (x) => x === true, id: maybe(natural) };
const RESULT: Shape<Result> = {
  symbol: text, id: maybe((x, key) => integer(x, key, 0, 2 ** 32 - 1)), matched: maybe(natural), rate: maybe(number), fields: maybe(texts),
  error: (x, key, o) => (x == null ? undefined : new RequestError(read(ERROR, x, key), String(o.symbol))),
};
const REPLY: Shape<Reply> = {
  id: natural, op: text, rate: maybe(number), fields: maybe(texts), time: maybe(natural), token_ttl: maybe(natural),
  results: maybe((x, key) => list(x, key, (one) => read(RESULT, one, 'a result'))),
};
const SHAPES = {
  hello: HELLO, reply: REPLY, error: ERROR,
  heartbeat: { time: natural, subs: natural, hash: (x, key) => integer(x, key, 0, 2 ** 32 - 1) } satisfies Shape<Heartbeat>,
  lag: { blocked_ms: natural }, drain: { within_ms: natural },
};

/** A message other than data from its map. */
export function control(type: Control, body: unknown): Message {
  return { ...read<object>(SHAPES[type] as Shape<object>, body, type), type } as Message;
}

/** Reads the keys that a shape names. */
function read<T>(shape: Shape<T>, x: unknown, what: string): T {
  const o = map(x, what), out: Partial<T> = {};
  for (const key in shape) {
    const value = shape[key](o[key], key, o);
    if (value !== undefined) out[key] = value;
  }
  return out as T;
}

/** A key that may be missing. */
function maybe<T>(one: (x: unknown, key: string) => T): (x: unknown, key: string) => T | undefined {
  return (x, key) => (x == null ? undefined : one(x, key));
}

function protocol(x: unknown, key: string): number {
  if (natural(x, key) !== PROTOCOL) refuse('version', `${key} ${x}`);
  return PROTOCOL;
}

function fields(x: unknown, key: string): string[] {
  const names = texts(x, key);
  if (names.some((name, f) => f < NUM_FIELDS && name !== FIELDS[f])) refuse('version', 'fields of another order');
  return names;
}

export function map(x: unknown, what: string): Record<string, unknown> {
  if (typeof x !== 'object' || x === null || Array.isArray(x)) refuse('type', `${what} is no map`);
  return x as Record<string, unknown>;
}

export function list<T>(x: unknown, what: string, one: (x: unknown, what: string) => T): T[] {
  if (!Array.isArray(x)) refuse('type', `${what} is no array`);
  return (x as unknown[]).map((v) => one(v, what));
}

export function text(x: unknown, what: string): string {
  if (typeof x !== 'string') refuse('type', `${what} is no text`);
  return x as string;
}

function texts(x: unknown, what: string): string[] { return list(x, what, text); }

function number(x: unknown, what: string): number {
  if (!Number.isFinite(x)) refuse('type', `${what} is no number`);
  return x as number;
}

/** A key's integer from 0; a key that is missing says 0, as the node's own encoder leaves some out. */
function natural(x: unknown, key: string): number {
  return integer(x ?? 0, key, 0, MAX_INT);
}

/** FNV-1a, 32 bits, of a symbol's bytes, which are ASCII: what a heartbeat's hash is made of. */
export function symbolHash(symbol: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < symbol.length; i++) h = Math.imul(h ^ symbol.charCodeAt(i), 0x01000193);
  return h >>> 0;
}
