import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { Tickwire, type Events, type TickwireError, type TokenEvent } from '../src/index.js';
import { renewAfter } from '../src/token.js';
import type { Asked } from './node_side.js';
import { Dark, Peer, until, type Conn } from './peer.js';

let peer: Peer, t: Tickwire;
const errors: TickwireError[] = [], tokens: TokenEvent[] = [];

const begin = (options: object = {}): Tickwire => {
  t = new Tickwire({ url: peer.url, WebSocket, ...options });
  t.on('error', (e) => errors.push(e));
  t.on('token', (e) => tokens.push(e));
  return t;
};
const bearers = (): string[] => peer.conns.map((c) => c.offered[1]?.replace('bearer.', '') ?? '');
const ended = (symbol: string, code = 130): object => ({ symbol, error: { code, text: `${code}: so says the test`, retry: false } });

/** Answers auth with results, and the rest as a node does. */
const withAuth = (results: (token: string) => object[], ttl = 3600) => (c: Conn, r: Asked): void => {
  if (r.op !== 'auth') return c.answer(r);
  const all = results(r.token) as { symbol: string; error?: object }[];
  for (const { symbol, error } of all) if (error) c.subs.delete(symbol);
  c.send('reply', { id: r.id, op: 'auth', token_ttl: ttl, ...(all.length ? { results: all } : {}) });
};

beforeEach(async () => {
  peer = await Peer.start();
  errors.length = tokens.length = 0;
});
afterEach(async () => {
  t?.close();
  await peer.stop();
});

describe.each(['msgpack', 'json'] as const)('in %s', (encoding) => {
  it('counts no more what a new token ends, and asks for it under another', async () => {
    for (const s of ['A', 'B', 'C']) peer.list(`sim:${s}`);
    begin({ encoding, token: 't1' });
    await t.subscribe(['sim:A', 'sim:B', 'sim:*']);
    await until('images', () => t.quotes.get('sim:C')?.text('bid') === '1.00');
    const { id } = peer.rows.get('sim:A')!;
    peer.onRequest = withAuth((token) => (token === 't2' ? [ended('sim:*'), ended('sim:B'), ended('sim:C', 121), { symbol: 'sim:A', id, rate: 1 }] : []));
    expect((await t.auth('t2')).map((r) => r.symbol)).toEqual(['sim:*', 'sim:B', 'sim:C', 'sim:A']);
    expect(errors.map((e) => [e.symbol, e.code])).toEqual([['sim:*', 130], ['sim:B', 130], ['sim:C', 121]]);
    expect(tokens.map(({ ttl, error }) => [ttl, error])).toEqual([[3600, undefined]]);
    peer.conn.heartbeat();
    peer.conn.data({ row: peer.rows.get('sim:B')!, values: { bid: 7 } }); // was under way
    await t.ping();
    expect([peer.conns.length, t.quotes.get('sim:B')!.text('bid')]).toEqual([1, '1.00']); // stays

    peer.conn.close(1012);
    await until('another connection', () => peer.conns.length === 2 && peer.conn.requests.length === 1);
    expect([peer.conn.requests[0]!.symbols, bearers()]).toEqual([['sim:A'], ['t1', 't2']]);
    await t.ping();
    await t.auth('t3');
    await t.ping();
    expect(peer.conn.requests.map((r) => [r.op, r.symbols.join()])).toEqual([['subscribe', 'sim:A'], ['ping', ''], ['auth', ''], ['subscribe', 'sim:B,sim:*'], ['ping', '']]);
    expect(peer.conn.requests[3]!.resume.map(([symbol]) => symbol).sort()).toEqual(['sim:B', 'sim:C']);
    peer.conn.heartbeat();
    await t.ping();
    expect(peer.conns.length).toBe(2);
  });

  it('asks for the rate that a token lowered, under the next', async () => {
    peer.list('sim:A');
    begin({ encoding, token: 't1' });
    await t.subscribe('sim:A');
    const { id } = peer.rows.get('sim:A')!;
    peer.onRequest = withAuth((token) => (token === 't2' ? [{ symbol: 'sim:A', id, rate: 1 }] : []));
    for (const token of ['t2', 't3', 't4']) await t.auth(token);
    await t.ping();
    expect(peer.conn.requests.map((r) => r.op)).toEqual(['subscribe', 'auth', 'auth', 'subscribe', 'auth', 'ping']);
  });
});

