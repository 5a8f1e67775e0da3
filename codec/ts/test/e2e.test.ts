// Against a real node with a simulated market, as `tickwire up` has it:
//   TICKWIRE_URL=http://127.0.0.1:8080 npm test -- e2e
// and one that asks for tokens, signed with a key of `tickwire keys keys`:
//   tickwire up --sim-symbols 4 --heartbeat 1s --token-leeway 0s --token-key keys/public.pem
//   TICKWIRE_DOOR=http://127.0.0.1:8080 TICKWIRE_SIGN_KEY=keys/signing.pem npm test -- e2e
import { describe, expect, it } from 'vitest';
import { Tickwire, type TickwireError, type QuoteEvent } from '../src/index.js';
import { jwt } from './jwt.js';
import { until } from './peer.js';

const url = process.env.TICKWIRE_URL;
const stream = (base: string): string => new URL('/v1/stream', base.replace(/^ws/, 'http')).href.replace(/^http/, 'ws');

async function get(path: string): Promise<Record<string, unknown>> {
  const response = await fetch(new URL(path, url!.replace(/^ws/, 'http')));
  expect(response.status).toBe(200);
  return (await response.json()) as Record<string, unknown>;
}

/** What /v1/snapshot has of symbols; their quotes go on, so what we hold is as of before it. */
const snapshot = async (symbols: string[]): Promise<Record<string, Record<string, unknown>>> =>
  (await get(`/v1/snapshot?symbols=${encodeURIComponent(symbols.join())}`)).symbols as Record<string, Record<string, unknown>>;

// TICKWIRE_URL names the node; without one there is nothing to test against.
describe.skipIf(!url)('a real node (TICKWIRE_URL)', () => {
  it.each(['msgpack', 'json'] as const)('sends quotes in %s that agree with its snapshot', async (encoding) => {
    const all = (await get('/v1/symbols')).symbols as string[];
    const symbols = all.filter((s) => s.startsWith('sim:')).slice(0, 8);
    expect(symbols.length).toBeGreaterThan(0);
    const t = new Tickwire({ url: stream(url!), encoding });
    try {
      const errors: unknown[] = [];
      t.on('error', (e) => errors.push(e));
      const history = new Map<string, Map<number, string>>(symbols.map((s) => [s, new Map()]));
      const deltas: QuoteEvent[] = [];
      t.on('quote', (e) => {
        history.get(e.symbol)!.set(e.quote.seq, JSON.stringify(e.quote));
        if (!e.quote.image) deltas.push(e);
      });
      const results = await t.subscribe(symbols);
      expect(results.map((r) => r.symbol).sort()).toEqual([...symbols].sort());
      await until('an image of each', () => symbols.every((s) => t.quotes.get(s)!.seq > 0));
      await until('deltas', () => deltas.length > 20, 15_000);

      // Each quote of the snapshot is one that we held, to the letter. We may be behind it for
      // a moment, and skip what came together: what it has is looked for until it is found.
      const found = new Set<string>();
      for (const from = Date.now(); found.size < symbols.length && Date.now() - from < 15_000; ) {
        const now = await snapshot(symbols);
        await t.ping(); // all that was sent before is merged
        for (const s of symbols) {
          const held = history.get(s)!.get(now[s]!.seq as number);
          if (held === undefined) continue;
          const { history: _, ...quote } = now[s]!; // what we noted is without
          expect(JSON.parse(held)).toEqual(quote);
          found.add(s);
        }
      }
      expect([...found].sort()).toEqual([...symbols].sort());

      // Paused, nothing comes; resumed, what changed does, merged.
      await t.pause();
      const before = new Map(symbols.map((s) => [s, t.quotes.get(s)!.seq]));
      const count = deltas.length;
      const moved = async (): Promise<boolean> => Object.entries(await snapshot(symbols)).some(([s, q]) => (q.seq as number) > before.get(s)! + 1);
      for (const from = Date.now(); !(await moved()) && Date.now() - from < 10_000; ) await new Promise((r) => setTimeout(r, 50));
      await t.ping();
      expect(deltas.length).toBe(count);
      await t.resume();
      await until('what changed meanwhile', () => deltas.length > count);
      expect(errors).toEqual([]);
    } finally {
      t.close();
    }
  }, 60_000);

  it('lists, sets terms, and ends what it began', async () => {
    const t = new Tickwire({ url: stream(url!) });
    try {
      const [symbol] = ((await get('/v1/symbols')).symbols as string[]).filter((s) => s.startsWith('sim:'));
      await t.subscribe(symbol!, { rate: 3 });
      expect(await t.list()).toMatchObject([{ symbol, rate: 2 }]); // rounded down to a listed period
      await t.set(symbol!, { fields: ['bid', 'ask'] });
      expect(await t.list()).toMatchObject([{ symbol, rate: 2, fields: ['bid', 'ask', 'price_scale'] }]);
      await until('an image of the fields', () => t.quotes.get(symbol!)?.text('last') === null);
      const [all, ...each] = await t.subscribe('sim:*');
      expect(all).toEqual({ symbol: 'sim:*', matched: each.length });
      expect(await t.unsubscribe(each.at(-1)!.symbol)).toMatchObject([{ error: { code: 112 } }]); // only the pattern takes it
      expect(await t.unsubscribe('sim:*')).toEqual([all]);
      expect(await t.list()).toMatchObject([{ symbol, rate: 0 }]); // stays, on the pattern's terms
      expect(t.quotes.size).toBe(1);
      expect(await t.unsubscribe(symbol!)).toMatchObject([{ symbol }]);
      expect(await t.list()).toEqual([]);
      expect((await t.ping()).time).toBeGreaterThan(1e15);
    } finally {
      t.close();
    }
  }, 30_000);
});

