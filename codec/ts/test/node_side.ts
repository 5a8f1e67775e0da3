// What nodes and feeds read, as strictly as they do: for the peers of these tests, and to
// check that the vectors of requests and tape entries mean the same in a second language.
import { MAX_INT, integer } from '../src/decimal.js';
import { ProtocolError } from '../src/error.js';
import { Reader } from '../src/msgpack.js';
import { checkSymbol, parseUpdateTail, type Update } from '../src/update.js';
import type { Position } from '../src/request.js';

const OPS = ['subscribe', 'unsubscribe', 'set', 'pause', 'resume', 'list', 'auth', 'ping'];

export interface Asked {
  op: string;
  id: number;
  symbols: string[];
  fields: string[];
  rate: number;
  hasRate: boolean;
  resume: Position[];
  token: string;
}

/** Reads a request: text or binary. */
export function parseRequest(src: string | Uint8Array): Asked {
  if (typeof src === 'string') {
    try {
      const x = JSON.parse(src);
      if (depth(x) > DEPTH_MOST) throw new ProtocolError('type', 'nested too deeply');
      return asked(x);
    } catch (e) {
      throw e instanceof SyntaxError ? new ProtocolError('syntax', String(e)) : e;
    }
  }
  const r = new Reader(src);
  const map = r.any();
  r.end();
  return asked(map);
}

const DEPTH_MOST = 8;

/** How deeply a value is nested. */
function depth(x: unknown): number {
  return typeof x === 'object' && x !== null ? 1 + Math.max(0, ...Object.values(x).map(depth)) : 0;
}

function asked(x: unknown): Asked {
  if (typeof x !== 'object' || x === null || Array.isArray(x)) throw new ProtocolError('type', 'a request is a map');
  const o = x as Record<string, unknown>;
  if (typeof o.op !== 'string') throw new ProtocolError('type', 'op');
  if (!OPS.includes(o.op)) throw Object.assign(new ProtocolError('type', o.op), { kind: 'unknown_op' });
  if (o.rate !== undefined && typeof o.rate !== 'number') throw new ProtocolError('type', 'rate');
  if (Math.abs(o.rate ?? 0) === Infinity) throw new ProtocolError('range', 'rate');
  return {
    op: o.op,
    id: integer(o.id ?? 0, 'id', 0, MAX_INT),
    symbols: texts(o.symbols ?? []),
    fields: texts(o.fields ?? []),
    rate: o.rate ?? 0,
    hasRate: o.rate !== undefined,
    resume: list(o.resume ?? []).map(position),
    token: texts([o.token ?? ''])[0]!,
  };
}

function list(x: unknown): unknown[] {
  if (!Array.isArray(x)) throw new ProtocolError('type', 'an array');
  return x;
}

function texts(x: unknown): string[] {
  return list(x).map((s) => {
    if (typeof s !== 'string') throw new ProtocolError('type', 'a text');
    return s;
  });
}

function position(x: unknown): Position {
  const p = list(x);
  if (p.length !== 3) throw new ProtocolError('count', 'a position has three');
  return [texts([p[0]])[0]!, integer(p[1], 'history', 0, MAX_INT), integer(p[2], 'seq', 0, MAX_INT)];
}

export interface Entry { id: string; prev: string; history: number; sent_at: number; server: number; updates: Update[] }

/** Reads an entry of the tape. */
export function parseEntry(src: Uint8Array): Entry {
  const r = new Reader(src);
  if (r.array('an entry') !== 9) throw new ProtocolError('count', 'an entry has nine');
  if (r.uint('version') !== 2) throw new ProtocolError('version', 'of the tape');
  const [epoch, n, prevEpoch, prevN, history, sent_at, server, count] = Array.from({ length: 8 }, () => r.uint('header'));
  const updates: Update[] = [];
  for (let i = 0; i < count!; i++) {
    const size = r.array('an update');
    const symbol = r.text('symbol');
    checkSymbol(symbol);
    updates.push(parseUpdateTail(r, symbol, size - 1));
  }
  r.end();
  return { id: `${epoch}-${n}`, prev: `${prevEpoch}-${prevN}`, history: history!, sent_at: sent_at!, server: server!, updates };
}
