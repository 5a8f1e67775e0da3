import { Again } from './again.js';
import type { Board } from './board.js';
import { RequestError, type WireError } from './error.js';
import type { Hello, Reply, Result } from './message.js';
import { parts, type Position, type Request } from './request.js';
import type { Session } from './session.js';
import { Wanted, isPattern, matches, viewOf, type Terms } from './terms.js';

const REQUEST_BYTES = 65_536, REQUEST_SYMBOLS = 4_096; // of a node that does not say
const HEAD_BYTES = 256; // of a request without its lists
const BAD_SYMBOL: WireError = { code: 110, text: 'bad_symbol: not visible ASCII of at most 64 bytes', retry: false };
const NOT_SUBSCRIBED: WireError = { code: 112, text: 'not_subscribed: subscribe first', retry: false };
const NOT_ALLOWED = 130; // the token does not cover it
const NAME = /^[!-~]{1,64}$/; // else it is no symbol, and might not even fit a request

/** A call that waits for what becomes of a name, on this connection or a later one. */
interface Waiter { resolve: (results: Result[]) => void; reject: (error: Error) => void }

/**
 * What is wanted, brought to whichever node there is. All methods may be called at
 * any time: without a connection they change what the next one begins with.
 */
export class Subscriptions {
  readonly #board: Board;
  readonly #report: (symbol: string, error: WireError) => void;
  readonly #wanted = new Wanted();
  readonly #again = new Again((names) => this.#ask(names));
  readonly #waiters = new Map<string, Waiter[]>();
  /** Fields of patterns, by the id of the request that subscribed them: later replies have it too. */
  readonly #views = new Map<number, string>();
  /** To be asked for at the end of this turn, in one request if it can be. */
  readonly #fresh = new Set<string>();
  #session: Session | undefined;

  constructor(board: Board, report: (symbol: string, error: WireError) => void) {
    this.#board = board;
    this.#report = report;
  }

  /** A connection begins: everything wanted is asked for, with the seqs held. */
  greeted(session: Session): void {
    this.lost();
    this.#session = session;
    this.#board.reset();
    this.#fresh.clear();
    this.#ask();
  }

  lost(): void {
    this.#session = undefined;
    this.#again.clear();
    this.#views.clear();
  }

  /** No connection is to come any more. */
  close(): void {
    this.lost();
    const closed = new RequestError({ code: 0, text: 'the client is closed', retry: false });
    for (const name of [...this.#waiters.keys()]) this.#waiting(name).forEach((w) => w.reject(closed));
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
    return [...results, ...others.map((symbol) => ({ symbol, error: NOT_SUBSCRIBED }))];
  }

  async unsubscribe(names: readonly string[]): Promise<Result[]> {
    this.flush();
    for (const name of names) {
      this.#wanted.remove(name);
      this.#again.done(name);
      this.#waiting(name).forEach((w) => w.resolve([]));
    }
    for (const symbol of [...this.#board.quotes.keys()]) if (!this.#wanted.takes(symbol)) this.#board.forget(symbol);
    const s = this.#session;
    if (!s) return [];
    const calls = [...parts(names.filter((n) => NAME.test(n)), () => [], ...most(s.hello!, {}))].map(({ symbols }) =>
      s.call(() => ({ op: 'unsubscribe', symbols: symbols.filter((n) => !this.#wanted.has(n)) }), true).then((reply) => reply.results ?? [], (e: RequestError) => {
        if (e.code !== 0) throw e;
        return []; // the next connection begins with what is wanted
      }));
    return (await Promise.all(calls)).flat();
  }

  /** Asks for what gathered in this turn. */
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
        this.#report(symbol, error);
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
        this.#report(name, BAD_SYMBOL);
        return resolve([{ symbol: name, error: BAD_SYMBOL }]);
      }
      this.#waiters.set(name, [...this.#waiting(name), { resolve, reject }]);
      if (this.#fresh.size === 0) queueMicrotask(() => this.flush());
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
    const these = names && new Set(names);
    const due = (name: string): boolean => (these ? these.has(name) : !this.#wanted.isBarred(name, s.token));
    for (const { terms, names: group } of this.#wanted.groups(due)) {
      const view = viewOf(terms);
      for (const part of parts(group, (name) => this.#positions(name, view), ...most(s.hello!, terms))) {
        const request: Request = { op: 'subscribe', symbols: part.symbols };
        if (terms.fields?.length) request.fields = terms.fields;
        if (terms.rate !== undefined) request.rate = terms.rate;
        if (part.resume.length > 0) request.resume = part.resume;
        const id = s.request(request, (reply, error) => {
          if (reply) {
            for (const name of part.symbols) this.#wanted.took(name, terms, reply.rate);
            this.#took(reply.results ?? [], view);
          } else if (error!.code !== 0) this.#refused(part.symbols, terms, error!);
        });
        if (part.symbols.some(isPattern)) this.#views.set(id, view);
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
      else if (!error.retry || !this.#wanted.has(symbol) || this.#again.add(symbol)) this.#report(symbol, error);
      if (error?.code === BAD_SYMBOL.code) this.#wanted.remove(symbol);
      if (error?.code === NOT_ALLOWED) this.#wanted.bar(symbol, this.#session?.token ?? '');
      if (id !== undefined && this.#wanted.takes(symbol)) this.#board.confirm(symbol, id, view);
      const waiting = this.#waiting(symbol);
      if (waiting.length === 0) continue;
      const all = isPattern(symbol) ? [r, ...results.filter((x) => x !== r && matches(symbol, x.symbol))] : [r];
      for (const w of waiting) w.resolve(all);
    }
  }

  /** A subscribe failed as a whole. */
  #refused(names: readonly string[], terms: Terms, error: WireError): void {
    for (const name of names) {
      if (error.retry) {
        if (this.#wanted.has(name)) this.#again.add(name);
        continue;
      }
      this.#wanted.refused(name, terms);
      this.#waiting(name).forEach((w) => w.reject(new RequestError(error)));
    }
  }
}

/** How many symbols and bytes a request of these terms may have. */
function most(hello: Hello, terms: Terms): [symbols: number, bytes: number] {
  const fields = (terms.fields ?? hello.fields).reduce((n, f) => n + f.length + 3, 0);
  const bytes = (hello.limits.request_bytes || REQUEST_BYTES) - HEAD_BYTES - fields;
  return [hello.limits.request_symbols || REQUEST_SYMBOLS, Math.max(bytes, HEAD_BYTES)];
}
