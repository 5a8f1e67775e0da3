import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { Tickwire, type TickwireError, type QuoteEvent, type Result } from '../src/index.js';
import { Peer, until } from './peer.js';
import { bytesOf, sessions } from './vectors.js';

let peer: Peer, t: Tickwire;
const errors: TickwireError[] = [];

const begin = (options: object = {}): Tickwire => {
  t = new Tickwire({ url: peer.url, WebSocket, ...options });
  t.on('error', (e) => errors.push(e));
  return t;
};
const live = () => until('live', () => t.state === 'live');
const text = (symbol: string, field: 'bid' | 'ask' | 'last' = 'bid') => t.quotes.get(symbol)?.text(field);

beforeEach(async () => {
  peer = await Peer.start();
  errors.length = 0;
});
afterEach(async () => {
  t?.close();
  await peer.stop();
});

it('gathers what is asked for one by one, by what the node takes', async () => {
  const symbols = Array.from({ length: 1000 }, (_, i) => `sim:S${i}`), from = performance.now();
  for (const symbol of symbols) peer.list(symbol);
  begin();
  await live();
  const all: Promise<Result[]>[] = [];
  for (const symbol of symbols) {
    all.push(t.subscribe(symbol));
    await new Promise((r) => setImmediate(r));
  }
  expect((await Promise.all(all)).flat().map((r) => r.symbol)).toEqual(symbols);
  expect(peer.conn.requests.length).toBeLessThan(2 + (performance.now() - from) / 20); // 50 a second
});

describe.each(['msgpack', 'json'] as const)('in %s', (encoding) => {
  it('merges an image and what changes', async () => {
    peer.list('sim:A', { bid: 100, ask: 102, trades: 5, status: 0, price_scale: 2 });
    const events: QuoteEvent[] = [], batches: number[] = [];
    begin({ encoding }).on('quote', (e) => events.push(e));
    t.on('batch', (b) => batches.push(b.quotes.length));
    expect(await t.subscribe('sim:A')).toEqual([{ symbol: 'sim:A', id: 1 }]);
    await until('an image', () => events.length === 1);
    expect(peer.conn.offered).toEqual([`tickwire.v1.${encoding}`]);
    expect(t.quotes.get('sim:A')!.toJSON()).toEqual({ seq: 2000, bid: '1.00', ask: '1.02', trades: 5, status: 'live', price_scale: 2 });

    peer.tick('sim:A', { bid: null, ask: 105, trades: 5 });
    await until('a delta', () => events.length === 2);
    const { symbol, quote, changed, conflated, flags, sentAt, update } = events[1]!;
    expect([symbol, changed, conflated, flags, sentAt, update.seq]).toEqual(['sim:A', ['bid', 'ask'], 0, 0, 7, 2001]);
    expect([quote.text('bid'), quote.number('ask'), quote.mantissa('ask'), quote.scale('ask')]).toEqual([null, 1.05, 105, 2]);
    expect(batches).toEqual([1, 1]);
  });

  it('merges all of a message before it tells any', async () => {
    const a = peer.list('sim:A'), b = peer.list('sim:B');
    begin({ encoding });
    await t.subscribe(['sim:A', 'sim:B']);
    await until('images', () => text('sim:B') === '1.00');
    const seen: unknown[] = [];
    t.on('quote', () => seen.push([text('sim:A'), text('sim:B')]));
    a.change({ bid: 7 });
    b.change({ bid: 8 });
    peer.conn.data({ row: a, values: { bid: 7 } }, { row: b, values: { bid: 8 } });
    await until('two events', () => seen.length === 2);
    expect(seen).toEqual([['0.07', '0.08'], ['0.07', '0.08']]);
  });

  it('tells nothing after close, amid a message or amid the listeners', async () => {
    const a = peer.list('sim:A'), b = peer.list('sim:B');
    begin({ encoding });
    await t.subscribe(['sim:A', 'sim:B']);
    await until('images', () => text('sim:B') === '1.00');
    const seen: string[] = [];
    t.on('quote', ({ symbol }) => { seen.push(symbol); t.close(); });
    t.on('quote', ({ symbol }) => seen.push(`late ${symbol}`));
    t.on('batch', () => seen.push('batch'));
    t.on('state', ({ state }) => seen.push(state));
    peer.conn.data({ row: a, values: { bid: 7 } }, { row: b, values: { bid: 8 } });
    await until('the end', () => peer.conn.closed > 0);
    expect(seen).toEqual(['sim:A', 'closed']);
  });

  it('counts what was conflated, and says why', async () => {
    const row = peer.list('sim:A');
    const events: QuoteEvent[] = [];
    begin({ encoding }).on('quote', (e) => events.push(e));
    await t.subscribe('sim:A');
    row.seq += 10;
    peer.conn.data({ row, flags: 2 | (2 << 2), values: { bid: 99 } });
    await until('the update', () => events.length === 2);
    expect([events[1]!.conflated, events[1]!.flags]).toEqual([9, 10]);
    const q = t.quotes.get('sim:A')!;
    expect([q.conflated, q.reason, q.gap, q.image]).toEqual([9, 'slow', false, false]);
    row.seq += 10;
    peer.conn.data({ row, flags: 2 | (3 << 2) | 16, values: { bid: 98 } });
    await until('an update behind a gap', () => events.length === 3);
    expect([events[2]!.conflated, q.conflated, q.reason, q.gap]).toEqual([0, 0, 'catch-up', true]);
  });

  it.each(sessions)('plays the session: $about', async ({ messages, quotes }) => {
    const [hello, reply, ...rest] = messages.map((m) => (encoding === 'json' ? m.json : bytesOf(m.msgpack)));
    let ended = false;
    peer.onConnect = (c) => c.raw(hello!);
    peer.onRequest = (c, r) => {
      if (r.op === 'ping') { // comes after all of the session
        c.send('reply', { id: r.id, op: 'ping', time: 1 });
        return;
      }
      [reply!, ...rest].forEach((m) => c.raw(m));
    };
    begin({ encoding }).on('state', ({ state }) => { ended ||= state === 'connecting'; });
    await t.subscribe(Object.keys(quotes));
    await t.ping();
    expect(JSON.parse(JSON.stringify(Object.fromEntries(t.quotes)))).toEqual(quotes);
    expect([ended, errors]).toEqual([false, []]);
  });

  it('asks in JSON', async () => {
    begin({ encoding, rate: 5, fields: ['bid'] });
    peer.list('sim:A');
    await t.subscribe('sim:A');
    expect(await t.list()).toEqual([{ symbol: 'sim:A', id: 1 }]);
    expect(await t.ping()).toMatchObject({ time: 123 });
    expect(peer.conn.requests.map(({ op, id, fields, rate }) => [op, id, fields, rate])).toEqual([
      ['subscribe', 1, ['bid'], 5], ['list', 2, [], 0], ['ping', 3, [], 0]]);
  });
});

