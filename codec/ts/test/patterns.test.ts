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
  c.send('reply', { id: c.patterns.get('sim:*')!.id, op: 'subscribe', results: [{ symbol: 'sim:LATER', id: row.id }] });
  c.data({ row, flags: 1 });
  await images('sim:A', 'sim:B', 'sim:LATER');
  await agreed();
});

it('ends with the pattern what only it had named', async () => {
  await t.subscribe(['sim:*', 'sim:A']);
  await images('sim:A', 'sim:B');
  expect(await t.unsubscribe('sim:*')).toEqual([{ symbol: 'sim:*', matched: 2 }]);
  await agreed();
  expect(held()).toEqual(['sim:A']);
  expect([...peer.conn.subs.keys()]).toEqual(['sim:A']);
  peer.tick('sim:A', { bid: 1 });
  await until('an update', () => t.quotes.get('sim:A')!.text('bid') === '0.01');
});

it('keeps what another pattern names', async () => {
  await t.subscribe(['*', 'sim:*']);
  await t.unsubscribe('sim:*');
  await agreed();
  expect(held()).toEqual(['sim:A', 'sim:B', 'usd:C']);
  await t.unsubscribe('*');
  await agreed();
  expect([held(), peer.conn.subs.size]).toEqual([[], 0]);
});

it('leaves out of a pattern what was given up by name, also after a reconnect', async () => {
  await t.subscribe('sim:*');
  await t.unsubscribe('sim:A');
  await agreed();
  peer.conn.close(1012);
  await until('another connection', () => peer.conns.length === 2 && peer.conn.requests.length >= 2);
  await agreed();
  expect([held(), [...peer.conn.subs.keys()]]).toEqual([['sim:B'], ['sim:B']]);
  await t.subscribe('sim:A'); // is wanted again
  await agreed();
  expect(held()).toEqual(['sim:A', 'sim:B']);
});

it('gives names their own terms, whatever pattern comes later', async () => {
  await t.subscribe('sim:A', { rate: 1 });
  await t.subscribe('sim:*', { rate: 5 });
  await agreed();
  expect([peer.conn.subs.get('sim:A')!.rate, peer.conn.subs.get('sim:B')!.rate]).toEqual([1, 5]);
  await t.set('sim:*', { rate: 2 });
  await t.set('sim:B', { rate: 3 });
  await agreed();
  peer.conn.close(1012);
  await until('another connection', () => peer.conns.length === 2 && peer.conn.subs.size === 2);
  await agreed();
  expect([peer.conn.subs.get('sim:A')!.rate, peer.conn.subs.get('sim:B')!.rate]).toEqual([1, 3]);
});

it('resumes what a pattern brought', async () => {
  await t.subscribe('sim:*');
  await images('sim:A', 'sim:B');
  peer.conn.close(1012);
  await until('another connection', () => peer.conns.length === 2 && peer.conn.requests.length === 1);
  expect(peer.conn.requests[0]).toMatchObject({ symbols: ['sim:*'], resume: [['sim:A', 1000, 2000], ['sim:B', 1000, 2000]] });
});
