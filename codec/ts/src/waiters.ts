import type { Result } from './message.js';
import { isPattern, matches } from './terms.js';

/** One call of subscribe: the symbols that have no result yet, and the results so far. */
interface Waiter {
  left: Set<string>;
  patterns: string[];
  results: Result[];
  resolve: (results: Result[]) => void;
  reject: (error: Error) => void;
}

/** Calls of subscribe that wait for a result of each symbol, on this connection or a later one. */
export class Waiters {
  readonly #bySymbol = new Map<string, Set<Waiter>>();
  readonly #ofPatterns = new Set<Waiter>();

  /** A promise of the results of all these; nobody need wait for it. */
  add(symbols: readonly string[]): Promise<Result[]> {
    const promise = new Promise<Result[]>((resolve, reject) => {
      const w: Waiter = { left: new Set(symbols), patterns: symbols.filter(isPattern), results: [], resolve, reject };
      if (w.left.size === 0) return resolve([]);
      for (const symbol of w.left) {
        const all = this.#bySymbol.get(symbol);
        if (all) all.add(w);
        else this.#bySymbol.set(symbol, new Set([w]));
      }
      if (w.patterns.length > 0) this.#ofPatterns.add(w);
    });
    promise.catch(() => {});
    return promise;
  }

  /** Takes a whole reply: a pattern's result is followed by those of its symbols. */
  offer(results: readonly Result[]): void {
    const touched = new Set<Waiter>();
    for (const r of results) {
      const byName = this.#bySymbol.get(r.symbol);
      this.#bySymbol.delete(r.symbol);
      for (const w of byName ?? []) {
        w.left.delete(r.symbol);
        w.results.push(r);
        touched.add(w);
      }
      for (const w of this.#ofPatterns) {
        if (!byName?.has(w) && w.patterns.some((p) => matches(p, r.symbol))) w.results.push(r);
      }
    }
    this.#settle(touched);
  }

  /** These are wanted no more: nobody waits for them. */
  skip(symbols: readonly string[]): void {
    this.#settle(this.#take(symbols));
  }

  /** The node refused these, terms and all. */
  reject(symbols: Iterable<string>, error: Error): void {
    for (const w of this.#take(symbols)) {
      for (const symbol of w.left) this.#bySymbol.get(symbol)?.delete(w);
      this.#ofPatterns.delete(w);
      w.reject(error);
    }
  }

  rejectAll(error: Error): void {
    this.reject([...this.#bySymbol.keys()], error);
  }

  #take(symbols: Iterable<string>): Set<Waiter> {
    const touched = new Set<Waiter>();
    for (const symbol of [...symbols]) {
      for (const w of this.#bySymbol.get(symbol) ?? []) {
        w.left.delete(symbol);
        touched.add(w);
      }
      this.#bySymbol.delete(symbol);
    }
    return touched;
  }

  #settle(touched: Set<Waiter>): void {
    for (const w of touched) {
      if (w.left.size > 0) continue;
      this.#ofPatterns.delete(w);
      w.resolve(w.results);
    }
  }
}
