import { afterEach, beforeEach, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { Tickwire, type TickwireError } from '../src/index.js';
import { Peer, until } from './peer.js';

let peer: Peer, t: Tickwire;
const errors: TickwireError[] = [];

beforeEach(async () => {
  peer = await Peer.start();
  errors.length = 0;
  t = new Tickwire({ url: peer.url, WebSocket });
  t.on('error', (e) => errors.push(e));
});
afterEach(async () => {
  t.close();
  await peer.stop();
});

it('asks again for a symbol that may appear, and tells of it once', async () => {
  peer.list('sim:A');
  expect(await t.subscribe(['sim:NEW', 'sim:A'])).toMatchObject([{ symbol: 'sim:NEW', error: { code: 111 } }, { symbol: 'sim:A', id: 1 }]);
  const asked: number[] = [];
  const answer = peer.onRequest;
  peer.onRequest = (c, r) => {
    asked.push(performance.now());
    if (asked.length === 2) peer.list('sim:NEW');
    answer(c, r);
  };
  const from = performance.now();
  await until('the symbol', () => t.quotes.get('sim:NEW')?.text('bid') === '1.00');
  expect(asked.length).toBe(2);
  expect(asked[0]! - from).toBeGreaterThan(700);
  expect(asked[1]! - asked[0]!).toBeGreaterThan(700);
  expect(errors.map((e) => [e.symbol, e.code, e.retry])).toEqual([['sim:NEW', 111, true]]);
  peer.conn.heartbeat();
  await t.ping();
  expect(peer.conns.length).toBe(1);
});

it('asks no more for what is given up meanwhile', async () => {
  await t.subscribe('sim:NEW');
  await t.unsubscribe('sim:NEW');
  await new Promise((r) => setTimeout(r, 1400));
  expect(peer.conn.requests.map((r) => r.op)).toEqual(['subscribe', 'unsubscribe']);
});

it('sends no node what is no symbol', async () => {
  peer.list('sim:A');
  const long = 'sim:' + 'A'.repeat(70_000);
  expect(await t.subscribe(['sim:A', long, 'no\nsymbol', ''])).toMatchObject([
    { symbol: 'sim:A', id: 1 }, { error: { code: 110 } }, { error: { code: 110 } }, { error: { code: 110 } }]);
  expect(peer.conn.requests.map((r) => r.symbols)).toEqual([['sim:A']]);
  expect(errors.map((e) => e.code)).toEqual([110, 110, 110]);
});

it('goes back to the terms that were taken when others are refused', async () => {
  peer.list('sim:A');
  peer.list('sim:B');
  await t.subscribe('sim:A', { rate: 2 });
  const answer = peer.onRequest;
  peer.onRequest = (c, r) => (r.rate < 0 ? c.send('error', { id: r.id, code: 114, text: 'bad_rate: -1', retry: false }) : answer(c, r));
  await expect(t.subscribe(['sim:A', 'sim:B'], { rate: -1 })).rejects.toMatchObject({ code: 114, retry: false });
  await expect(t.set('sim:A', { rate: -2 })).rejects.toMatchObject({ code: 114 });
  expect(errors.map((e) => e.code)).toEqual([114, 114]);
  peer.conn.close(1012);
  await until('another connection', () => peer.conns.length === 2 && peer.conn.requests.length === 1);
  expect(peer.conn.requests[0]).toMatchObject({ symbols: ['sim:A'], rate: 2 });
});

it('takes an error without an id to be of the oldest request, and asks again when told to', async () => {
  peer.list('sim:A');
  let refusals = 3;
  const answer = peer.onRequest;
  peer.onRequest = (c, r) => (refusals-- > 0 ? c.send('error', { code: 122, text: 'too_many_requests: 50', retry: true }) : answer(c, r));
  await until('live', () => t.state === 'live');
  const subscribed = t.subscribe('sim:A'), paused = t.pause(), listed = t.list();
  await expect(listed).rejects.toMatchObject({ code: 122, retry: true });
  await Promise.all([subscribed, paused]);
  expect(peer.conn.requests.map((r) => r.op).sort()).toEqual(['list', 'pause', 'pause', 'subscribe', 'subscribe']);
});

it('sends again only what is still meant', async () => {
  peer.list('sim:A');
  await t.subscribe('sim:A');
  const answer = peer.onRequest;
  let refusals = 2;
  peer.onRequest = (c, r) => (refusals-- > 0 ? c.send('error', { code: 122, text: 'too_many_requests: 50', retry: true }) : answer(c, r));
  const ended = t.unsubscribe('sim:A'), paused = t.pause();
  await t.ping();
  t.subscribe('sim:A');
  t.resume();
  await Promise.all([ended, paused]);
  const ops = peer.conn.requests.map((r) => r.op);
  expect(ops.slice(0, 6)).toEqual(['subscribe', 'unsubscribe', 'pause', 'ping', 'subscribe', 'resume']);
  expect(ops.slice(6).sort()).toEqual(['resume', 'unsubscribe']);
  peer.conn.heartbeat();
  await t.ping();
  expect([peer.conns.length, [...peer.conn.subs.keys()], errors.length]).toEqual([1, ['sim:A'], 2]);
});

it('tells of a token that is refused', async () => {
  await until('live', () => t.state === 'live');
  peer.onRequest = (c, r) => c.send('error', { id: r.id, code: 131, text: 'token_refused: expired', retry: false });
  await expect(t.auth('a.b.c')).rejects.toMatchObject({ code: 131 });
  peer.conn.close(1012);
  await until('another connection', () => peer.conns.length === 2);
  expect([peer.conn.offered, errors.map((e) => e.code)]).toEqual([['tickwire.v1.msgpack'], [131]]); // it had none, and has none
});

it('divides what does not fit one request', async () => {
  peer.limits.request_symbols = 40;
  peer.limits.request_bytes = 2500;
  const symbols = Array.from({ length: 100 }, (_, i) => `sim:${'A'.repeat(40)}${i}`);
  for (const s of symbols) peer.list(s);
  const results = await t.subscribe(symbols);
  expect(results.map((r) => r.symbol).sort()).toEqual([...symbols].sort());
  await until('all', () => [...t.quotes.values()].filter((q) => q.seq).length === 100);
  const first = peer.conn.requests.length;
  peer.conn.close(1012);
  await until('all again', () => peer.conns.length === 2 && peer.conn.subs.size === 100);
  expect(first).toBeGreaterThan(2);
  expect(peer.conn.requests.length).toBeGreaterThan(first); // positions take room too
  expect(peer.conn.requests.flatMap((r) => r.resume).length).toBe(100);
  for (const r of peer.conn.requests) expect(JSON.stringify(r).length).toBeLessThan(2500);
});
