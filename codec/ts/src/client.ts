import { Board, type QuoteEvent } from './board.js';
import { Emitter } from './emitter.js';
import { ConfigError, FinalError, NotConnected, RequestError, TickwireError } from './error.js';
import type { Hello, Message, Reply, Result } from './message.js';
import type { QuoteView } from './quote.js';
import { checkOptions, checkToken, type Options } from './options.js';
import type { Request } from './request.js';
import { HOUR_MS, SOCKET_OPTIONS, Session, isFinal, type Lost } from './session.js';
import { findWebSocket, type WebSocketClass } from './socket.js';
import { Subscriptions } from './subscriptions.js';
import type { Terms } from './terms.js';
import { Pass } from './token.js';

/** connecting: to a node, for the first time or again; stale: the node fell silent; closed: for good. */
export type State = 'connecting' | 'live' | 'stale' | 'closed';

/** All quotes that one message changed. */
export interface Batch { sentAt: number; quotes: QuoteEvent[] }

/** A new token was taken, with what it ends and slows down; or, with an error, none could be had so far. */
export interface TokenEvent {
  /** Seconds that it is good for. */
  ttl: number | null;
  results: Result[];
  error?: string;
}

export interface Events {
  /** A symbol's quote; told after all updates of its message were merged. */
  quote: QuoteEvent;
  batch: Batch;
  /** text: why. retryMs: of connecting, until the next try. */
  state: { state: State; text: string; retryMs?: number };
  hello: Hello;
  /** ms for which our socket took nothing; what follows is merged. */
  lag: number;
  /** ms within which a node that restarts sends us away; the client comes back by itself. */
  drain: number;
  /** Of a symbol, a request, or the connection. */
  error: TickwireError;
  token: TokenEvent;
}

const BACKOFF_FIRST_MS = 250, BACKOFF_MOST_MS = 10_000;
const RENEW_AGAIN_MS = 1_000; // after a token that could not be had; doubles up to the most above
const RESTARTS = 1012; // a close
const TIMER_MOST_MS = 2 ** 31 - 1; // of a browser; a longer one rings at once

/**
 * A subscription that stays.
 *
 *  1. A socket is dialed, with full jitter after the first. client.ts, session.ts; why it was refused: refusal.ts
 *  2. hello: everything wanted is asked for, with the seqs held. subscriptions.ts, terms.ts
 *  3. Each message is parsed (message.ts, update.ts), merged (board.ts) and told.
 *  4. Silence, a wrong message, other subscriptions than ours, a drain: back to 1.
 *  5. Before a token ends another takes its place, on the same connection. token.ts
 */
export class Tickwire extends Emitter<Events> {
  readonly #options: Options;
  readonly #board = new Board();
  readonly #subs = new Subscriptions(this.#board, (error) => this.emit('error', error));
  #session: Session | undefined;
  #state: State = 'connecting';
  /** Until the next dial, or until we leave a node that was to have sent us away. */
  #timer: ReturnType<typeof setTimeout> | undefined;
  #attempts = 0;
  /** When that is; 0: it does not drain. */
  #leaveAt = 0;
  #paused = false;
  #pastBytes = 0;
  readonly #pass: Pass;
  /** Until the token is renewed. */
  #renewal: ReturnType<typeof setTimeout> | undefined;
  #renewAgainMs = RENEW_AGAIN_MS;
  #greetedOnce = false;
  /** Why it is closed. */
  #end: TickwireError | undefined;

