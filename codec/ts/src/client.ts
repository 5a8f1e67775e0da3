import { Emitter } from './emitter.js';
import { Board } from './board.js';
import type { Quote } from './quote.js';
import { ProtocolError, parseMessage, parseMessageJSON, type Hello, type Message, type Reply, type Result, type WireError } from './message.js';

export interface Options {
  /** ws:// or wss://, ending in /v1/stream. */
  url: string;
  encoding?: 'msgpack' | 'json';
  token?: string;
  /** In place of the global one, which Node 20 lacks: the `ws` package's. */
  WebSocket?: unknown;
}

export interface Terms {
  /** Updates a second and symbol; 0 or none: as they come. */
  rate?: number | undefined;
  /** Names of fields; none: all. */
  fields?: string[] | undefined;
}

export type State = 'connecting' | 'open' | 'reconnecting' | 'closed';

export interface Events {
  /** A symbol's quote after an update; the quote is the client's own and lives on. */
  quote: [quote: Quote, message: { sentAt: number }];
  /** All quotes that one message changed. */
  batch: [batch: { sentAt: number; quotes: Quote[] }];
  state: [state: { state: State; text: string }];
  hello: [hello: Hello];
  lag: [blockedMs: number];
  drain: [withinMs: number];
  /** Of a symbol, of a request, or, without either, of the connection. */
  error: [error: WireError & { symbol?: string }];
}

interface Pending { resolve: (reply: Reply) => void; reject: (error: Error) => void }

const BACKOFF_FIRST_MS = 250, BACKOFF_MOST_MS = 10_000;
const ASK_AGAIN_FIRST_MS = 1_000, ASK_AGAIN_MOST_MS = 5_000;
const STALE_HEARTBEATS = 2.5;
const REQUEST_SYMBOLS = 1_000; // symbols a request: well below 64 KiB

/** Close codes after which coming back cannot help. */
const isFinal = (code: number): boolean =>
  code === 1002 || code === 1003 || code === 1007 || code === 1008 || code === 1009 || (code >= 4000 && code < 4100);

/**
 * A connection that stays: it reconnects with full jitter, resumes from the seqs it
 * holds, and asks again for symbols that are not there yet.
 */
export class Tickwire extends Emitter<Events> {
  readonly #board = new Board();
  readonly #wanted = new Map<string, Terms>();
  readonly #patterns = new Map<number, Terms>();
  readonly #pending = new Map<number, Pending>();
  readonly #later = new Set<string>();
  readonly #options: Options;
  #socket: WebSocket | undefined;
  #hello: Hello | undefined;
  #state: State = 'connecting';
  #requests = 0;
  #attempts = 0;
  #paused = false;
  #resumes = true;
  #heard = 0;
  #drainUntil = 0;
  #askAgainMs = ASK_AGAIN_FIRST_MS;
  #timers = new Set<ReturnType<typeof setTimeout>>();
  #watch: ReturnType<typeof setInterval> | undefined;
  /** Bytes of messages received. */
  bytes = 0;

