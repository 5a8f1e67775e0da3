import type { Batch, Tickwire } from './client.js';
import { Quote, type QuoteView } from './quote.js';
import { viewOf, type Terms } from './terms.js';

export interface StoreTerms extends Terms {
  /** false: listeners are called with every message, not once a frame. */
  frames?: boolean | undefined;
}

/** A symbol's quote as React's useSyncExternalStore, and its like elsewhere, takes it. */
export interface QuoteStore {
  /** Calls a listener when the snapshot is another one, until the function returned is called. */
  subscribe(listener: () => void): () => void;
  /** The quote, which stays as it is: another object if and only if a field has changed. Undefined: none came yet, or nobody listens. */
  getSnapshot(): QuoteView | undefined;
}

const LINGER_MS = 1_000; // what has no listener stays subscribed for so long, or half as long: a list that scrolls takes it up again
const HIDDEN_MS = 5_000; // a tab is hidden for so long before it is paused
const FRAME_MS = 16; // where nothing is painted

/**
 * The quote of a symbol. It is subscribed to while anybody listens; all stores of a symbol
 * share that, on the terms of the latest listener. Listeners are called at most once a
 * frame, all that changed together. While the tab is hidden the client pauses: pauseHidden.
 */
export function quoteStore(client: Tickwire, symbol: string, terms: StoreTerms = {}): QuoteStore {
  const shared = sharedOf(client);
  return {
    subscribe: (listener) => shared.subscribe(symbol, { listener, terms }),
    getSnapshot: () => shared.snapshot(symbol),
  };
}

/**
 * Pauses a client while its tab has been hidden for some seconds; when it is visible again
 * what changed comes merged. Stores have it so, but where it was said otherwise; where there
 * is no tab, as in a worker, it does nothing.
 */
export function pauseHidden(client: Tickwire, on = true): void {
  sharedOf(client).pauseHidden(on);
}

const sharing = new WeakMap<Tickwire, Shared>();

function sharedOf(client: Tickwire): Shared {
  let shared = sharing.get(client);
  if (!shared) sharing.set(client, (shared = new Shared(client)));
  return shared;
}

interface Reader { listener: () => void; terms: StoreTerms }

/** A symbol that somebody listens to, or did a moment ago. */
interface Entry {
  readonly symbol: string;
  readonly readers: Set<Reader>;
  /** Terms that it is subscribed on. */
  terms: string | undefined;
  snapshot: QuoteView | undefined;
  /** The quote has changed since the snapshot. */
  stale: boolean;
  /** When the last one left; 0: somebody listens. */
  leftAt: number;
}

/** What all stores of a client share. */
class Shared {
  readonly #client: Tickwire;
  readonly #entries = new Map<string, Entry>();
  /** Changed since the last frame. */
  readonly #changed = new Set<Entry>();
  #sweep: ReturnType<typeof setTimeout> | undefined;
  #unwatch: (() => void) | undefined;

  constructor(client: Tickwire) {
    this.#client = client;
    client.on('batch', (batch) => this.#take(batch));
    client.on('state', ({ state }) => { if (state === 'closed') this.pauseHidden(false); }); // the page would hold it for ever
    this.pauseHidden(true);
  }

  snapshot(symbol: string): QuoteView | undefined {
    return this.#entries.get(symbol)?.snapshot;
  }

  subscribe(symbol: string, reader: Reader): () => void {
    let entry = this.#entries.get(symbol);
    if (!entry) {
      entry = { symbol, readers: new Set(), terms: undefined, snapshot: undefined, stale: true, leftAt: 0 };
      this.#entries.set(symbol, entry);
      this.#refresh(entry); // a pattern may have brought it
    }
    const { readers } = entry, one = { ...reader }; // the same listener may come twice
    readers.add(one);
    this.#want(entry);
    return () => {
      if (!readers.delete(one)) return;
      if (readers.size > 0) return this.#want(entry);
      entry.leftAt = performance.now();
      this.#sweep ??= setTimeout(() => this.#release(), LINGER_MS);
    };
  }

  pauseHidden(on: boolean): void {
    this.#unwatch?.();
    this.#unwatch = on && this.#client.state !== 'closed' ? watchHidden(this.#client) : undefined;
  }

  /** Subscribes at the client, unless it is so on the same terms. */
  #want(entry: Entry): void {
    const { rate, fields } = [...entry.readers].at(-1)!.terms;
    const terms = `${rate} ${viewOf({ fields })}`;
    entry.leftAt = 0;
    if (terms === entry.terms) return;
    entry.terms = terms;
    void this.#client.subscribe(entry.symbol, { rate, fields });
  }

