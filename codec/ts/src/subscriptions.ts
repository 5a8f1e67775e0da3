import { Again } from './again.js';
import type { Board } from './board.js';
import { Code, RequestError, type TickwireError, type WireError } from './error.js';
import type { Hello, Reply, Result } from './message.js';
import { parts, type Position } from './request.js';
import type { Session } from './session.js';
import { Wanted, isPattern, matches, viewOf, type Terms } from './terms.js';

const HEAD_BYTES = 256; // of a request without its lists
const BAD_SYMBOL: WireError = { code: Code.BAD_SYMBOL, text: 'bad_symbol: not visible ASCII of at most 64 bytes', retry: false };
const NOT_SUBSCRIBED: WireError = { code: Code.NOT_SUBSCRIBED, text: 'not_subscribed: subscribe first', retry: false };
const NAME = /^[!-~]{1,64}$/; // else it is no symbol, and might not even fit a request

/** A call that waits for what becomes of a name, on this connection or a later one. */
interface Waiter { resolve: (results: Result[]) => void; reject: (error: Error) => void }

/**
 * What is wanted, brought to whichever node there is. All methods may be called at
 * any time: without a connection they change what the next one begins with.
 */
export class Subscriptions {
  readonly #board: Board;
  readonly #report: (error: RequestError) => void;
  readonly #wanted = new Wanted();
  readonly #again = new Again((names) => this.#ask(names));
  readonly #waiters = new Map<string, Waiter[]>();
  /** Fields of patterns, by the id of the request that subscribed them: later replies have it too. */
  readonly #views = new Map<number, string>();
  /** To be asked for, in one request if it can be: at the end of this turn, or when the node takes another. */
  readonly #fresh = new Set<string>();
  #nextAt = 0;
  #session: Session | undefined;

  constructor(board: Board, report: (error: RequestError) => void) {
    this.#board = board;
    this.#report = report;
  }

  /** A connection begins: everything wanted is asked for, with the seqs held. */
  greeted(session: Session): void {
    this.lost();
    this.#session = session;
    this.#board.reset(session.hello!.limits.subs);
    this.#fresh.clear();
    this.#ask();
  }

  lost(): void {
    this.#session = undefined;
    this.#again.clear();
    this.#views.clear();
  }

