import { afterEach, beforeEach, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { Tickwire } from '../src/index.js';
import { Peer, until } from './peer.js';

let peer: Peer, t: Tickwire;

beforeEach(async () => {
  peer = await Peer.start();
  for (const s of ['sim:A', 'sim:B', 'usd:C']) peer.list(s);
  t = new Tickwire({ url: peer.url, WebSocket });
});
afterEach(async () => {
  t.close();
  await peer.stop();
});

const held = (): string[] => [...t.quotes.keys()].sort();
const images = (...symbols: string[]): Promise<void> => until(`images of ${symbols}`, () => symbols.every((s) => t.quotes.get(s)?.seq));

/** What we believe to be subscribed is what the node does: its heartbeat ends nothing. */
const agreed = async (): Promise<void> => {
  await t.ping();
  const before = peer.conns.length;
  peer.conn.heartbeat();
  await t.ping();
  expect([peer.conns.length, t.state]).toEqual([before, 'live']);
};

it('subscribes to what matches, now and later', async () => {
  expect(await t.subscribe('sim:*')).toEqual([{ symbol: 'sim:*', matched: 2 }, { symbol: 'sim:A', id: 1 }, { symbol: 'sim:B', id: 2 }]);
  const row = peer.list('sim:LATER'), c = peer.conn;
  c.subs.set('sim:LATER', { fields: [], rate: 0 });
  c.send('reply', { id: c.names.get('sim:*')!.id, op: 'subscribe', results: [{ symbol: 'sim:LATER', id: row.id }] });
  c.data({ row, flags: 1 });
  await images('sim:A', 'sim:B', 'sim:LATER');
  await agreed();
});

it('keeps what another name takes, on its present terms', async () => {
  await t.subscribe('sim:A');
  await t.subscribe('sim:*', { rate: 5 });
  await images('sim:A', 'sim:B');
  expect(await t.unsubscribe('sim:*')).toEqual([{ symbol: 'sim:*', matched: 2 }]);
  await agreed();
  expect([held(), [...peer.conn.subs].map(([s, { rate }]) => [s, rate])]).toEqual([['sim:A'], [['sim:A', 5]]]);
  peer.tick('sim:A', { bid: 1 });
  await until('an update', () => t.quotes.get('sim:A')!.text('bid') === '0.01');
  expect(peer.conn.requests.map((r) => r.op)).not.toContain('set');
});

it('keeps what another pattern takes', async () => {
  await t.subscribe(['*', 'sim:*']);
  await t.unsubscribe('sim:*');
  await agreed();
  expect(held()).toEqual(['sim:A', 'sim:B', 'usd:C']);
  await t.unsubscribe('*');
  await agreed();
  expect([held(), peer.conn.subs.size]).toEqual([[], 0]);
});

it('takes no symbol out of a pattern', async () => {
  await t.subscribe('sim:*');
  expect(await t.unsubscribe('sim:A')).toMatchObject([{ symbol: 'sim:A', error: { code: 112 } }]);
  expect(await t.set('sim:A', { rate: 1 })).toMatchObject([{ symbol: 'sim:A', error: { code: 112 } }]);
  await t.subscribe('sim:A');
  expect(await t.unsubscribe('sim:A')).toEqual([{ symbol: 'sim:A', id: 1 }]);
  await agreed();
  expect(held()).toEqual(['sim:A', 'sim:B']);
});

it('has the terms of the latest name, after a reconnect too', async () => {
  for (const s of ['sim:C', 'sim:D']) peer.list(s);
  t.subscribe(['sim:A', 'sim:C'], { rate: 1 });
  t.subscribe('usd:C', { rate: 2 });
  t.subscribe('sim:*', { rate: 5 });
  t.subscribe('sim:B', { rate: 2 });
  await t.subscribe('sim:C', { rate: 3 });
  const rates = (): unknown => Object.fromEntries([...peer.conn.subs].map(([s, { rate }]) => [s, rate]));
  const expected = { 'sim:A': 5, 'sim:B': 2, 'sim:C': 3, 'sim:D': 5, 'usd:C': 2 };
  expect(rates()).toEqual(expected);
  await agreed();
  peer.conn.close(1012);
  await until('another connection', () => peer.conns.length === 2 && peer.conn.subs.size === 5);
  await agreed();
  expect(rates()).toEqual(expected);
  await t.set('sim:*', { rate: 4 });
  expect(rates()).toEqual({ 'sim:A': 4, 'sim:B': 4, 'sim:C': 4, 'sim:D': 4, 'usd:C': 2 });
});

it('is told of a pattern that takes too many', async () => {
  const errors: unknown[] = [];
  t.on('error', (e) => errors.push([e.symbol, e.code]));
  await t.subscribe('sim:A');
  const error = { code: 121, text: 'too_many_subs: 3', retry: false };
  peer.onRequest = (c, r) => c.send('reply', { id: r.id, op: r.op, results: [{ symbol: '*', error }] });
  expect(await t.subscribe('*')).toMatchObject([{ symbol: '*', error }]);
  peer.onRequest = (c, r) => c.answer(r);
  await agreed();
  expect([errors, held()]).toEqual([[['*', 121]], ['sim:A']]);
});

it('resumes what a pattern brought', async () => {
  await t.subscribe('sim:*');
  await images('sim:A', 'sim:B');
  peer.conn.close(1012);
  await until('another connection', () => peer.conns.length === 2 && peer.conn.requests.length === 1);
  expect(peer.conn.requests[0]).toMatchObject({ symbols: ['sim:*'], resume: [['sim:A', 1000, 2000], ['sim:B', 1000, 2000]] });
});
