import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { WebSocket } from 'ws';
import { FinalError, Tickwire, type TickwireError, type QuoteEvent } from '../src/index.js';
import { Peer, until } from './peer.js';
import { bytesOf } from './vectors.js';

let peer: Peer, t: Tickwire;
const errors: TickwireError[] = [], events: QuoteEvent[] = [], states: string[] = [];

const begin = (options: object = {}): Tickwire => {
  t = new Tickwire({ url: peer.url, WebSocket, ...options });
  t.on('error', (e) => errors.push(e));
  t.on('quote', (e) => events.push(e));
  t.on('state', ({ state }) => states.push(state));
  return t;
};
const again = (n = 2) => until(`connection ${n}`, () => peer.conns.length >= n && t.state === 'live');
const subscribed = async (symbol = 'sim:A'): Promise<void> => {
  await t.subscribe(symbol);
  await until('an image', () => t.quotes.get(symbol)?.text('bid') === '1.00');
};

beforeEach(async () => {
  peer = await Peer.start();
  peer.list('sim:A', { bid: 100, ask: 102, last: 101, status: 0, price_scale: 2 });
  errors.length = events.length = states.length = 0;
});
afterEach(async () => {
  vi.useRealTimers();
  vi.restoreAllMocks();
  t?.close();
  await peer.stop();
});

describe.each(['msgpack', 'json'] as const)('in %s', (encoding) => {
  it('resumes: only what changed comes', async () => {
    begin({ encoding });
    await subscribed();
    const row = peer.rows.get('sim:A')!;
    peer.conn.close(1011);
    row.change({ bid: 105 });
    row.change({ bid: 106 });
    row.change({ last: 103 });
    await until('what changed', () => t.quotes.get('sim:A')!.text('bid') === '1.06');
    expect(peer.conn.requests[0]).toMatchObject({ op: 'subscribe', symbols: ['sim:A'], resume: [['sim:A', 1000, 2000]] });
    expect([events.length, events[1]!.changed, events[1]!.conflated, t.quotes.get('sim:A')!.reason]).toEqual([2, ['bid', 'last'], 2, 'catch-up']);
    expect(t.quotes.get('sim:A')!.toJSON()).toEqual({ seq: 2003, bid: '1.06', ask: '1.02', last: '1.03', status: 'live', price_scale: 2 });
    expect(states).toEqual(['live', 'connecting', 'live']);
  });

  it('takes an image of another history, though its seq is lower', async () => {
    begin({ encoding });
    await subscribed();
    const row = peer.rows.get('sim:A')!;
    Object.assign(row, { history: 900, seq: 950 });
    peer.conn.close(1011);
    await until('the image', () => t.quotes.get('sim:A')!.seq === 950);
    expect([events[1]!.conflated, errors]).toEqual([0, []]);
  });
});

it('does not resume fields that it had not asked for', async () => {
  begin();
  await t.subscribe('sim:A', { fields: ['bid'] });
  await until('an image', () => events.length === 1);
  peer.onRequest = () => {}; // the terms change, and no image comes before the connection ends
  t.subscribe('sim:A');
  await until('asked', () => peer.conn.requests.length === 2);
  expect(peer.conn.requests[1]!.resume).toEqual([]);
  peer.onRequest = (c, r) => c.answer(r);
  peer.conn.close(1011);
  await until('all fields', () => t.quotes.get('sim:A')!.text('ask') === '1.02');
  expect(peer.conn.requests[0]!.resume).toEqual([]);
});

it('goes stale after two and a half heartbeats of silence, and comes back', async () => {
  peer.heartbeat = 100;
  begin();
  await subscribed();
  const beats = setInterval(() => peer.conns[0]?.heartbeat(), 80);
  await new Promise((r) => setTimeout(r, 500));
  expect(peer.conns.length).toBe(1);
  clearInterval(beats);
  const from = performance.now();
  await until('stale', () => states.includes('stale'));
  expect(performance.now() - from).toBeGreaterThan(150);
  expect(performance.now() - from).toBeLessThan(1000);
  await until('another connection', () => peer.conns.length >= 2);
  expect(states.slice(0, 3)).toEqual(['live', 'stale', 'connecting']);
  expect(t.quotes.get('sim:A')!.text('bid')).toBe('1.00'); // stays
});