  /** No connection is to come any more. */
  close(why: TickwireError): void {
    this.lost();
    for (const name of this.#waiters.keys()) this.#waiting(name).forEach((w) => w.reject(why));
  }

  subscribe(names: readonly string[], terms: Terms): Promise<Result[]> {
    return this.#want(names, () => terms);
  }

  /** Subscribes again, to what is held by name, with these terms in place of those it has. */
  async set(names: readonly string[], { rate, fields }: Terms): Promise<Result[]> {
    const terms = (name: string): Terms => {
      const had = this.#wanted.terms(name);
      return { rate: rate ?? had?.rate, fields: fields ?? had?.fields };
    };
    const others = names.filter((name) => !this.#wanted.has(name));
    const results = await this.#want(names.filter((name) => this.#wanted.has(name)), terms);
    return [...results, ...others.map((symbol) => ({ symbol, error: new RequestError(NOT_SUBSCRIBED, symbol) }))];
  }

  async unsubscribe(names: readonly string[]): Promise<Result[]> {
    this.flush();
    for (const name of names) {
      this.#wanted.remove(name);
      this.#again.done(name);
      this.#waiting(name).forEach((w) => w.resolve([]));
    }
    for (const symbol of this.#board.quotes.keys()) if (!this.#wanted.takes(symbol)) this.#board.forget(symbol);
    const s = this.#session;
    if (!s) return [];
    const calls = [...parts(names.filter((n) => NAME.test(n)), () => [], ...most(s.hello!, {}))].map(({ symbols }) =>
      s.call(() => ({ op: 'unsubscribe', symbols: symbols.filter((n) => !this.#wanted.has(n)) }), true).then((reply) => reply.results ?? [], (e: TickwireError) => {
        if (e.code !== 0) throw e;
        return []; // the next connection begins with what is wanted
      }));
    return (await Promise.all(calls)).flat();
  }

  /** Asks for what was gathered. */
  flush(): void {
    const names = [...this.#fresh];
    this.#fresh.clear();
    this.#ask(names);
  }

  /**
   * A new token was taken: what it ends keeps its quote, and may be covered again. What the
   * one before did not cover, or slowed down, is asked for.
   */
  authorized(reply: Reply, token: string): void {
    const again = this.#wanted.stinted();
    for (const { symbol, id, error } of reply.results ?? []) {
      if (!this.#wanted.takes(symbol)) continue; // unsubscribed meanwhile
      if (error) {
        this.#board.suspend(symbol);
        this.#wanted.bar(symbol, token);
        this.#report(error);
      } else if (id !== undefined) {
        this.#board.confirm(symbol, id);
        this.#wanted.slowed(symbol);
      }
    }
    this.#ask(again.filter((name) => !this.#wanted.isBarred(name, token)));
  }

  /** A reply that nobody waits for: symbols that appeared, of a pattern. */
  appeared(reply: Reply): void {
    const view = this.#views.get(reply.id);
    if (view !== undefined) this.#took(reply.results ?? [], view);
  }

  /** Wants these from now on; results come by name, each once. */
  async #want(names: readonly string[], terms: (name: string) => Terms): Promise<Result[]> {
    const results = [...new Set(names)].map((name) => new Promise<Result[]>((resolve, reject) => {
      if (!NAME.test(name)) {
        const error = new RequestError(BAD_SYMBOL, name);
        this.#report(error);
        return resolve([{ symbol: name, error }]);
      }
      this.#waiters.set(name, [...this.#waiting(name), { resolve, reject }]);
      const wait = this.#nextAt - performance.now(), ask = (): void => this.flush();
      if (this.#fresh.size === 0) wait > 0 ? setTimeout(ask, wait) : queueMicrotask(ask);
      this.#wanted.add(name, terms(name));
      this.#fresh.add(name);
    }));
    return [...new Set((await Promise.all(results)).flat())];
  }

  /** Those who wait for a name, taken from the list. */
  #waiting(name: string): Waiter[] {
    const all = this.#waiters.get(name) ?? [];
    this.#waiters.delete(name);
    return all;
  }

  /** Asks for these names, or for all that is wanted. */
  #ask(names?: readonly string[]): void {
    const s = this.#session;
    if (!s || names?.length === 0) return;
    this.#nextAt = performance.now() + 1000 / s.hello!.limits.requests_per_s;
    const these = names && new Set(names);
    const due = (name: string): boolean => (these ? these.has(name) : !this.#wanted.isBarred(name, s.token));
    for (const { terms, names: group } of this.#wanted.groups(due)) {
      const view = viewOf(terms);
      for (const part of parts(group, (name) => this.#positions(name, view), ...most(s.hello!, terms))) {
        const { symbols, resume } = part, { rate, fields } = terms;
        const id = s.request({ op: 'subscribe', symbols, fields: some(fields), rate, resume: some(resume) }, (reply, error) => {
          if (reply) {
            for (const name of symbols) this.#wanted.took(name, terms, reply.rate);
            this.#took(reply.results ?? [], view);
          } else if (error!.code !== 0) this.#refused(symbols, terms, error!);
        });
        if (symbols.some(isPattern)) this.#views.set(id, view);
      }
    }
  }

  /** What is held of a symbol, or of all that only a pattern takes. */
  #positions(name: string, view: string): Position[] {
    const symbols = isPattern(name)
      ? [...this.#board.quotes.keys()].filter((s) => matches(name, s) && !this.#wanted.has(s))
      : [name];
    return symbols.map((s) => this.#board.position(s, view)).filter((p) => p !== undefined);
  }

  /**
   * Takes the numbers of symbols that are subscribed now, before any of their updates is
   * read, and tells who waits. What may appear is asked for again, and reported but once.
   */
  #took(results: readonly Result[], view: string): void {
    for (const r of results) {
      const { symbol, id, error } = r;
      if (!error) this.#again.done(symbol);
      else if (!error.retry || !this.#wanted.has(symbol) || this.#again.add(symbol)) this.#report(error);
      if (error?.code === Code.BAD_SYMBOL) this.#wanted.remove(symbol);
      if (error?.code === Code.NOT_ALLOWED) this.#wanted.bar(symbol, this.#session?.token ?? '');
      if (id !== undefined && this.#wanted.takes(symbol)) this.#board.confirm(symbol, id, view);
      const waiting = this.#waiting(symbol);
      if (waiting.length === 0) continue;
      const all = isPattern(symbol) ? [r, ...results.filter((x) => x !== r && matches(symbol, x.symbol))] : [r];
      for (const w of waiting) w.resolve(all);
    }
  }

  /** A subscribe failed as a whole. */
  #refused(names: readonly string[], terms: Terms, error: TickwireError): void {
    for (const name of names) {
      if (error.retry) {
        if (this.#wanted.has(name)) this.#again.add(name);
        continue;
      }
      this.#wanted.refused(name, terms);
      this.#waiting(name).forEach((w) => w.reject(error));
    }
  }
}

/** A list that has something. */
const some = <T>(list: readonly T[] = []): readonly T[] | undefined => (list.length ? list : undefined);

/** How many symbols and bytes a request of these terms may have. */
function most({ fields: all, limits }: Hello, terms: Terms): [symbols: number, bytes: number] {
  const fields = (terms.fields ?? all).reduce((n, f) => n + f.length + 3, 0);
  return [limits.request_symbols, Math.max(limits.request_bytes - HEAD_BYTES - fields, HEAD_BYTES)];
}