  constructor(options: Options) {
    super();
    this.#options = options;
    queueMicrotask(() => this.#connect());
  }

  get quotes(): ReadonlyMap<string, Quote> {
    return this.#board.quotes;
  }

  get state(): State {
    return this.#state;
  }

  /** Subscribes, now and after every reconnect; symbols or patterns such as sim:*. Errors come as events. */
  subscribe(symbols: string[], terms: Terms = {}): void {
    for (const s of symbols) this.#wanted.set(s, terms);
    if (this.#state === 'open') this.#ask(symbols);
  }

  unsubscribe(symbols: string[]): void {
    for (const s of symbols) {
      this.#wanted.delete(s);
      this.#later.delete(s);
    }
    if (this.#state === 'open') this.#send('unsubscribe', { symbols }).catch(() => {});
    for (const s of symbols) this.#board.forget(s);
  }

  /** Changes rate or fields; fresh images follow. */
  set(symbols: string[], terms: Terms): void {
    for (const s of symbols) if (this.#wanted.has(s)) this.#wanted.set(s, { ...this.#wanted.get(s), ...terms });
    if (this.#state === 'open') this.#send('set', { symbols, ...terms }).catch(() => {});
  }

  /** Silence, but for heartbeats; resume brings what changed, merged. */
  pause(): void {
    this.#paused = true;
    if (this.#state === 'open') this.#send('pause', {}).catch(() => {});
  }

  resume(): void {
    this.#paused = false;
    if (this.#state === 'open') this.#send('resume', {}).catch(() => {});
  }

  /** What the node says is subscribed. */
  async list(): Promise<Result[]> {
    return (await this.#send('list', {})).results ?? [];
  }

  /** The node's time in us; rejects while there is no connection. */
  async ping(): Promise<{ time: number }> {
    return { time: (await this.#send('ping', {})).time ?? 0 };
  }

  close(): void {
    this.#end('closed by us');
    this.#socket?.close(1000);
  }

  #connect(): void {
    if (this.#state === 'closed') return;
    const { url, encoding, token, WebSocket: given } = this.#options;
    const Socket = (given ?? globalThis.WebSocket) as typeof WebSocket | undefined;
    if (!Socket) throw new Error('no WebSocket here: pass { WebSocket } from the ws package');
    const protocols = [`tickwire.v1.${encoding ?? 'msgpack'}`];
    if (token) protocols.push(`bearer.${token}`);
    const socket = (this.#socket = new Socket(url, protocols));
    socket.binaryType = 'arraybuffer';
    this.#heard = Date.now();
    socket.onmessage = (e: MessageEvent) => {
      if (socket === this.#socket) this.#received(e.data as string | ArrayBuffer);
    };
    socket.onerror = () => {}; // a close follows
    socket.onclose = (e: CloseEvent) => {
      if (socket === this.#socket) this.#lost(e.code, e.reason);
    };
  }

  #received(data: string | ArrayBuffer): void {
    this.#heard = Date.now();
    try {
      if (typeof data === 'string') {
        this.bytes += data.length;
        this.#take(parseMessageJSON(data));
      } else {
        this.bytes += data.byteLength;
        this.#take(parseMessage(new Uint8Array(data)));
      }
    } catch (e) {
      if (!(e instanceof ProtocolError)) throw e;
      this.#resumes = false; // what we hold may be wrong
      this.emit('error', { code: 0, text: e.message, retry: true });
      this.#socket?.close(4000, 'protocol error');
    }
  }

  #take(m: Message): void {
    switch (m.type) {
      case 'data': {
        this.#attempts = 0;
        const quotes: Quote[] = [];
        for (const u of m.updates) {
          const q = this.#board.merge(u);
          if (!q) continue;
          quotes.push(q);
          this.emit('quote', q, { sentAt: m.sentAt });
        }
        this.emit('batch', { sentAt: m.sentAt, quotes });
        break;
      }
      case 'hello':
        this.#opened(m);
        break;
      case 'reply':
        this.#attempts = 0;
        this.#answered(m);
        break;
      case 'heartbeat':
        if (this.#pending.size === 0 && (m.subs !== this.#board.subs || m.hash !== this.#board.hash)) {
          this.#resumes = false;
          this.#socket?.close(4000, 'subscriptions differ');
        }
        break;
      case 'lag':
        this.emit('lag', m.blocked_ms);
        break;
      case 'drain':
        this.#drainUntil = Date.now() + m.within_ms;
        this.emit('drain', m.within_ms);
        break;
      case 'error':
        if (m.id != null) {
          this.#pending.get(m.id)?.reject(new Error(m.text));
          this.#pending.delete(m.id);
        }
        this.emit('error', m);
    }
  }

  #opened(hello: Hello): void {
    this.#hello = hello;
    this.#board.reset();
    this.#become('open', hello.node);
    this.emit('hello', hello);
    if (this.#paused) this.#send('pause', {}).catch(() => {});
    this.#ask([...this.#wanted.keys()]);
    clearInterval(this.#watch);
    this.#watch = setInterval(() => {
      if (Date.now() - this.#heard > STALE_HEARTBEATS * hello.heartbeat) {
        const dead = this.#socket;
        this.#lost(1006, 'nothing heard'); // a dead peer does not answer a close
        dead?.close();
      }
    }, hello.heartbeat / 4);
  }

  /** Subscribes to symbols, grouped by terms, bringing what is held of them. */
  #ask(symbols: string[]): void {
    const groups = new Map<string, { terms: Terms; symbols: string[] }>();
    for (const s of symbols) {
      const terms = this.#wanted.get(s);
      if (!terms) continue;
      const key = JSON.stringify([terms.rate ?? 0, terms.fields ?? null]);
      const g = groups.get(key);
      if (g) g.symbols.push(s);
      else groups.set(key, { terms, symbols: [s] });
    }
    const most = Math.min(REQUEST_SYMBOLS, this.#hello?.limits?.request_symbols ?? REQUEST_SYMBOLS);
    for (const { terms, symbols: all } of groups.values()) {
      for (let i = 0; i < all.length; i += most) {
        const part = all.slice(i, i + most);
        const resume = this.#resumes ? part.flatMap((s) => {
          const q = this.#board.quotes.get(s);
          return q && q.history ? [[s, q.history, q.seq]] : [];
        }) : [];
        this.#send('subscribe', { symbols: part, ...terms, ...(resume.length ? { resume } : {}) }, terms).catch(() => {});
      }
    }
    this.#resumes = true;
  }

  #answered(reply: Reply): void {
    for (const r of reply.results ?? []) {
      if (r.error) {
        const code = r.error.code;
        if (r.error.retry && this.#wanted.has(r.symbol)) this.#askLater(r.symbol);
        this.emit('error', { ...r.error, code, symbol: r.symbol });
      } else if (r.id !== undefined && (reply.op === 'subscribe' || reply.op === 'set')) {
        // A pattern's symbols come without having been asked for by name.
        if (this.#wanted.has(r.symbol) || this.#patterns.has(reply.id)) this.#board.confirm(r.symbol, r.id);
      }
    }
    this.#pending.get(reply.id)?.resolve(reply);
    this.#pending.delete(reply.id);
  }

  /** Asks again for symbols that may appear, all at once, less and less often. */
  #askLater(symbol: string): void {
    if (this.#later.size === 0) {
      this.#after(this.#askAgainMs * (0.5 + Math.random() / 2), () => {
        const again = [...this.#later];
        this.#later.clear();
        if (this.#state === 'open') this.#ask(again);
      });
      this.#askAgainMs = Math.min(this.#askAgainMs * 2, ASK_AGAIN_MOST_MS);
    }
    this.#later.add(symbol);
  }

  #send(op: string, body: Record<string, unknown>, patternTerms?: Terms): Promise<Reply> {
    const socket = this.#socket;
    if (this.#state !== 'open' || !socket) return Promise.reject(new Error('not connected'));
    const id = ++this.#requests;
    if (patternTerms && (body.symbols as string[]).some((s) => s.endsWith('*'))) this.#patterns.set(id, patternTerms);
    socket.send(JSON.stringify({ op, id, ...body }));
    return new Promise((resolve, reject) => this.#pending.set(id, { resolve, reject }));
  }

  #lost(code: number, reason: string): void {
    clearInterval(this.#watch);
    this.#socket = undefined;
    this.#later.clear();
    this.#patterns.clear();
    for (const p of this.#pending.values()) p.reject(new Error('connection lost'));
    this.#pending.clear();
    if (this.#state === 'closed') return;
    if (isFinal(code) && reason !== 'protocol error' && reason !== 'subscriptions differ') {
      this.emit('error', { code, text: `the node refuses this client: ${reason || code}`, retry: false });
      this.#end(reason || `closed with ${code}`);
      return;
    }
    const drain = this.#drainUntil - Date.now();
    this.#drainUntil = 0;
    const most = drain > 0 ? drain : Math.min(BACKOFF_MOST_MS, BACKOFF_FIRST_MS * 2 ** this.#attempts++);
    const wait = Math.random() * most;
    this.#become('reconnecting', `${reason || `closed with ${code}`}; again in ${(wait / 1000).toFixed(1)} s`);
    this.#after(wait, () => this.#connect());
  }

  #end(text: string): void {
    clearInterval(this.#watch);
    for (const t of this.#timers) clearTimeout(t);
    this.#timers.clear();
    if (this.#state !== 'closed') this.#become('closed', text);
  }

  #become(state: State, text: string): void {
    this.#state = state;
    this.emit('state', { state, text });
  }

  #after(ms: number, fn: () => void): void {
    const t = setTimeout(() => {
      this.#timers.delete(t);
      fn();
    }, ms);
    this.#timers.add(t);
  }
}