it('gives up a node that says no hello', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] });
  peer.onConnect = () => {};
  begin();
  await until('a connection', () => peer.conns.length === 1);
  vi.advanceTimersByTime(13_000);
  expect(states).toEqual(['stale', 'connecting']);
});

it('does not take its own sleep for the silence of the node', async () => {
  peer.heartbeat = 400;
  begin();
  await subscribed();
  const lid = performance.now() + 2500;
  const beats = setInterval(() => peer.conns[0]?.heartbeat(), 100);
  await new Promise((r) => setTimeout(r, 150));
  while (performance.now() < lid); // nothing runs
  await new Promise((r) => setTimeout(r, 600));
  clearInterval(beats);
  expect([peer.conns.length, states]).toEqual([1, ['live']]);
});

it('comes back without resuming when the node counts other subscriptions', async () => {
  begin();
  await subscribed();
  peer.conn.heartbeat();
  await t.ping();
  expect(peer.conns.length).toBe(1);
  peer.conn.heartbeat(12345);
  await again();
  await t.ping();
  expect(peer.conn.requests[0]).toMatchObject({ op: 'subscribe', symbols: ['sim:A'], resume: [] });
  expect(errors.map((e) => [e.code, e.retry])).toEqual([[0, true]]);
  await until('an image', () => events.length === 2);
});

it('compares nothing while a request is open', async () => {
  begin();
  await subscribed();
  peer.list('sim:B');
  peer.onRequest = (c, r) => {
    c.heartbeat(12345); // as of before the request
    c.answer(r);
    c.heartbeat();
  };
  await t.subscribe('sim:B');
  await t.ping();
  expect(peer.conns.length).toBe(1);
});

it.each([
  ['an array too short', (): Uint8Array => bytesOf('9100')],
  ['text that is no JSON', (): string => '{'],
  ['a seq that goes back', (): undefined => void peer.conn.data({ row: peer.rows.get('sim:A')!, values: { bid: 1 }, seq: 1999 })],
])('comes back without resuming after %s', async (_, make) => {
  begin();
  await subscribed();
  const bytes = make();
  if (bytes) peer.conn.raw(bytes);
  await again();
  await until('an image', () => events.length === 2);
  expect(peer.conn.requests[0]!.resume).toEqual([]);
  expect(errors).toMatchObject([{ code: 0, retry: true }]);
});

it('accepts from a node that is behind, once it distrusts what it holds', async () => {
  begin();
  await subscribed();
  const row = peer.rows.get('sim:A')!;
  row.seq = 1990; // same history
  peer.conn.data({ row, values: { bid: 1 } });
  await again();
  await until('an image', () => t.quotes.get('sim:A')!.seq === 1990);
  expect(peer.conns.length).toBe(2);
});

describe('of a node that drains', () => {
  const drained = async (within_ms: number): Promise<number[]> => {
    begin();
    await subscribed();
    const drains: number[] = [], waits: number[] = [];
    t.on('drain', (ms) => drains.push(ms));
    t.on('state', ({ retryMs }) => retryMs !== undefined && waits.push(retryMs));
    vi.spyOn(Math, 'random').mockReturnValue(0.5);
    peer.conn.send('drain', { within_ms });
    await until('told', () => drains[0] === within_ms);
    return waits;
  };

  it('is back at once when it is sent away', async () => {
    const waits = await drained(600_000);
    peer.conn.close(1012);
    await again();
    await until('asked', () => peer.conn.requests.length === 1);
    expect([waits, peer.conn.requests[0]!.resume, errors]).toEqual([[0], [['sim:A', 1000, 2000]], []]);
  });

  it('goes when the time is up', async () => {
    const from = performance.now(), waits = await drained(300);
    await again();
    await until('closed', () => peer.conns[0]!.closed === 1000);
    expect(performance.now() - from).toBeGreaterThan(290);
    expect(waits).toEqual([0]);
  });

  it('spreads over what is left of the time when that ends otherwise', async () => {
    const waits = await drained(600_000);
    peer.conn.ws.terminate();
    await until('lost', () => waits.length === 1);
    expect(waits[0]).toBeGreaterThan(299_000 - 5_000);
    expect(waits[0]).toBeLessThanOrEqual(300_000);
  });
});