it('asks nothing under the old token while the new one is verified', async () => {
  peer.list('sim:A');
  begin({ token: 't1' });
  await until('live', () => t.state === 'live');
  peer.onRequest = () => {};
  const taken = t.auth('t2'), subscribed = t.subscribe('sim:A');
  await until('auth', () => peer.conn.requests.length === 1);
  await new Promise((r) => setTimeout(r, 50));
  expect(peer.conn.requests.map((r) => r.op)).toEqual(['auth']);
  peer.onRequest = withAuth(() => []);
  peer.onRequest(peer.conn, peer.conn.requests[0]!);
  await Promise.all([taken, subscribed]);
  expect(peer.conn.requests.map((r) => r.op)).toEqual(['auth', 'subscribe']);
});

it('gets tokens from a function: first, before one ends, and when it has', async () => {
  let n = 0;
  peer.ttl = 2;
  peer.onRequest = withAuth(() => [], 4e9);
  begin({ token: async () => `t${++n}` });
  await until('a token taken', () => tokens.length === 1);
  expect([tokens[0]!.ttl, peer.conn.requests.map((r) => r.token)]).toEqual([4e9, ['t2']]);
  peer.conn.close(4002, 'the token has expired');
  await until('another connection', () => peer.conns.length === 2 && t.state === 'live');
  expect([bearers(), errors]).toEqual([['t1', 't3'], []]);
  peer.conn.close(4001, 'the token was revoked');
  await until('the end', () => t.state === 'closed');
  expect(errors.map((e) => [e.code, e.text])).toEqual([[4001, 'the token was revoked']]);
});

it('connects with no new token that was refused', async () => {
  let n = 0;
  peer.ttl = 1;
  peer.onRequest = (c, r) => c.send('error', { id: r.id, code: 131, text: 'token_refused: aud', retry: false });
  begin({ token: () => `t${++n}` });
  await until('refused', () => errors.length === 1);
  peer.conn.close(1012);
  await until('another connection', () => peer.conns.length === 2);
  expect([bearers(), errors[0]!.code]).toEqual([['t1', 't1'], 131]);
});

it('keeps the token that the node has when auth brings one that it refuses', async () => {
  const refuse = (c: Conn, r: Asked): void => c.send('error', { id: r.id, code: 131, text: 'token_refused: aud', retry: false });
  begin({ token: 't1' });
  await until('live', () => t.state === 'live');
  peer.onRequest = refuse;
  const twice = [t.auth('t2'), t.auth('t2')];
  for (const told of await Promise.allSettled(twice)) expect(told).toMatchObject({ status: 'rejected', reason: { code: 131 } });
  peer.conn.close(1012);
  await until('another connection', () => peer.conns.length === 2 && t.state === 'live');
  peer.onRequest = withAuth(() => []);
  await t.auth('t3');
  peer.onRequest = (c, r) => { // and goes at once: nothing is to be done in between
    refuse(c, r);
    c.close(1012);
  };
  await expect(t.auth('t4')).rejects.toMatchObject({ code: 131 });
  await until('a third connection', () => peer.conns.length === 3 && t.state === 'live');
  expect([bearers(), errors.map((e) => e.code), peer.conn.requests]).toEqual([['t1', 't1', 't3'], [131, 131, 131], []]);
});

it('forgets no token that came while another was refused', async () => {
  begin({ token: 't1' });
  await until('live', () => t.state === 'live');
  peer.onRequest = (c, r) => {
    if (r.token === 't3') return withAuth(() => [])(c, r);
    c.send('error', { id: r.id, code: 131, text: 'token_refused: aud', retry: false });
  };
  const first = t.auth('t2'), second = t.auth('t3');
  await expect(first).rejects.toMatchObject({ code: 131 });
  await second;
  peer.conn.close(1012);
  await until('another connection', () => peer.conns.length === 2);
  expect(bearers()).toEqual(['t1', 't3']);
});

