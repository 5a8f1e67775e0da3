// A node that means ill, or is none: what it may have a client do has bounds.
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { WebSocket } from 'ws';
import { Tickwire, type Events, type TickwireError } from '../src/index.js';
import { Dark, Peer, until, type Conn } from './peer.js';

let peer: Peer, t: Tickwire, stop = (): unknown => undefined;
const errors: TickwireError[] = [], states: Events['state'][] = [];

const begin = (options: object = {}): Tickwire => {
  t = new Tickwire({ url: peer.url, WebSocket, ...options });
  t.on('error', (e) => errors.push(e));
  t.on('state', (s) => states.push(s));
  return t;
};
const pause = (ms: number): Promise<void> => new Promise((r) => setTimeout(r, ms));

beforeEach(async () => {
  peer = await Peer.start();
  peer.list('sim:A');
  peer.list('sim:B');
  errors.length = states.length = 0;
});
afterEach(async () => {
  vi.useRealTimers();
  vi.restoreAllMocks();
  t?.close();
  stop();
  await peer.stop();
});

describe('drained', () => {
  const drained = (within_ms: number, then: (c: Conn) => void = () => {}): void => {
    peer.onRequest = (c, r) => {
      c.answer(r);
      c.send('drain', { within_ms });
      then(c);
    };
  };

  it.each([['and left', undefined], ['and closed', (c: Conn): void => c.close(1012)]])('again and again, %s, it does not come faster and faster', async (_, then) => {
    drained(0, then);
    begin().subscribe('sim:A');
    await pause(2000);
    expect(peer.conns.length).toBeGreaterThan(1);
    expect(peer.conns.length).toBeLessThan(20);
    expect(states[1]).toMatchObject({ state: 'connecting' });
    expect(states[1]!.retryMs).toBeLessThan(20); // the first is believed
  });

  it('within a thousand years, it leaves within an hour', async () => {
    vi.spyOn(Math, 'random').mockReturnValue(1);
    const timer = vi.spyOn(globalThis, 'setTimeout');
    drained(2 ** 45);
    begin().subscribe('sim:A');
    await until('told', () => peer.conn?.requests.length === 1 && timer.mock.calls.some(([, ms]) => ms === 3_600_000));
    await pause(100);
    expect([peer.conns.length, Math.max(...timer.mock.calls.map(([, ms]) => ms ?? 0))]).toEqual([1, 3_600_000]);
  });
});

describe('under ws', () => {
  /** What lies under a connection; the node reads from it no more, not even a close. */
  const deaf = ({ ws }: Conn): Socket => {
    const { _socket: socket } = ws as unknown as { _socket: Socket };
    return socket.removeAllListeners('data').removeAllListeners('end').resume();
  };
  const gone = (socket: Socket): { is: boolean } => {
    const end = { is: false };
    socket.on('end', () => { end.is = true; });
    return end;
  };

  it('close() ends the connection, whether or not it is answered', async () => {
    begin();
    await until('live', () => t.state === 'live');
    const end = gone(deaf(peer.conn));
    t.close();
    await until('the end', () => end.is, 1000);
  });

  it.each([
    ['a frame that RFC 6455 forbids', '8300'],
    ['a masked frame', '828001020304'],
    ['text that is not UTF-8', '8101ff'],
    ['a frame of 2^40 bytes', '827f0000010000000000'],
    ['a compressed frame', 'c20100'],
  ])('%s ends the connection, which comes back', async (_, hex) => {
    begin();
    await until('live', () => t.state === 'live');
    const socket = deaf(peer.conn), end = gone(socket);
    socket.write(Buffer.from(hex, 'hex'));
    await until('connecting', () => states[1]?.state === 'connecting', 1000);
    expect(errors).toMatchObject([{ name: 'ProtocolError', retry: true }]);
    await until('the end', () => end.is, 1000);
    await until('live again', () => states[2]?.state === 'live');
  });

  it('offers no compression', async () => {
    const offered: (string | undefined)[] = [];
    peer.server.on('connection', (_, { headers }) => offered.push(headers['sec-websocket-extensions']));
    begin();
    await until('live', () => t.state === 'live');
    expect(offered).toEqual([undefined]);
  });

  it('says why there was no connection', async () => {
    begin({ url: 'ws://127.0.0.1:1' });
    await until('told', () => states.length > 0);
    expect(states[0]!.text).toContain('ECONNREFUSED');
  });
});

