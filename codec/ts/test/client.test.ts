import { encode } from '@msgpack/msgpack';
import { afterEach, expect, test } from 'vitest';
import { WebSocket, WebSocketServer, type WebSocket as Socket } from 'ws';
import { FIELDS, Tickwire, symbolHash, type Options, type State } from '../src/index.js';

const SYMBOL = 'sim:A';

interface Request { op: string; id: number; symbols?: string[]; resume?: [string, number, number][]; rate?: number }

/** A node by hand, on loopback: each connection in turn is given to the next script. */
class Node {
  readonly server = new WebSocketServer({ port: 0, handleProtocols: (offered) => [...offered][0] ?? false });
  readonly offered: string[][] = [];
  #connections = 0;

  constructor(readonly heartbeat: number, ...scripts: ((c: Conn) => void)[]) {
    this.server.on('connection', (socket, request) => {
      this.offered.push(String(request.headers['sec-websocket-protocol']).split(', '));
      const c = new Conn(socket);
      c.say(1, { protocol: 1, node: 'test', time: 1, fields: FIELDS, heartbeat, periods: [0], limits: { request_bytes: 65536, request_symbols: 4096, subs: 10, requests_per_s: 50 }, token_ttl: null });
      scripts[Math.min(this.#connections++, scripts.length - 1)]!(c);
    });
  }

  get url(): string {
    return `ws://127.0.0.1:${(this.server.address() as { port: number }).port}/v1/stream`;
  }
}

class Conn {
  #asked: Request[] = [];
  #waiting: ((r: Request) => void)[] = [];

  constructor(readonly socket: Socket) {
    socket.on('message', (data) => {
      const r = JSON.parse(String(data)) as Request;
      const next = this.#waiting.shift();
      if (next) next(r);
      else this.#asked.push(r);
    });
  }

  asked(): Promise<Request> {
    const r = this.#asked.shift();
    return r ? Promise.resolve(r) : new Promise((resolve) => this.#waiting.push(resolve));
  }

  say(type: number, body: unknown): void {
    this.socket.send(encode([type, body]));
  }

  async confirm(): Promise<Request> {
    const r = await this.asked();
    this.say(2, { id: r.id, op: r.op, results: [{ symbol: SYMBOL, id: 7 }] });
    return r;
  }

  update(seq: number, flags: number, bid: number): void {
    const image = flags & 1 ? [1] : [];
    this.socket.send(encode([0, 1, [7, seq, flags, 1 | (1 << 16), ...image, bid, 2]]));
  }
}

const open: { close(): void }[] = [];
afterEach(() => {
  for (const x of open.splice(0)) x.close();
});

function start(node: Node, more: Partial<Options> = {}): Tickwire {
  const t = new Tickwire({ url: node.url, WebSocket, ...more });
  open.push(t, node.server);
  return t;
}

/** Resolves with the first event that passes. */
const event = <T>(on: (fn: (x: T) => void) => unknown, passes: (x: T) => boolean = () => true): Promise<T> =>
  new Promise((resolve) => on((x) => passes(x) && resolve(x)));

const state = (t: Tickwire, want: State) => event<{ state: State; text: string }>((fn) => t.on('state', fn), (s) => s.state === want);
const quoted = (t: Tickwire, seq: number) => event<number>((fn) => t.on('quote', (q) => fn(q.seq)), (s) => s === seq);

test('a lost connection is resumed from the seq held', async () => {
  const asked: Request[] = [];
  const t = start(new Node(5000, async (c) => {
    await c.confirm();
    c.update(10, 1, 100);
    setTimeout(() => c.socket.terminate(), 20);
  }, async (c) => {
    asked.push(await c.confirm());
    c.update(15, 2 | 12, 105);
  }));
  t.subscribe([SYMBOL], { rate: 5 });
  await quoted(t, 10);
  await quoted(t, 15);
  const q = t.quotes.get(SYMBOL)!;
  expect(asked[0]).toMatchObject({ symbols: [SYMBOL], rate: 5, resume: [[SYMBOL, 1, 10]] });
  expect([q.text('bid'), q.skipped, q.conflated]).toEqual(['1.05', 4, 'catch-up']);
});

test('a final close code ends it', async () => {
  const t = start(new Node(5000, (c) => c.socket.close(4001, 'token refused')), { token: 'a.b.c' });
  const error = event<{ text: string }>((fn) => t.on('error', fn));
  expect((await state(t, 'closed')).text).toContain('token refused');
  expect((await error).text).toContain('refuses');
});

test('a token is offered beside the subprotocol', async () => {
  const node = new Node(5000, () => {});
  await state(start(node, { token: 'a.b.c' }), 'open');
  expect(node.offered[0]!.map((p) => p.trim()).join().split(',')).toEqual(['tickwire.v1.msgpack', 'bearer.a.b.c']);
});

test('a symbol that is not there yet is asked for again', async () => {
  const t = start(new Node(5000, async (c) => {
    const r = await c.asked();
    c.say(2, { id: r.id, op: r.op, results: [{ symbol: SYMBOL, error: { code: 111, text: 'unknown_symbol: not yet', retry: true } }] });
    await c.confirm();
    c.update(1, 1, 1);
  }));
  t.subscribe([SYMBOL]);
  await quoted(t, 1);
});

for (const [name, then, resumes] of [
  ['silence', () => {}, true],
  ['a heartbeat of other subscriptions', (c: Conn) => c.say(3, { time: 1, subs: 2, hash: 1 }), false],
  ['a seq that goes back', (c: Conn) => c.update(9, 0, 1), false],
  ['what is no message', (c: Conn) => c.socket.send(new Uint8Array([1])), false],
  ['a drain', (c: Conn) => { c.say(5, { within_ms: 10 }); c.socket.close(1012); }, true],
] as [string, (c: Conn) => void, boolean][]) {
  test(`${name} gives the connection up`, async () => {
    let second: Promise<Request> | undefined;
    const again = new Promise<void>((resolve) => {
      const t = start(new Node(200, async (c) => {
        await c.confirm();
        c.update(10, 1, 100);
        c.say(3, { time: 1, subs: 1, hash: symbolHash(SYMBOL) }); // as it should be
        then(c);
      }, (c) => {
        second ??= c.asked();
        resolve();
      }));
      t.subscribe([SYMBOL]);
    });
    await again;
    expect((await second!).resume !== undefined).toBe(resumes);
  });
}

test('requests have replies, and a pause outlives a reconnect', async () => {
  const ops: string[] = [];
  const t = start(new Node(5000, async (c) => {
    for (;;) {
      const r = await c.asked();
      ops.push(r.op);
      c.say(2, { id: r.id, op: r.op, time: 42, results: [] });
      if (r.op === 'set') c.socket.terminate();
    }
  }));
  await expect(t.ping()).rejects.toThrow('not connected');
  await state(t, 'open');
  t.subscribe([SYMBOL]);
  expect(await t.ping()).toEqual({ time: 42 });
  t.pause();
  t.set([SYMBOL], { rate: 1 });
  await state(t, 'open');
  await t.list();
  expect(ops).toEqual(['subscribe', 'ping', 'pause', 'set', 'pause', 'subscribe', 'list']);
});