it('goes on asking for a token that it does not get', async () => {
  const answers = [() => { throw new Error('away'); }, () => '', () => 't1', () => 't1', () => { throw new Error('away again'); }, () => 't2'];
  const reasons: string[] = [];
  peer.ttl = 1;
  peer.onRequest = withAuth(() => []);
  begin({ token: () => (answers.shift() ?? (() => 't3'))() }).on('state', ({ text }) => reasons.push(text));
  await until('a token taken', () => tokens.some((e) => e.ttl !== null), 12_000);
  expect(reasons).toEqual(['no new token: away', 'no new token: there is none', 'node peer']);
  expect([tokens[0]!.error, bearers(), peer.conn.requests.map((r) => r.token)]).toEqual(['no new token: away again', ['t1'], ['t2']]);
}, 20_000);

it('takes a token that came while it dialed', async () => {
  peer.onConnect = () => {};
  begin({ token: 't1' });
  await until('dialed', () => peer.conns.length === 1);
  peer.onRequest = withAuth(() => []);
  await t.auth('t2');
  peer.conn.hello();
  await until('told', () => tokens.length === 1);
  expect(peer.conn.requests[0]!.token).toBe('t2');
});

it('leaves a token alone for two thirds of its time', () => {
  for (const [left, want] of [[3600, 2400], [15, 10], [9, 4], [6, 2], [1, 1], [0, 1]] as const) {
    const got = renewAfter(1000 * left) / 1000;
    expect(got).toBeLessThanOrEqual(want);
    expect(got).toBeGreaterThan(want * 0.89);
  }
});

/** A node that upgrades nothing, and answers plain HTTP with a status. */
async function refusing(status: number, body: string, headers: Record<string, string> = {}): Promise<{ url: string; asked: string[]; stop: () => void }> {
  const asked: string[] = [];
  const server = createServer((r, w) => {
    asked.push(`${r.url} ${r.headers.authorization}`);
    w.writeHead(status, headers).end(body);
  });
  server.on('upgrade', (_, socket) => socket.end(`HTTP/1.1 ${status === 200 ? 429 : status} No\r\nContent-Length: 0\r\n\r\n`));
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return { url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}/v1/stream`, asked, stop: () => server.close() };
}

it.each([['a browser', Dark], ['ws', WebSocket]])('learns why an upgrade is refused, with %s', async (_, Socket) => {
  const node = await refusing(401, '{"error":"the token was revoked; get a new one","reason":"revoked"}');
  begin({ url: node.url, WebSocket: Socket, token: 't1' });
  await until('closed', () => t.state === 'closed');
  expect(errors).toMatchObject([{ name: 'FinalError', code: 401, text: 'the token was revoked; get a new one', message: 'refused with 401: the token was revoked; get a new one', retry: false, reason: 'revoked' }]);
  expect(node.asked).toEqual(['/v1/symbols Bearer t1']);
  node.stop();
});

it('renews one that has expired before the upgrade', async () => {
  const node = await refusing(401, '{"error":"the token has expired","reason":"expired"}');
  let n = 0;
  begin({ url: node.url, WebSocket: Dark, token: () => `t${++n}` });
  await until('three tries', () => node.asked.length >= 3);
  expect([node.asked[2], errors]).toEqual(['/v1/symbols Bearer t3', []]);
  node.stop();
});

it.each([
  [200, '{"symbols":[]}', 'the node answers, but opens no stream', 0],
  [503, '{"error":"all the connections it may"}', 'all the connections it may', 7],
  [502, '<html>', 'ended with 1006', 0],
])('comes back after %i', async (status, body, text, leastS) => {
  const node = await refusing(status, body, leastS ? { 'Retry-After': String(leastS) } : {});
  const told: Events['state'][] = [];
  begin({ url: node.url, WebSocket: Dark }).on('state', (s) => told.push(s));
  await until('told', () => told.length > 0);
  expect(told[0]!.text).toContain(text);
  expect(told[0]!.retryMs).toBeGreaterThanOrEqual(1000 * leastS);
  expect([node.asked[0], errors]).toEqual(['/v1/symbols undefined', []]);
  node.stop();
});
