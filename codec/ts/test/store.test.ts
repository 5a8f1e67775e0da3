import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { WebSocket } from 'ws';
import { Tickwire } from '../src/index.js';
import { pauseHidden, quoteStore, type StoreTerms } from '../src/store.js';
import { Peer, until } from './peer.js';

let peer: Peer, t: Tickwire;

beforeEach(async () => {
  peer = await Peer.start();
  for (const s of ['A', 'B', 'C']) peer.list(`sim:${s}`);
  t = new Tickwire({ url: peer.url, WebSocket });
});
afterEach(async () => {
  vi.unstubAllGlobals();
  t.close();
  await peer.stop();
});

/** A listener that notes the bids it was called for. */
function listen(symbol: string, terms?: StoreTerms): { bids: (string | null | undefined)[]; stop: () => void; snapshot: () => unknown } {
  const store = quoteStore(t, symbol, terms), bids: (string | null | undefined)[] = [];
  return { bids, stop: store.subscribe(() => bids.push(store.getSnapshot()?.text('bid'))), snapshot: store.getSnapshot };
}
const asked = (): string[] => peer.conn.requests.filter((r) => r.op !== 'ping').map((r) => `${r.op} ${r.symbols.join()}${r.rate ? ` at ${r.rate}` : ''}`);
const pause = (ms: number): Promise<void> => new Promise((r) => setTimeout(r, ms));
/** requestAnimationFrame by hand: returns a function that paints. */
function byHand(): () => void {
  let due: (() => void)[] = [];
  vi.stubGlobal('requestAnimationFrame', (fn: () => void) => due.push(fn));
  return () => {
    const now = due;
    due = [];
    now.forEach((fn) => fn());
  };
}

describe('a store', () => {
  it('has a snapshot that changes if and only if the quote does', async () => {
    const a = listen('sim:A'), b = listen('sim:B');
    expect(a.snapshot()).toBeUndefined();
    await until('images', () => a.bids.length === 1 && b.bids.length === 1);
    const [first, other] = [a.snapshot(), b.snapshot()];
    expect(a.snapshot()).toBe(first);
    peer.tick('sim:A', { bid: 101 });
    await until('a change', () => a.bids.length === 2);
    expect(a.snapshot()).not.toBe(first);
    expect([(first as { text(f: string): string }).text('bid'), a.bids[1], b.snapshot()]).toEqual(['1.00', '1.01', other]);
    expect(b.snapshot()).toBe(other);

    const second = a.snapshot();
    peer.tick('sim:A', { bid: 101 }); // as it was
    peer.conn.data({ row: peer.rows.get('sim:A')!, flags: 1 }); // an image of the same
    await t.ping();
    await pause(40);
    expect([a.bids.length, a.snapshot()]).toEqual([2, second]);
    expect(a.snapshot()).toBe(second);
  });

  it('calls its listeners once a frame, all that changed together', async () => {
    const paint = byHand(), a = listen('sim:A'), b = listen('sim:B'), again = listen('sim:A');
    const all = await t.subscribe(['sim:A', 'sim:B']);
    await t.ping();
    expect([all.length, a.bids, b.bids]).toEqual([2, [], []]);
    paint();
    expect([a.bids, b.bids, again.bids]).toEqual([['1.00'], ['1.00'], ['1.00']]);
    for (const bid of [101, 102, 103]) peer.tick('sim:A', { bid });
    peer.tick('sim:B', { bid: 7 });
    await t.ping();
    expect((a.snapshot() as { text(f: string): string }).text('bid')).toBe('1.00'); // until the frame
    paint();
    paint();
    expect([a.bids, b.bids, again.bids]).toEqual([['1.00', '1.03'], ['1.00', '0.07'], ['1.00', '1.03']]);
  });

  it('calls at once who wants it so', async () => {
    const paint = byHand(), now = listen('sim:A', { frames: false }), later = listen('sim:A');
    await until('an image', () => now.bids.length === 1);
    for (const bid of [101, 102]) {
      peer.tick('sim:A', { bid });
      await t.ping();
    }
    expect([now.bids, later.bids]).toEqual([['1.00', '1.01', '1.02'], []]);
    paint();
    expect([now.bids.length, later.bids]).toEqual([3, ['1.02']]);
  });

  it('paints by a timer where there are no frames', async () => {
    const a = listen('sim:A');
    await until('an image', () => a.bids.length === 1);
    for (const bid of [101, 102, 103]) peer.tick('sim:A', { bid });
    await until('the last', () => a.bids.at(-1) === '1.03');
    expect(a.bids.length).toBeLessThan(4);
  });

  it('calls the others when a listener throws', async () => {
    const before = process.listeners('uncaughtException'), thrown: unknown[] = [];
    process.removeAllListeners('uncaughtException').on('uncaughtException', (e) => thrown.push(e));
    quoteStore(t, 'sim:A').subscribe(() => { throw new Error('a listener'); });
    const a = listen('sim:A');
    await until('both', () => a.bids.length === 1 && thrown.length === 1);
    process.removeAllListeners('uncaughtException');
    for (const fn of before) process.on('uncaughtException', fn);
  });
});