it('gathers the subscriptions of a turn by their terms', async () => {
  for (const s of ['A', 'B', 'C']) peer.list(`sim:${s}`);
  begin();
  await live();
  const all = [t.subscribe('sim:A'), t.subscribe('sim:B', { rate: 1 }), t.subscribe(['sim:C', 'sim:A'])];
  expect((await Promise.all(all)).map((rs: Result[]) => rs.map((r) => r.symbol))).toEqual([['sim:A'], ['sim:B'], ['sim:C', 'sim:A']]);
  expect(peer.conn.requests.map((r) => r.symbols)).toEqual([['sim:B'], ['sim:C', 'sim:A']]);
});

it('waits for a connection', async () => {
  begin();
  await expect(t.ping()).rejects.toThrow('not connected');
  peer.list('sim:A');
  await t.subscribe('sim:A');
  t.close();
  await expect(t.subscribe('sim:A')).rejects.toThrow('closed');
  await expect(t.list()).rejects.toThrow('not connected');
});

it('forgets what is unsubscribed', async () => {
  const row = peer.list('sim:A');
  peer.list('sim:B');
  begin();
  await t.subscribe(['sim:A', 'sim:B']);
  await until('an image', () => text('sim:A') === '1.00');
  const done = t.unsubscribe('sim:A');
  peer.conn.data({ row, values: { bid: 1 } }); // was under way
  expect(await done).toEqual([{ symbol: 'sim:A', id: 1 }]);
  peer.conn.heartbeat();
  await t.ping();
  expect([...t.quotes.keys()]).toEqual(['sim:B']);
  expect(peer.conns.length).toBe(1);
});

it('keeps a symbol that another request under way had asked for', async () => {
  peer.list('sim:A');
  begin();
  await live();
  t.subscribe('sim:A');
  t.unsubscribe('sim:A');
  await t.subscribe('sim:A');
  await until('asked again', () => peer.conn.requests.length === 3 && text('sim:A') === '1.00');
  expect(peer.conn.requests.map((r) => r.op)).toEqual(['subscribe', 'unsubscribe', 'subscribe']);
  peer.conn.heartbeat();
  await t.ping();
  expect(peer.conns.length).toBe(1);
});

it('changes terms, and keeps them', async () => {
  peer.list('sim:A');
  begin();
  await t.subscribe('sim:A', { rate: 2 });
  expect(await t.set('sim:A', { fields: ['bid'] })).toEqual([{ symbol: 'sim:A', id: 1 }]);
  await until('an image of fewer fields', () => text('sim:A', 'ask') === null);
  expect(await t.set(['sim:A', 'sim:NOT'], { fields: [] })).toMatchObject([{ symbol: 'sim:A' }, { symbol: 'sim:NOT', error: { code: 112 } }]);
  await until('all again', () => text('sim:A', 'ask') === '1.02');
  expect(peer.conn.requests.map((r) => [r.op, r.rate, r.fields])).toEqual([['subscribe', 2, []], ['subscribe', 2, ['bid']], ['subscribe', 2, []]]);
});

it('is silent while paused', async () => {
  begin();
  await t.pause();
  await live();
  await t.pause();
  await t.resume();
  expect(peer.conn.requests.map((r) => r.op)).toEqual(['pause', 'pause', 'resume']);
});

it('says what the node says: lag, and hello', async () => {
  const heard: unknown[] = [];
  begin().on('hello', (h) => heard.push(h.node));
  t.on('lag', (ms) => heard.push(ms));
  await live();
  peer.conn.send('lag', { blocked_ms: 1234 });
  peer.conn.raw(bytesOf('926380')); // of a newer node
  await until('lag', () => heard.length === 2);
  expect(heard).toEqual(['peer', 1234]);
});

it('holds nobody up when a listener throws', async () => {
  peer.list('sim:A');
  begin();
  const thrown: unknown[] = [];
  const before = process.listeners('uncaughtException');
  process.removeAllListeners('uncaughtException');
  process.on('uncaughtException', (e) => thrown.push(e));
  t.on('quote', () => { throw new Error('a listener'); });
  let after = 0;
  t.on('quote', () => after++);
  await t.subscribe('sim:A');
  await until('the next listener', () => after === 1 && thrown.length === 1);
  process.removeAllListeners('uncaughtException');
  for (const fn of before) process.on('uncaughtException', fn);
  expect(t.state).toBe('live');
});
