import { refuse } from './error.js';
import { GAP, IMAGE } from './flags.js';
import { symbolHash } from './message.js';
import { NUM_FIELDS, Quote, type Field, type QuoteView, fieldsOf } from './quote.js';
import type { Position } from './request.js';
import type { Update } from './update.js';

/** A symbol's quote after an update was merged into it. */
export interface QuoteEvent {
  symbol: string;
  /** The client's own, which lives on: read it now, or copy what is needed. */
  quote: QuoteView;
  update: Update;
  /** Fields that differ from before; of an image fewer than it carried. */
  changed: readonly Field[];
  /** How many updates before this one were not sent: seq - last - 1; 0 behind a GAP, which does not say. */
  conflated: number;
  /** IMAGE, CONFLATED with its reason, GAP. */
  flags: number;
  /** us since the Unix epoch, when the node sent it. */
  sentAt: number;
}

interface Held {
  quote: Quote;
  /** The node's number on this connection; -1 while it has not confirmed the symbol. */
  id: number;
  /** Fields that the node was last asked for, and those that the last image had. */
  view: string;
  imaged: string;
}

/**
 * What a client holds: merged quotes by symbol, and the node's numbers for them.
 * No I/O: a node's messages in, quotes out.
 */
export class Board {
  readonly quotes = new Map<string, Quote>();
  readonly #held = new Map<string, Held>();
  readonly #byId = new Map<number, Held>();
  /** How many symbols the node has confirmed, and the XOR of their hashes, as a heartbeat has them. */
  subs = 0;
  hash = 0;
  #most = Infinity;
  /** Totals of all updates. */
  conflated = 0;
  gaps = 0;

  /**
   * A new connection, which takes so many symbols at the most: quotes stay, the node's numbers are another's. Those that
   * the last connection did not have go when they are many: nodes may name others each time.
   */
  reset(most: number): void {
    this.#most = most;
    if (this.#held.size > 2 * most) for (const [symbol, h] of this.#held) if (h.id < 0) this.forget(symbol);
    for (const h of this.#held.values()) h.id = -1;
    this.#byId.clear();
    this.subs = this.hash = 0;
  }

  /** What is held may be wrong: it is shown until images come, but never resumed from. */
  distrust(): void {
    for (const h of this.#held.values()) h.quote.seq = h.quote.history = 0;
  }

  /** The node confirmed a symbol under a number; view names the fields it was asked for, if not as before. */
  confirm(symbol: string, id: number, view = this.#held.get(symbol)?.view ?? ''): void {
    let h = this.#held.get(symbol);
    if (h && h.id >= 0) this.#byId.delete(h.id);
    else this.#count(symbol, 1);
    if (!h) {
      h = { quote: new Quote(symbol), id: -1, view, imaged: view };
      this.#held.set(symbol, h);
      this.quotes.set(symbol, h.quote);
    }
    h.view = view;
    h.id = id;
    this.#byId.set(id, h);
  }

  /** The node sends a symbol no more; its quote stays. */
  suspend(symbol: string): void {
    const h = this.#held.get(symbol);
    if (!h || h.id < 0) return;
    this.#byId.delete(h.id);
    h.id = -1;
    this.#count(symbol, -1);
  }

  /** A symbol is wanted no more. */
  forget(symbol: string): void {
    this.suspend(symbol);
    this.#held.delete(symbol);
    this.quotes.delete(symbol);
  }

  /**
   * From where a symbol may be resumed; undefined when an image is due: nothing is
   * held, or of other fields, whose older changes a resumption would not bring.
   */
  position(symbol: string, view: string): Position | undefined {
    const h = this.#held.get(symbol);
    return h && h.quote.history > 0 && h.imaged === view ? [symbol, h.quote.history, h.quote.seq] : undefined;
  }

  /** Merges an update; undefined for a symbol that was given up a moment ago. */
  merge(u: Update, sentAt: number): QuoteEvent | undefined {
    const h = typeof u.key === 'number' ? this.#byId.get(u.key) : this.#held.get(u.key);
    if (!h || h.id < 0) return undefined;
    const q = h.quote, image = (u.flags & IMAGE) !== 0;
    const renewed = image && u.history !== q.history;
    if (u.seq < q.seq && !renewed) refuse('order', `${q.symbol}: seq went back from ${q.seq} to ${u.seq}`);
    if (!image) u.agree?.(q);
    const changed = put(q.values, u, image);
    q.conflated = renewed || q.seq === 0 || u.flags & GAP ? 0 : Math.max(0, u.seq - q.seq - 1);
    this.conflated += q.conflated;
    if (u.flags & GAP) this.gaps++;
    q.seq = u.seq;
    q.flags = u.flags;
    if (image) {
      q.history = u.history;
      h.imaged = h.view;
    }
    return { symbol: q.symbol, quote: q, update: u, changed: fieldsOf(changed), conflated: q.conflated, flags: u.flags, sentAt };
  }

  #count(symbol: string, by: 1 | -1): void {
    this.subs += by;
    if (this.subs > this.#most) refuse('order', `more than ${this.#most} symbols`);
    this.hash = (this.hash ^ symbolHash(symbol)) >>> 0;
  }
}

/** Puts an update's values and returns which fields differ from before. */
function put(values: Float64Array, u: Update, image: boolean): number {
  let changed = 0;
  for (let f = 0, i = 0; f < NUM_FIELDS; f++) {
    const old = values[f]!;
    const given = ((u.mask >>> f) & 1) !== 0;
    const v = given ? u.values[i++]! : image ? NaN : old;
    if (v === old || (v !== v && old !== old)) continue; // NaN is not NaN
    values[f] = v;
    changed |= 1 << f;
  }
  return changed;
}