  /** Ends what has had no listener for a while, in one request: what left a little later too. */
  #release(): void {
    const due = performance.now() - LINGER_MS / 2, left = [...this.#entries.values()].filter((e) => e.leftAt > 0);
    const over = left.filter((e) => e.leftAt <= due);
    for (const entry of over) {
      this.#entries.delete(entry.symbol);
      this.#changed.delete(entry);
    }
    if (over.length > 0) void this.#client.unsubscribe(over.map((e) => e.symbol));
    this.#sweep = left.length > over.length ? setTimeout(() => this.#release(), LINGER_MS) : undefined;
  }

  #take({ quotes }: Batch): void {
    const atOnce: Entry[] = [];
    for (const { symbol, changed } of quotes) {
      const entry = this.#entries.get(symbol);
      if (!entry || (changed.length === 0 && entry.snapshot)) continue;
      entry.stale = true;
      if (this.#changed.size === 0) nextFrame(() => this.#paint());
      this.#changed.add(entry);
      if ([...entry.readers].some((r) => r.terms.frames === false)) atOnce.push(entry);
    }
    this.#tell(atOnce, (terms) => terms.frames === false);
  }

  #paint(): void {
    const entries = [...this.#changed];
    this.#changed.clear();
    this.#tell(entries, (terms) => terms.frames !== false);
  }

  /** All snapshots are of one moment before the first listener is called. */
  #tell(entries: readonly Entry[], whom: (terms: StoreTerms) => boolean): void {
    for (const entry of entries) this.#refresh(entry);
    for (const { readers } of entries) for (const { listener, terms } of [...readers]) if (whom(terms)) call(listener);
  }

  #refresh(entry: Entry): void {
    const quote = this.#client.quotes.get(entry.symbol);
    if (entry.stale && quote?.seq) entry.snapshot = copy(quote as Quote);
    entry.stale = false;
  }
}

const copy = (quote: Quote): Quote => Object.assign(new Quote(quote.symbol), quote, { values: quote.values.slice() });

/** A listener that throws does so by itself. */
function call(listener: () => void): void {
  try {
    listener();
  } catch (e) {
    queueMicrotask(() => { throw e; });
  }
}

function nextFrame(fn: () => void): void {
  if (typeof requestAnimationFrame === 'function') requestAnimationFrame(fn);
  else setTimeout(fn, FRAME_MS);
}

/** Returns a function that ends it. */
function watchHidden(client: Tickwire): (() => void) | undefined {
  if (typeof document === 'undefined') return undefined;
  const page = document;
  let timer: ReturnType<typeof setTimeout> | undefined, ours = false;
  const look = (): void => {
    clearTimeout(timer);
    if (page.visibilityState === 'hidden') {
      timer = setTimeout(() => {
        if (client.paused) return; // by another, who resumes it
        ours = true;
        void client.pause();
      }, HIDDEN_MS);
    } else if (ours) {
      ours = false;
      void client.resume();
    }
  };
  page.addEventListener('visibilitychange', look);
  look();
  return () => {
    page.removeEventListener('visibilitychange', look);
    clearTimeout(timer);
    if (ours) void client.resume();
  };
}