describe('a hello', () => {
  it.each([0, 2 ** 50])('of a heartbeat of %d ms bounds the silence all the same', async (heartbeat) => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] });
    peer.heartbeat = heartbeat;
    begin();
    await until('live', () => t.state === 'live');
    vi.advanceTimersByTime(13_000);
    expect(states.map(({ state }) => state)).toEqual(['live', 'stale', 'connecting']);
  });

  it('counts once', async () => {
    begin().subscribe('sim:A');
    await until('asked', () => peer.conn?.requests.length === 1);
    for (let i = 0; i < 5; i++) peer.conn.hello();
    await t.ping();
    expect([peer.conn.requests.map((r) => r.op), states.length]).toEqual([['subscribe', 'ping'], 1]);
  });

  it.each([['request_bytes', 0], ['request_symbols', 0], ['subs', 0], ['subs', 1_000_001], ['requests_per_s', 0]] as const)('with %s of %i is refused', async (limit, n) => {
    peer.limits[limit] = n;
    begin();
    await until('refused', () => errors.length > 0);
    expect(errors[0]).toMatchObject({ name: 'ProtocolError', kind: 'range', retry: true });
  });
});

describe('more symbols than hello allows are refused', () => {
  beforeEach(() => { peer.limits.subs = 1; });

  it('of a pattern', async () => {
    begin().subscribe('sim:*');
    await until('refused', () => errors.length > 0);
    expect([errors[0], t.quotes.size]).toMatchObject([{ kind: 'order', retry: true }, 1]);
  });

  it('that appear, while as many as are allowed go on', async () => {
    peer.rows.delete('sim:B');
    begin().subscribe('sim:*');
    await until('live', () => t.quotes.size === 1);
    const appeared = (symbol: string, id: number): void => peer.conn.send('reply', { id: 1, op: 'subscribe', results: [{ symbol, id }] });
    appeared('sim:A', 7); // under another number
    await t.ping();
    expect(peer.conns.length).toBe(1);
    appeared('sim:B', 8);
    await until('refused', () => errors.length > 0);
    expect([errors[0], t.quotes.size]).toMatchObject([{ kind: 'order' }, 1]);
  });

  it('with a new token, whose call is answered', async () => {
    begin({ token: 't1' }).subscribe('sim:*');
    peer.rows.delete('sim:B');
    await until('live', () => t.quotes.size === 1);
    peer.onRequest = (c, r) => c.send('reply', { id: r.id, op: 'auth', token_ttl: 9, results: [{ symbol: 'sim:B', id: 8 }] });
    await t.auth('t2');
    await until('refused', () => errors.length > 0);
    expect(errors[0]).toMatchObject({ kind: 'order' });
  });
});

it('names other symbols on each connection, and is not remembered for ever', async () => {
  peer.limits.subs = 10;
  let named = 0;
  peer.onRequest = (c, r) => {
    c.send('reply', { id: r.id, op: 'subscribe', results: Array.from({ length: 10 }, (_, id) => ({ symbol: `sim:${named++}`, id })) });
    c.close(1012);
  };
  vi.spyOn(Math, 'random').mockReturnValue(0);
  begin().subscribe('*');
  await until('many were named', () => named > 100);
  expect(t.quotes.size).toBeLessThanOrEqual(30);
});

describe('a refusal', () => {
  /** A node that upgrades nothing, and answers plain HTTP as it likes. */
  async function refusing(headers: Record<string, string>, answer: (w: ServerResponse) => void): Promise<string> {
    const server = createServer((_, w) => answer(w.writeHead(503, headers)));
    server.on('upgrade', (_, socket) => socket.end('HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n'));
    await once(server.listen(0, '127.0.0.1'), 'listening');
    stop = () => server.close();
    return `ws://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  it('without end is not read to it', async () => {
    let written = 0, over = false;
    const url = await refusing({}, (w) => {
      const more = (): void => { while (w.write('x'.repeat(65_536))) written += 65_536; };
      w.on('drain', more).on('close', () => { over = true; });
      more();
    });
    begin({ url, WebSocket: Dark });
    await until('told', () => states.length > 0, 2000);
    await until('it reads no more', () => over, 1000);
    expect(written).toBeLessThan(32 << 20); // sockets hold some
  });

  it('that says to come back yesterday makes no haste', async () => {
    vi.spyOn(Math, 'random').mockReturnValue(0.5);
    begin({ url: await refusing({ 'Retry-After': '-3600' }, (w) => w.end('{"error":"later"}')), WebSocket: Dark });
    await until('told', () => states.length > 0);
    expect(states[0]).toMatchObject({ state: 'connecting', text: 'later', retryMs: 125 });
  });
});
