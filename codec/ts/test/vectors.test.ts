import { describe, expect, it } from 'vitest';
import { Board } from '../src/board.js';
import { ProtocolError } from '../src/error.js';
import { parseMessageJSON } from '../src/json.js';
import { parseMessage, type Message, type Result } from '../src/message.js';
import { encodeRequest, type Request } from '../src/request.js';
import { parseEntry, parseRequest } from './node_side.js';
import { bytesOf, invalid, refused, sessions, spelled, valid, type Vector } from './vectors.js';

const parse = (v: Vector): Message => (v.encoding === 'json' ? parseMessageJSON(v.text ?? '') : parseMessage(bytesOf(v.hex)));
const parseAny = (v: Vector): unknown => {
  if (v.kind === 'message') return parse(v);
  if (v.kind === 'request') return parseRequest(v.encoding === 'json' ? (v.text ?? '') : bytesOf(v.hex));
  return parseEntry(bytesOf(v.hex));
};
const named = (vs: Vector[], kind: Vector['kind']): [string, Vector][] =>
  vs.filter((v) => v.kind === kind).map((v) => [`${v.name} ${v.encoding}`, v]);

/** A result whose error is what the wire has of it. */
const plain = ({ error, ...rest }: Result): object => (error ? { ...rest, error: { code: error.code, text: error.text, retry: error.retry } } : rest);

describe('messages', () => {
  it.each(named(valid, 'message'))('%s', (_, v) => {
    const m = parse(v);
    if (m.type === 'reply') return expect({ ...m, ...(m.results && { results: m.results.map(plain) }) }).toEqual(v.value);
    if (m.type !== 'data') return expect(m).toEqual(v.value);
    expect({ type: m.type, sent_at: m.sentAt, updates: m.updates.map(spelled) }).toEqual(v.value);
  });
});

describe('requests', () => {
  it.each(named(valid, 'request'))('%s', (_, v) => {
    const { hasRate, ...asked } = parseRequest(v.encoding === 'json' ? v.text! : bytesOf(v.hex));
    expect(asked).toEqual(v.value);
    if (v.name === 'request_unknown_key') return;

    // What we ask, in JSON, is what the node's own client does.
    const { op, id, symbols, fields, rate, resume, token } = asked;
    const request = { op } as Request;
    if (symbols.length) request.symbols = symbols;
    if (fields.length) request.fields = fields;
    if (hasRate) request.rate = rate;
    if (resume.length) request.resume = resume;
    if (token) request.token = token;
    if (v.encoding === 'json') expect(encodeRequest(id, request)).toBe(v.text);
    else expect(parseRequest(encodeRequest(id, request))).toEqual(parseRequest(bytesOf(v.hex)));
  });
});

describe('tape entries', () => {
  it.each(named(valid, 'entry'))('%s', (_, v) => {
    const { updates, ...head } = parseEntry(bytesOf(v.hex));
    expect({ ...head, updates: updates.map(spelled) }).toEqual(v.value);
  });
});

describe('what must be refused', () => {
  it.each(invalid.map((v): [string, string, Vector] => [`${v.name} ${v.encoding}`, v.error, v]))('%s: %s', (_, error, v) => {
    let refused: unknown;
    try {
      parseAny(v);
    } catch (e) {
      refused = e;
    }
    expect(refused).toBeInstanceOf(ProtocolError);
    expect((refused as ProtocolError).kind).toBe(error);
  });
});

const play = (board: Board, m: Message): void => {
  if (m.type === 'reply') for (const r of m.results ?? []) if (r.id !== undefined) board.confirm(r.symbol, r.id, '');
  if (m.type === 'data') for (const u of m.updates) board.merge(u, m.sentAt);
  if (m.type === 'heartbeat') expect([board.subs, board.hash]).toEqual([m.subs, m.hash]);
};
const held = (board: Board): unknown => JSON.parse(JSON.stringify(Object.fromEntries(board.quotes)));

describe.each(sessions)('session: $about', ({ messages, quotes }) => {
  it.each(['msgpack', 'json'] as const)('%s', (encoding) => {
    const board = new Board();
    for (const { msgpack, json } of messages) play(board, encoding === 'json' ? parseMessageJSON(json) : parseMessage(bytesOf(msgpack)));
    expect(held(board)).toEqual(quotes);
  });
});

it.each(refused)('session: $about', ({ messages, quotes, error }) => {
  const board = new Board(), last = parseMessageJSON(messages.at(-1)!.json);
  for (const { json } of messages.slice(0, -1)) play(board, parseMessageJSON(json));
  expect(() => play(board, last)).toThrow(expect.objectContaining({ kind: error }));
  expect(held(board)).toEqual(quotes);
});

it('finds vectors of every kind', () => {
  expect(new Set(valid.map((v) => v.kind + v.encoding)).size).toBe(5);
  expect(invalid.length).toBeGreaterThan(50);
  expect(sessions.length).toBeGreaterThan(5);
});
