import { FIELDS, Quote } from './quote.js';
import { ProtocolError, symbolHash, type Update } from './message.js';

/**
 * What a client holds: merged quotes by symbol, and the node's numbers for them.
 * No I/O: a session's messages in, quotes out.
 */
export class Board {
  readonly quotes = new Map<string, Quote>();
  #byId = new Map<number, Quote>();
  #ids = new Map<string, number>();
  /** XOR of the hashes of what is subscribed, as a heartbeat has it. */
  hash = 0;

  get subs(): number {
    return this.#ids.size;
  }

  /** A new connection: the quotes stay, the node's numbers are another's. */
  reset(): void {
    this.#byId.clear();
    this.#ids.clear();
    this.hash = 0;
  }

  /** The node confirmed a symbol under a number. */
  confirm(symbol: string, id: number): void {
    let q = this.quotes.get(symbol);
    if (!q) this.quotes.set(symbol, (q = new Quote(symbol)));
    if (!this.#ids.has(symbol)) this.hash = (this.hash ^ symbolHash(symbol)) >>> 0;
    this.#ids.set(symbol, id);
    this.#byId.set(id, q);
  }

  /** A symbol is no more subscribed to. */
  forget(symbol: string): void {
    const id = this.#ids.get(symbol);
    if (id !== undefined) {
      this.#ids.delete(symbol);
      this.#byId.delete(id);
      this.hash = (this.hash ^ symbolHash(symbol)) >>> 0;
    }
    this.quotes.delete(symbol);
  }

  /**
   * Merges an update and returns the quote; undefined for a symbol that was given
   * up a moment ago. A seq that goes back within a history is a broken promise.
   */
  merge(u: Update): Quote | undefined {
    const q = typeof u.key === 'number' ? this.#byId.get(u.key) : this.quotes.get(u.key);
    if (!q) return undefined;
    if (u.seq < q.seq && !(u.image && u.history !== q.history)) {
      throw new ProtocolError('range', `${q.symbol}: seq went back from ${q.seq} to ${u.seq}`);
    }
    if (u.image) {
      q.values.fill(null);
      q.history = u.history;
    }
    for (let f = 0; f < FIELDS.length; f++) {
      const v = u.values[f];
      if (v !== undefined) q.values[f] = v;
    }
    q.skipped = u.image || q.seq === 0 ? 0 : Math.max(0, u.seq - q.seq - 1);
    q.seq = u.seq;
    q.image = u.image;
    q.gap = u.gap;
    q.conflated = u.conflated;
    q.mask = u.mask;
    return q;
  }
}