const door = process.env.TICKWIRE_DOOR;

describe.skipIf(!door || !process.env.TICKWIRE_SIGN_KEY)('a real node that asks for tokens (TICKWIRE_DOOR)', () => {
  const begin = (token?: string | (() => string), more: object = {}): { t: Tickwire; errors: TickwireError[]; states: string[] } => {
    const t = new Tickwire({ url: stream(door!), token, ...more });
    const errors: TickwireError[] = [], states: string[] = [];
    t.on('error', (e) => errors.push(e));
    t.on('state', ({ state }) => states.push(state));
    return { t, errors, states };
  };
  const held = async (t: Tickwire): Promise<string> => (await t.list()).map((r) => `${r.symbol}@${r.rate}`).sort().join(' ');
  /** Paused, heartbeats come, which are compared: another count would cost the connection. */
  const agrees = async (t: Tickwire): Promise<void> => {
    await t.pause();
    await new Promise((r) => setTimeout(r, 2_500));
    await t.resume();
  };

  it.each(['msgpack', 'json'] as const)('renews tokens on one connection, in %s', async (encoding) => {
    let n = 0, quotes = 0;
    const { t, errors, states } = begin(() => (n++, jwt('ts', 3)), { encoding });
    try {
      t.on('quote', () => quotes++);
      await t.subscribe('sim:*');
      await new Promise((r) => setTimeout(r, 5_000));
      const before = quotes;
      await until('prices still come', () => quotes > before);
      expect([states, errors, n > 3 && n < 10]).toEqual([['live'], [], true]);
    } finally {
      t.close();
    }
  }, 30_000);

  it.each(['msgpack', 'json'] as const)('holds what a token covers, in %s', async (encoding) => {
    const { t, errors, states } = begin(jwt('ts', 600), { encoding });
    try {
      await t.subscribe(['sim:ACORN-USD', 'sim:*']);
      const everything = await held(t);
      const results = await t.auth(jwt('ts', 600, { symbols: ['sim:A*'], rate: 5 }));
      expect(await held(t)).toBe('sim:ACORN-USD@5');
      expect(errors.map((e) => [e.symbol, e.code]).sort()).toEqual(results.filter((r) => r.error).map((r) => [r.symbol, 130]).sort());
      await agrees(t);
      await t.auth(jwt('ts', 600));
      expect(await held(t)).toBe(everything);
      await agrees(t);
      expect(states).toEqual(['live']);
    } finally {
      t.close();
    }
  }, 30_000);

  it('tells why there is no way in, and why it has ended', async () => {
    const one = { conns: 1, newest: true };
    const replaced = begin(jwt('one', 600, one));
    const expires = begin(jwt('ts', 2));
    const refused = [begin(), begin('abc'), begin(jwt('ts', -60))];
    await until('live', () => replaced.t.state === 'live');
    const newer = begin(jwt('one', 600, one));
    const ends = [...refused, expires, replaced];
    await until('all are closed', () => ends.every(({ t }) => t.state === 'closed'), 15_000);
    newer.t.close();
    expect(ends.map(({ errors }) => [errors[0]!.code, errors[0]!.reason])).toEqual([
      [401, 'missing'], [401, 'malformed'], [401, 'expired'], [4002, undefined], [4003, undefined]]);
  }, 30_000);
});
