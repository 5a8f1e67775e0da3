import { Again } from './again.js';
import type { Board } from './board.js';
import { RequestError, type WireError } from './error.js';
import type { Hello, Reply, Result } from './message.js';
import { parts, type Position, type Request } from './request.js';
import type { Session } from './session.js';
import { Wanted, isPattern, matches, viewOf, type Group, type Terms } from './terms.js';
import { Waiters } from './waiters.js';

const REQUEST_BYTES = 65_536, REQUEST_SYMBOLS = 4_096; // of a node that does not say
const HEAD_BYTES = 256; // of a request without its lists
const BAD_SYMBOL: WireError = { code: 110, text: 'bad_symbol: not visible ASCII of at most 64 bytes', retry: false };
const NOT_SUBSCRIBED: WireError = { code: 112, text: 'not_subscribed: subscribe first', retry: false };
const SYMBOL = /^[!-~]{1,64}$/; // else it is none, and might not even fit a request

/**
 * What is wanted, brought to whichever node there is. All methods may be called at
 * any time: without a connection they change what the next one begins with.
 */
export class Subscriptions {
  readonly #board: Board;
  readonly #report: (symbol: string, error: WireError) => void;
  readonly #wanted = new Wanted();
  readonly #again = new Again((symbols) => this.#ask(symbols));
  readonly #waiters = new Waiters();
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
    this.#ask(this.#wanted.all());
  }

  lost(): void {
    this.#session = undefined;
    this.#again.clear();
    this.#views.clear();
  }

  /** No connection is to come any more. */
  close(): void {
    this.lost();
    this.#waiters.rejectAll(new RequestError({ code: 0, text: 'the client is closed', retry: false }));
  }

  subscribe(symbols: readonly string[], terms: Terms): Promise<Result[]> {
    const results = this.#waiters.add(symbols);
    if (this.#fresh.size === 0) queueMicrotask(() => this.flush());
    for (const symbol of symbols.filter((s) => SYMBOL.test(s))) {
      this.#wanted.add(symbol, terms);
      this.#fresh.add(symbol);
    }
    const bad = symbols.filter((s) => !SYMBOL.test(s));
    this.#settle(bad.map((symbol) => ({ symbol, error: BAD_SYMBOL })));
    return results;
  }

  async unsubscribe(symbols: readonly string[]): Promise<Result[]> {
    this.flush();
    const still = new Set<string>();
    for (const symbol of symbols) {
      this.#wanted.remove(symbol);
      this.#again.done(symbol);
      if (!isPattern(symbol)) this.#board.forget(symbol);
    }
    for (const pattern of symbols.filter(isPattern)) {
      for (const s of this.#wanted.under(pattern)) still.add(s);
      for (const s of [...this.#board.quotes.keys()]) {
        if (!matches(pattern, s)) continue;
        if (this.#wanted.welcomes(s)) this.#board.unconfirm(s);
        else this.#board.forget(s);
      }
    }
    this.#waiters.skip(symbols);
    const results = this.#tell('unsubscribe', { terms: {}, symbols: symbols.filter((s) => SYMBOL.test(s)) });
    this.#ask([...still]); // the node ends with a pattern all that it names
    return results;
  }

  async set(symbols: readonly string[], terms: Terms): Promise<Result[]> {
    this.flush();
    for (const symbol of symbols) {
      const had = this.#wanted.terms(symbol);
      if (!had || !this.#wanted.welcomes(symbol)) continue;
      this.#wanted.add(symbol, { rate: terms.rate ?? had.rate, fields: terms.fields ?? had.fields });
    }
    this.#ask(symbols.filter(isPattern)); // a pattern takes other terms by being subscribed to again
    const groups = this.#wanted.groups(symbols.filter((s) => !isPattern(s)));
    const none: Result[] = symbols.filter((s) => !this.#wanted.has(s)).map((symbol) => ({ symbol, error: NOT_SUBSCRIBED }));
    return (await Promise.all(groups.map((g) => this.#tell('set', g)))).flat().concat(none);
  }

  /** Asks for what gathered in this turn. */
  flush(): void {
    const symbols = [...this.#fresh];
    this.#fresh.clear();
    this.#ask(symbols);
  }

  /** A reply that nobody waits for: symbols that appeared, of a pattern. */
  appeared(reply: Reply): void {
    const view = this.#views.get(reply.id);
    if (view !== undefined) this.#confirm(reply.results ?? [], view);
  }

  #ask(symbols: readonly string[]): void {
    const s = this.#session;
    if (!s || symbols.length === 0) return;
    for (const { terms, symbols: group } of this.#wanted.groups(symbols)) {
      const view = viewOf(terms);
      for (const part of parts(group, (symbol) => this.#positions(symbol, view), ...most(s.hello!, terms))) {
        const request: Request = { op: 'subscribe', symbols: part.symbols };
        if (terms.fields?.length) request.fields = terms.fields;
        if (terms.rate !== undefined) request.rate = terms.rate;
        if (part.resume.length > 0) request.resume = part.resume;
        const id = s.request(request, (reply, error) => {
          if (reply) {
            for (const symbol of part.symbols) this.#wanted.took(symbol, terms);
            this.#confirm(reply.results ?? [], view);
          } else if (error!.code !== 0) this.#refused(part.symbols, terms, error!);
        });
        if (part.symbols.some(isPattern)) this.#views.set(id, view);
      }
    }
  }

  /** What is held of a symbol, or of all that only a pattern names. */
  #positions(symbol: string, view: string): Position[] {
    const names = isPattern(symbol)
      ? [...this.#board.quotes.keys()].filter((s) => matches(symbol, s) && !this.#wanted.has(s))
      : [symbol];
    return names.flatMap((s) => {
      const p = this.#board.position(s, view);
      return p ? [p] : [];
    });
  }

  /** Takes the numbers of symbols that are subscribed now; all before any of their updates is read. */
  #confirm(results: readonly Result[], view: string): void {
    const dropped: string[] = [];
    for (const r of results) {
      if (r.error) this.#board.unconfirm(r.symbol);
      else if (r.id === undefined) continue;
      else if (this.#wanted.welcomes(r.symbol)) this.#board.confirm(r.symbol, r.id, view);
      else if (this.#wanted.isDropped(r.symbol)) dropped.push(r.symbol);
    }
    if (dropped.length > 0) this.#tell('unsubscribe', { terms: {}, symbols: dropped }).catch(() => {});
    this.#settle(results);
  }

  /** Symbols that may appear are asked for again, reported but once; who waits is told. */
  #settle(results: readonly Result[]): void {
    for (const { symbol, error } of results) {
      if (!error) this.#again.done(symbol);
      else if (!error.retry || !this.#wanted.has(symbol) || this.#again.add(symbol)) this.#report(symbol, error);
      if (error?.code === BAD_SYMBOL.code) this.#wanted.remove(symbol);
    }
    this.#waiters.offer(results);
  }

  /** A subscribe failed as a whole. */
  #refused(symbols: readonly string[], terms: Terms, error: WireError): void {
    if (error.retry) {
      for (const symbol of symbols) if (this.#wanted.has(symbol)) this.#again.add(symbol);
      return;
    }
    for (const symbol of symbols) this.#wanted.refused(symbol, terms);
    this.#waiters.reject(symbols, new RequestError(error));
  }

  /** Sends unsubscribe or set; without a connection there is nothing to say. */
  async #tell(op: 'unsubscribe' | 'set', { terms, symbols }: Group): Promise<Result[]> {
    const s = this.#session;
    if (!s || symbols.length === 0) return [];
    const calls: Promise<Result[]>[] = [];
    for (const part of parts(symbols, () => [], ...most(s.hello!, terms))) {
      const request: Request = { op, symbols: part.symbols };
      if (op === 'set') {
        request.fields = terms.fields?.length ? terms.fields : s.hello!.fields;
        request.rate = terms.rate ?? 0;
      }
      const took = (reply: Reply): void => {
        for (const r of (op === 'set' && reply.results) || []) {
          if (r.id === undefined || !this.#wanted.welcomes(r.symbol)) continue;
          this.#wanted.took(r.symbol, terms);
          this.#board.confirm(r.symbol, r.id, viewOf(terms));
        }
      };
      calls.push(s.call(request, true, took).then((reply) => reply.results ?? [], (e: RequestError) => {
        if (e.code === 0) return []; // the next connection begins with what is wanted
        for (const symbol of part.symbols) if (op === 'set') this.#wanted.refused(symbol, terms);
        throw e;
      }));
    }
    return (await Promise.all(calls)).flat();
  }
}

/** How many symbols and bytes a request of these terms may have. */
function most(hello: Hello, terms: Terms): [symbols: number, bytes: number] {
  const fields = (terms.fields ?? hello.fields).reduce((n, f) => n + f.length + 3, 0);
  const bytes = (hello.limits.request_bytes || REQUEST_BYTES) - HEAD_BYTES - fields;
  return [hello.limits.request_symbols || REQUEST_SYMBOLS, Math.max(bytes, HEAD_BYTES)];
}