  constructor(options: Options) {
    super();
    this.#options = checkOptions(options);
    this.#pass = new Pass(options.token);
    queueMicrotask(() => void this.#dial());
  }

  /** Merged quotes of all that is subscribed; without a connection they stay, and grow old. */
  get quotes(): ReadonlyMap<string, QuoteView> { return this.#board.quotes; }

  get state(): State { return this.#state; }

  /** How many updates were not sent, of all symbols so far; behind a gap nobody knows. */
  get conflated(): number { return this.#board.conflated; }

  /** How many updates said that the venue's stream, or the tape, was interrupted before them. */
  get gaps(): number { return this.#board.gaps; }

  /** Whether silence is asked for. */
  get paused(): boolean { return this.#paused; }

  /** Bytes of messages received so far. */
  get bytes(): number { return this.#pastBytes + (this.#session?.bytes ?? 0); }

  /**
   * Wants symbols, or patterns such as sim:*, now and after every reconnect. A name that
   * is wanted already takes the new terms, with all its symbols. The promise gives what
   * became of each once a node has answered, and rejects when the terms are refused. It
   * need not be waited for: refusals are error events too.
   */
  subscribe(symbols: string | readonly string[], terms: Terms = {}): Promise<Result[]> {
    const { rate, fields } = this.#options;
    return this.#want(() => this.#subs.subscribe(listOf(symbols), { rate: terms.rate ?? rate, fields: terms.fields ?? fields }));
  }

  /** What changes what is wanted, as long as it can. */
  #want(change: () => Promise<Result[]>): Promise<Result[]> {
    return quiet(this.#end ? Promise.reject(this.#end) : change());
  }

  /** Wants these names no more, each as it was given; symbols that another name takes stay. */
  unsubscribe(symbols: string | readonly string[]): Promise<Result[]> {
    return quiet(this.#subs.unsubscribe(listOf(symbols)));
  }

  /** Subscribes again to names held, with another rate or other fields, [] being all. */
  set(symbols: string | readonly string[], terms: Terms): Promise<Result[]> {
    return this.#want(() => this.#subs.set(listOf(symbols), terms));
  }

  /** Asks for silence, now and after a reconnect. */
  pause(): Promise<void> { return this.#hold(true); }

  /** Ends a pause: what changed meanwhile comes merged. */
  resume(): Promise<void> { return this.#hold(false); }

  /** What the node says is subscribed, and on which terms; rejects without a connection. */
  list(): Promise<Result[]> {
    return quiet(this.#call(() => ({ op: 'list' })).then((reply) => reply.results ?? []));
  }

  /** The node's time in us since the Unix epoch, and how many ms that took; rejects without a connection. */
  ping(): Promise<{ time: number; ms: number }> {
    const from = performance.now();
    return quiet(this.#call(() => ({ op: 'ping' })).then((reply) => ({ time: reply.time ?? 0, ms: performance.now() - from })));
  }

  /**
   * Takes a new token, for this connection and those to come; what is asked meanwhile waits
   * for it. The promise gives what the token ends and slows down, and rejects when the node
   * refuses it: then the one before counts again, for connections to come too. What it does
   * not cover stays wanted: another may cover it again.
   */
  auth(token: string): Promise<Result[]> {
    return quiet(this.#present(token));
  }

  /** Has the node take a token, now, or when there is a connection. */
  async #present(token: string): Promise<Result[]> {
    checkToken(token);
    this.#pass.token = token;
    clearTimeout(this.#renewal);
    const session = this.#session;
    if (!session?.hello) return [];
    this.#subs.flush();
    const { results = [] } = await session.call(() => ({ op: 'auth', token: this.#pass.token }), true, (reply, { token = '' }) => {
      session.token = token;
      if (token === this.#pass.token) {
        this.#pass.lasts(reply.token_ttl);
        this.#renewAgainMs = RENEW_AGAIN_MS;
        this.#renewIn();
      }
      this.#subs.authorized(reply, token);
      this.emit('token', { ttl: reply.token_ttl ?? null, results: reply.results ?? [] });
    }, ({ token }) => {
      if (token !== this.#pass.token) return; // another came meanwhile
      this.#pass.back(session.token, BACKOFF_MOST_MS); // as the node has it; the refusal is told as an error
      this.#renewIn();
    });
    return results;
  }

  #noToken(error: string): void { this.emit('token', { ttl: null, results: [], error }); }

  #renewIn(ms = this.#pass.dueMs): void {
    clearTimeout(this.#renewal);
    if (ms !== Infinity && !this.#end) this.#renewal = setTimeout(() => void this.#renew(), Math.min(Math.max(0, ms), TIMER_MOST_MS));
  }

  /** Gets a token before the one in use ends; until then there is time to try again. */
  async #renew(): Promise<void> {
    const session = this.#session, had = this.#pass.token;
    const token = await this.#pass.next().catch((e: Error) => e);
    if (session !== this.#session || had !== this.#pass.token) return; // a new connection, or auth, sees to it
    if (token instanceof Error) this.#noToken(token.message);
    else if (token !== had) return void quiet(this.#present(token)); // a refusal is told as an error
    this.#renewIn(this.#renewAgainMs * (0.9 + 0.2 * Math.random()));
    this.#renewAgainMs = Math.min(2 * this.#renewAgainMs, BACKOFF_MOST_MS);
  }

  /** Ends it, for good: the state closed is the last event, also of the message under way. */
  close(): void {
    this.#finish(new NotConnected('not connected: the client is closed'));
  }

  async #dial(): Promise<void> {
    if (this.#end) return;
    const { url, encoding = 'msgpack', WebSocket: given } = this.#options;
    let token: string, json: typeof import('./json.js') | undefined;
    try {
      if (encoding === 'json') json = await import('./json.js'); // who has no need of it does not load it
      token = await this.#pass.present((why) => this.#noToken(why.message));
    } catch (e) {
      return this.#retry((e as Error).message);
    }
    try {
      const Socket = (given as WebSocketClass | undefined) ?? (await findWebSocket());
      if (this.#end) return;
      const socket = new Socket(url, [`tickwire.v1.${encoding}`, ...(token ? [`bearer.${token}`] : [])], SOCKET_OPTIONS);
      this.#session = new Session(socket, token, { message: (m) => this.#take(m), lost: (why) => this.#lost(why) }, json?.parseMessageJSON);
    } catch (e) { // the address, the token, or no WebSocket here
      this.#refused(e instanceof TickwireError ? e : new ConfigError(String(e)));
    }
  }

  #take(m: Message): void {
    switch (m.type) {
      case 'data': return this.#merge(m.sentAt, m.updates);
      case 'hello': return this.#greeted(m);
      case 'reply': return this.#subs.appeared(m);
      case 'lag': return this.emit('lag', m.blocked_ms);
      case 'error': return this.emit('error', new RequestError(m));
      case 'heartbeat': return this.#compare(m.subs, m.hash);
      case 'drain': {
        const within = Math.min(m.within_ms, HOUR_MS);
        this.#leaveAt = performance.now() + within;
        this.#after(within, () => this.#session!.end({ code: RESTARTS, text: 'the node drains' }));
        this.emit('drain', m.within_ms);
      }
    }
  }

  /** Merges a whole message before any of it is told: no listener sees half of it. */
  #merge(sentAt: number, updates: Extract<Message, { type: 'data' }>['updates']): void {
    const quotes: QuoteEvent[] = [];
    for (const u of updates) {
      const event = this.#board.merge(u, sentAt);
      if (event) quotes.push(event);
    }
    if (quotes.length === 0) return;
    for (const event of quotes) this.emit('quote', event);
    this.emit('batch', { sentAt, quotes });
  }

  #greeted(hello: Hello): void {
    const session = this.#session!;
    this.#greetedOnce = true;
    if (session.token !== this.#pass.token) quiet(this.#present(this.#pass.token)); // auth was called since we dialed
    else {
      this.#pass.lasts(hello.token_ttl);
      this.#renewIn();
    }
    if (this.#paused) quiet(session.call(this.#holding, true));
    this.#subs.greeted(session);
    this.emit('hello', hello);
    this.#become('live', `node ${hello.node}`);
  }

  #compare(subs: number, hash: number): void {
    this.#subs.flush();
    if (this.#session!.busy || (subs === this.#board.subs && hash === this.#board.hash)) return;
    this.#session!.giveUp(new TickwireError(`subscriptions differ: the node has ${subs}, we have ${this.#board.subs}`, true));
  }

  #lost(why: Lost): void {
    const { began, hello, talked, token } = this.#session!;
    // Only data or a reply proves that the way is free, and not with who sends us away at once.
    if (talked && !why.distrust && !(this.#leaveAt && Date.now() < began + BACKOFF_MOST_MS)) this.#attempts = 0;
    this.#part();
    // A browser says 1006 of whatever it was; one that was let in without a token needs none.
    const dark = !hello && !why.silent && !why.distrust && [1006, 401, 403].includes(why.code) && (token !== '' || !this.#greetedOnce);
    if (dark) void import('./refusal.js').then(({ askWhy }) => askWhy(this.#options.url, token, why)).catch(() => why).then((told) => this.#ended(told));
    else this.#ended(why);
  }

  #ended(why: Lost): void {
    if (this.#end) return;
    if (why.distrust) {
      this.#board.distrust();
      this.emit('error', why.distrust);
    }
    if (isFinal(why.code) && !this.#pass.survives(why.code, why.reason)) {
      return this.#refused(new FinalError(why.text, false, why.code, undefined, why.reason));
    }
    if (why.silent) this.#become('stale', why.text);
    this.#retry(why.text || `ended with ${why.code}`, why.afterMs, why.code === RESTARTS);
  }

  /** Dials again in a while; when a node that drains has sent us away, unless it is one of several, at once. */
  #retry(text: string, leastMs = 0, sent = false): void {
    const most = this.#leaveAt && sent && !this.#attempts ? 0 : Math.min(BACKOFF_MOST_MS, BACKOFF_FIRST_MS * 2 ** this.#attempts);
    const left = sent ? 0 : this.#leaveAt - performance.now(); // one that died before its time ended with all its connections
    const wait = Math.max(leastMs + Math.random() * most, Math.random() * left);
    this.#attempts++;
    this.#leaveAt = 0;
    this.#become('connecting', text, wait);
    this.#after(wait, () => void this.#dial());
  }

  /** Lets the session go, and keeps what it was worth. */
  #part(): void {
    const session = this.#session;
    this.#session = undefined;
    this.#subs.lost();
    this.#pastBytes += session?.bytes ?? 0;
    session?.close('bye');
    clearTimeout(this.#timer);
    clearTimeout(this.#renewal);
  }

  #refused(why: TickwireError): void {
    this.emit('error', why);
    this.#finish(why);
  }

  #finish(why: TickwireError): void {
    if (this.#end) return;
    this.#end = why;
    this.#part();
    this.#state = 'closed';
    this.emit('state', { state: 'closed', text: why.message });
    this.hush(); // a listener may have closed us amid the quotes of a message
    this.#subs.close(why);
  }

  #hold(paused: boolean): Promise<void> {
    this.#paused = paused;
    if (!this.#session?.hello) return Promise.resolve();
    const ended = (e: TickwireError): void => { if (e.code !== 0) throw e; }; // the next connection knows
    return quiet(this.#call(this.#holding, true).then(() => {}, ended));
  }

  readonly #holding = (): Request => ({ op: this.#paused ? 'pause' : 'resume' });

  #call(make: () => Request, patient = false): Promise<Reply> {
    const session = this.#session;
    if (!session?.hello) return Promise.reject(this.#end ?? new NotConnected('not connected: wait for the state live', true));
    this.#subs.flush();
    return session.call(make, patient);
  }

  #become(state: State, text: string, retryMs?: number): void {
    if (this.#end) return; // a listener closed us meanwhile
    this.#state = state;
    this.emit('state', { state, text, ...(retryMs !== undefined && { retryMs }) });
  }

  #after(ms: number, fn: () => void): void {
    clearTimeout(this.#timer);
    if (!this.#end) this.#timer = setTimeout(fn, ms);
  }
}

const listOf = (symbols: string | readonly string[]): string[] => [symbols].flat() as string[];

/** A promise that nobody need wait for. */
function quiet<T>(p: Promise<T>): Promise<T> {
  p.catch(() => {});
  return p;
}