it.each([1002, 1003, 1007, 1008, 1009, 4001, 4002, 4099])('ends for good after %i', async (code) => {
  begin();
  await subscribed();
  peer.conn.close(code, 'no');
  await until('closed', () => t.state === 'closed');
  await new Promise((r) => setTimeout(r, 30));
  expect([peer.conns.length, errors.map((e) => [e.code, e.retry]), states]).toEqual([1, [[code, false]], ['live', 'closed']]);
  await expect(t.subscribe('sim:B')).rejects.toBe(errors[0]);
  expect(errors[0]).toBeInstanceOf(FinalError);
});

it.each([1000, 1001, 1011, 1012, 1013, 4100, 4101])('comes back after %i', async (code) => {
  vi.spyOn(Math, 'random').mockReturnValue(0);
  begin();
  await subscribed();
  peer.conn.close(code);
  await again();
  expect(errors).toEqual([]);
});

it('comes back after a reset', async () => {
  vi.spyOn(Math, 'random').mockReturnValue(0);
  begin();
  await subscribed();
  peer.conn.ws.terminate();
  await again();
});

it('waits longer each time, until data or a reply proves the way free', async () => {
  const bounds: number[] = [];
  vi.spyOn(Math, 'random').mockReturnValue(0.02); // a fiftieth of each bound
  begin().on('state', ({ retryMs }) => {
    if (retryMs !== undefined) bounds.push(retryMs / 20);
  });
  peer.onConnect = (c) => { // hello alone proves nothing
    c.hello();
    c.close(1013);
  };
  await until('eight tries', () => bounds.length >= 8);
  expect(bounds.slice(0, 8)).toEqual([0.25, 0.5, 1, 2, 4, 8, 10, 10]); // s
  peer.onConnect = (c) => c.hello();
  await until('live', () => t.state === 'live');
  await t.ping();
  bounds.length = 0;
  peer.conn.close(1013);
  await until('another try', () => bounds.length === 1);
  expect(bounds[0]).toBeLessThan(3);
});

it('offers its token, and stops at a handshake that is refused', async () => {
  begin({ token: 'a.b.c' });
  await subscribed();
  expect(peer.conn.offered).toEqual(['tickwire.v1.msgpack', 'bearer.a.b.c']);
  t.close();
  peer.server.options.verifyClient = (_info: unknown, done: (ok: boolean, code: number) => void) => done(false, 401);
  begin({ token: 'd.e.f' });
  await until('closed', () => t.state === 'closed');
  expect(errors).toMatchObject([{ code: 401, retry: false }]);
});

it('answers calls under way when the connection ends', async () => {
  begin();
  await subscribed();
  peer.onRequest = (c) => c.close(1012);
  const listed = t.list(), paused = t.pause(), ended = t.unsubscribe('sim:A');
  await expect(listed).rejects.toMatchObject({ code: 0, retry: true });
  await Promise.all([paused, ended]);
  peer.onRequest = (c, r) => c.answer(r);
  await again();
  await t.ping();
  expect(peer.conn.requests.map((r) => r.op)).toEqual(['pause', 'ping']);
});

it('finds the ws package where there is no WebSocket', async () => {
  begin({ WebSocket: undefined });
  await subscribed();
});

it('comes to no node after its end', async () => {
  begin();
  t.close();
  await new Promise((r) => setTimeout(r, 50));
  expect([peer.conns.length, t.state]).toEqual([0, 'closed']);
  begin();
  await subscribed();
  t.close();
  await until('closed', () => peer.conns[0]!.closed === 1000);
});