describe('the first listener subscribes, the last one unsubscribes', () => {
  it('in few requests, after a while', async () => {
    const all = ['sim:A', 'sim:B', 'sim:C', 'sim:A'].map((s) => listen(s));
    await until('images', () => all.every((x) => x.bids.length === 1));
    expect(asked()).toEqual(['subscribe sim:A,sim:B,sim:C']);
    all.forEach((x) => x.stop());
    all.forEach((x) => x.stop()); // once more is nothing
    await pause(300);
    expect(asked().length).toBe(1);
    const back = listen('sim:B'); // scrolled back
    await until('the end', () => asked().length === 2, 3000);
    expect(asked()[1]).toBe('unsubscribe sim:A,sim:C');
    expect([back.bids, (back.snapshot() as { text(f: string): string }).text('bid')]).toEqual([[], '1.00']); // as it was
    expect(all[0]!.snapshot()).toBeUndefined();
    peer.tick('sim:B', { bid: 5 });
    await until('it goes on', () => back.bids.length === 1);
    back.stop();
    await until('nothing is held', () => t.quotes.size === 0, 3000);
    await t.ping();
    expect(asked()[2]).toBe('unsubscribe sim:B');
  });

  it('on the terms of the latest, which leave with it', async () => {
    listen('sim:A', { rate: 1 });
    await until('asked', () => peer.conns.length === 1 && asked().length === 1);
    listen('sim:A', { rate: 1, frames: false });
    const fast = listen('sim:A', { rate: 10 });
    await until('asked again', () => asked().length === 2);
    fast.stop();
    await until('asked again', () => asked().length === 3);
    await t.ping();
    expect(asked()).toEqual(['subscribe sim:A at 1', 'subscribe sim:A at 10', 'subscribe sim:A at 1']);
  });

  it('and one that comes late has what a pattern brought', async () => {
    await t.subscribe('sim:*');
    await until('images', () => t.quotes.get('sim:C')?.seq === 2000);
    const c = listen('sim:C');
    expect((c.snapshot() as { text(f: string): string }).text('bid')).toBe('1.00');
  });
});

describe('a hidden tab', () => {
  const tab = Object.assign(new EventTarget(), { visibilityState: 'visible' });
  const show = (state: 'hidden' | 'visible'): void => {
    tab.visibilityState = state;
    tab.dispatchEvent(new Event('visibilitychange'));
  };
  const ops = (): string[] => peer.conn.requests.map((r) => r.op).filter((op) => op !== 'ping' && op !== 'subscribe');
  beforeEach(() => {
    vi.stubGlobal('document', tab);
    tab.visibilityState = 'visible';
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  });
  afterEach(() => { vi.useRealTimers(); });

  it('pauses after some seconds, and has what changed when it is visible again', async () => {
    const a = listen('sim:A');
    await until('live', () => t.state === 'live');
    show('hidden');
    vi.advanceTimersByTime(4_900);
    show('visible');
    vi.advanceTimersByTime(10_000);
    show('hidden');
    await t.ping();
    expect(ops()).toEqual([]);
    vi.advanceTimersByTime(5_100);
    await t.ping();
    expect([ops(), t.paused]).toEqual([['pause'], true]);
    show('visible');
    await t.ping();
    expect([ops(), t.paused]).toEqual([['pause', 'resume'], false]);
    a.stop();
  });

  it('holds no client that is closed', () => {
    const added = vi.spyOn(tab, 'addEventListener'), removed = vi.spyOn(tab, 'removeEventListener');
    listen('sim:A');
    vi.unstubAllGlobals();
    t.close();
    expect([added.mock.calls.length, removed.mock.calls]).toEqual([1, added.mock.calls]);
    pauseHidden(t);
    expect(added.mock.calls.length).toBe(1);
  });

  it('leaves a pause of others alone, and is left alone when it was said so', async () => {
    pauseHidden(t, false);
    const a = listen('sim:A');
    await until('live', () => t.state === 'live');
    show('hidden');
    vi.advanceTimersByTime(10_000);
    await t.ping();
    expect(ops()).toEqual([]);
    show('visible');
    pauseHidden(t);
    await t.pause();
    show('hidden');
    vi.advanceTimersByTime(10_000);
    show('visible');
    await t.ping();
    expect([ops(), t.paused]).toEqual([['pause'], true]);
    await t.resume();
    show('hidden');
    vi.advanceTimersByTime(10_000);
    pauseHidden(t, false);
    await t.ping();
    expect([ops(), t.paused]).toEqual([['pause', 'resume', 'pause', 'resume'], false]);
    a.stop();
  });
});
