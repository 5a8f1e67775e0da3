import { describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { Code, ConfigError, FinalError, NotConnected, ProtocolError, RequestError, Tickwire, TickwireError, type Options } from '../src/index.js';
import { Peer, until } from './peer.js';

const begun = (options: Partial<Options>): Tickwire => new Tickwire({ url: 'ws://localhost:1', WebSocket, ...options });
const stream = 'a stream is at ws://HOST:PORT/v1/stream, or wss://';

describe('options that no node could serve are refused at once', () => {
  it.each([
    [{ url: 'http://localhost:8080/v1/stream' }, `URL http://localhost:8080/v1/stream: take ws://, ${stream}`],
    [{ url: 'https://localhost' }, `URL https://localhost: take wss://, ${stream}`],
    [{ url: 'localhost:8080' }, `URL localhost:8080: ${stream}`],
    [{ url: 'ftp://localhost' }, `URL ftp://localhost: ${stream}`],
    [{ url: '/v1/stream' }, `the URL cannot be read: ${stream}`],
    [{ url: '' }, `the URL cannot be read: ${stream}`],
    [{ url: undefined as unknown as string }, `the URL cannot be read: ${stream}`],
    [{ url: 'ws://me@localhost' }, 'URL: leave name and password out: a node asks for a token'],
    [{ url: 'ws://me:secret@localhost' }, 'URL: leave name and password out: a node asks for a token'],
    [{ url: 'ws://localhost/v1/stream?a=1&token=secret' }, 'URL: leave the token out, others would log it: it goes apart, as { token }'],
    [{ encoding: 'xml' as 'json' }, 'encoding xml: msgpack or json'],
    [{ token: 'a b' }, 'token: it has a blank, a newline or the like'],
    [{ token: 'a.b.c\n' }, 'token: it has a blank, a newline or the like'],
  ])('%o', (options, text) => {
    let refused: unknown;
    try {
      begun(options);
    } catch (e) {
      refused = e;
    }
    expect(refused).toBeInstanceOf(ConfigError);
    expect(refused).toMatchObject({ name: 'ConfigError', message: text, text, retry: false, code: 0 });
  });
});

it.each(['ws://127.0.0.1:PORT', 'ws://127.0.0.1:PORT/', 'ws://127.0.0.1:PORT/v1/stream#there', 'ws://127.0.0.1:PORT?a=1'])('takes %s', async (url) => {
  const peer = await Peer.start();
  const paths: (string | undefined)[] = [];
  peer.server.on('connection', (_, request) => paths.push(request.url));
  const t = begun({ url: url.replace('PORT', new URL(peer.url).port), encoding: undefined, token: '' });
  await until('live', () => t.state === 'live');
  t.close();
  await peer.stop();
  expect(paths).toEqual([url.includes('?') ? '/v1/stream?a=1' : '/v1/stream']);
});

describe('errors', () => {
  it('are all of one class, and say what they are about', async () => {
    const peer = await Peer.start();
    peer.list('sim:A');
    const t = begun({ url: peer.url }), told: TickwireError[] = [];
    t.on('error', (e) => told.push(e));
    const early = await t.ping().catch((e: unknown) => e);
    const late = await t.auth('no token').catch((e: unknown) => e);
    const [, result] = await t.subscribe(['sim:A', 'sim:NOPE']);
    expect(result!.error).toBe(told[0]);
    peer.conn.raw('{');
    await until('a second connection', () => peer.conns.length === 2 && t.state === 'live');
    t.close();
    const closed = await t.ping().catch((e: unknown) => e);
    await peer.stop();
    expect([early, late, closed].map((e) => (e as TickwireError).constructor)).toEqual([NotConnected, ConfigError, NotConnected]);
    expect([early, closed].map((e) => [(e as TickwireError).retry, (e as Error).message])).toEqual([
      [true, 'not connected: wait for the state live'], [false, 'not connected: the client is closed']]);
    expect(told[0]).toBeInstanceOf(RequestError);
    expect(told[0]).toMatchObject({
      name: 'RequestError', symbol: 'sim:NOPE', code: Code.UNKNOWN_SYMBOL, retry: true,
      text: 'unknown_symbol: so says the test', message: 'sim:NOPE: unknown_symbol: so says the test' });
    expect(told[1]).toBeInstanceOf(ProtocolError);
    expect(told[1]).toMatchObject({ name: 'ProtocolError', kind: 'type', retry: true });
    expect(told.every((e) => e instanceof TickwireError && e instanceof Error && !(e instanceof FinalError))).toBe(true);
  });

  it('have the numbers of PROTOCOL.md by its names', async () => {
    const { readFile } = await import('node:fs/promises');
    const page = await readFile(new URL('../../PROTOCOL.md', import.meta.url), 'utf8');
    const rows = [...page.matchAll(/^\| (1\d\d) \| (\w+) \| (?:yes|no) \|/gm)].map(([, code, name]) => [name!.toUpperCase(), Number(code)]);
    expect(rows.length).toBeGreaterThan(10);
    expect(Code).toEqual(Object.fromEntries(rows));
  });

  it('come one by one: of a thousand symbols ten are not known', async () => {
    const peer = await Peer.start();
    const symbols = Array.from({ length: 1000 }, (_, i) => `sim:S${i}`);
    for (const s of symbols) if (!s.endsWith('50')) peer.list(s);
    const t = begun({ url: peer.url }), told: TickwireError[] = [];
    t.on('error', (e) => told.push(e));
    const results = await t.subscribe(symbols);
    t.close();
    await peer.stop();
    expect(results.map((r) => r.symbol)).toEqual(symbols);
    const failed = results.filter((r) => r.error);
    expect(failed.map((r) => r.symbol)).toEqual(symbols.filter((s) => s.endsWith('50')));
    expect(failed.length).toBe(10);
    for (const { error } of failed) expect([error instanceof RequestError, error!.code, error!.retry]).toEqual([true, 111, true]);
    expect(told.map((e) => e.symbol)).toEqual(failed.map((r) => r.symbol));
    expect(peer.conns[0]!.requests.length).toBe(1);
  });
});

it('counts what was not sent, and gaps, of all symbols', async () => {
  const peer = await Peer.start();
  const a = peer.list('sim:A'), b = peer.list('sim:B');
  const t = begun({ url: peer.url });
  await t.subscribe(['sim:A', 'sim:B']);
  a.seq += 10;
  b.seq += 3;
  peer.conn.data({ row: a, flags: 2 | (1 << 2), values: { bid: 1 } }, { row: b, flags: 2 | (2 << 2), values: { bid: 2 } });
  b.seq += 5;
  peer.conn.data({ row: b, flags: 16, values: { bid: 3 } });
  await t.ping();
  t.close();
  await peer.stop();
  expect([t.conflated, t.gaps]).toEqual([9 + 2, 1]);
});
