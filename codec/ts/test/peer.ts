// A node on loopback: real WebSockets, the real protocol, a market that tests move by hand.
import { encode } from '@msgpack/msgpack';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { WebSocket, WebSocketServer } from 'ws';
import { decimalText } from '../src/decimal.js';
import { CONFLATED, GAP, IMAGE, reasonOf } from '../src/flags.js';
import { RequestError } from '../src/error.js';
import { symbolHash, type Result } from '../src/message.js';
import { FIELDS, INDEX, STATUSES, scaleOf, type Field } from '../src/quote.js';
import { parseRequest, type Asked } from './node_side.js';

const TYPES = ['data', 'hello', 'reply', 'heartbeat', 'lag', 'drain', 'error'];
const CATCH_UP = CONFLATED | (3 << 2);

type Values = Partial<Record<Field, number | null>>;

/** A symbol as the node knows it: its quote, and at which seq each field changed. */
export class Row {
  readonly changed: Partial<Record<Field, number>> = {};
  constructor(readonly symbol: string, readonly id: number, public history: number, public seq: number, readonly quote: Values) {
    for (const f in quote) this.changed[f as Field] = seq;
  }

  change(values: Values): void {
    this.seq++;
    for (const f in values) this.changed[f as Field] = this.seq;
    Object.assign(this.quote, values);
  }

  since(seq: number): Values {
    return Object.fromEntries(Object.entries(this.quote).filter(([f]) => this.changed[f as Field]! > seq));
  }
}

/** One client's connection. */
export class Conn {
  readonly requests: Asked[] = [];
  readonly subs = new Map<string, { fields: string[]; rate: number }>();
  readonly names = new Map<string, { id: number; fields: string[]; rate: number }>();
  closed = 0;

  constructor(readonly peer: Peer, readonly ws: WebSocket, readonly offered: string[]) {}

  get json(): boolean { return this.ws.protocol === 'tickwire.v1.json'; }

  /** Sends a message: its name and its map. */
  send(type: string, body: object): void {
    this.raw(this.json ? JSON.stringify({ type, ...body }) : encode([TYPES.indexOf(type), body]));
  }

  raw(bytes: string | Uint8Array): void { this.ws.send(bytes); }

  hello(): void {
    this.send('hello', {
      protocol: 1, node: this.peer.name, time: 1, fields: [...FIELDS], heartbeat: this.peer.heartbeat, periods: [0, 1000],
      limits: this.peer.limits, token_ttl: this.peer.ttl,
    });
  }

  /** Sends updates of rows in one message: flags, and values, or all of an image. */
  data(...updates: { row: Row; flags?: number; values?: Values; seq?: number }[]): void {
    const sent = updates.map(({ row, flags = 0, values = row.quote, seq = row.seq }) => {
      const names = FIELDS.filter((f) => (flags & IMAGE ? values[f] != null : f in values));
      return this.json ? this.updateJSON(row, seq, flags, names, values) : this.update(row, seq, flags, names, values);
    });
    this.raw(this.json ? JSON.stringify({ type: 'data', sent_at: 7, updates: sent }) : encode([0, 7, ...sent]));
  }

  private update(row: Row, seq: number, flags: number, names: Field[], values: Values): unknown[] {
    const mask = names.reduce((m, f) => m | (1 << INDEX[f]), 0);
    return [row.id, seq, flags, mask, ...(flags & IMAGE ? [row.history] : []), ...names.map((f) => values[f])];
  }

  private updateJSON(row: Row, seq: number, flags: number, names: Field[], values: Values): object {
    const out: Record<string, unknown> = { symbol: row.symbol, seq };
    if (flags & IMAGE) Object.assign(out, { image: true, history: row.history });
    if (flags & GAP) out.gap = true;
    if (flags & CONFLATED) out.conflated = reasonOf(flags);
    for (const f of names) {
      const v = values[f]!, scale = FIELDS[scaleOf(INDEX[f])];
      out[f] = v === null ? null : scale ? decimalText(v, row.quote[scale]!) : f === 'status' ? STATUSES[v] : v;
    }
    return out;
  }

  heartbeat(hash = [...this.subs.keys()].reduce((h, s) => h ^ symbolHash(s), 0) >>> 0): void {
    this.send('heartbeat', { time: 1, subs: this.subs.size, hash });
  }

  close(code: number, reason = ''): void { this.ws.close(code, reason); }

  /** Answers a request as a node does. */
  answer(r: Asked): void {
    const { rows } = this.peer;
    const results: Result[] = [];
    const images: Row[] = [];
    const join = (row: Row): void => {
      this.subs.set(row.symbol, { fields: r.fields, rate: r.rate });
      results.push({ symbol: row.symbol, id: row.id });
      images.push(row);
    };
    const taken = (name: string): Row[] => [...rows.values()].filter(({ symbol }) => takes(name, symbol));
    for (const name of r.symbols) {
      const row = rows.get(name);
      const result: Result = { symbol: name, ...(name.endsWith('*') ? { matched: taken(name).length } : { id: row?.id ?? 0 }) };
      if (r.op === 'unsubscribe') {
        if (!this.names.delete(name)) results.push(failure(name, 112, 'not_subscribed', false));
        else results.push(result);
        for (const symbol of this.subs.keys()) if (![...this.names.keys()].some((n) => takes(n, symbol))) this.subs.delete(symbol);
      } else if (name.endsWith('*')) {
        this.names.set(name, r);
        results.push(result);
        taken(name).forEach(join);
      } else if (row) {
        this.names.set(name, r);
        join(row);
      } else results.push(failure(name, 111, 'unknown_symbol', true));
    }
    if (r.op === 'list') for (const s of this.subs.keys()) results.push({ symbol: s, id: rows.get(s)!.id });
    this.send('reply', { id: r.id, op: r.op, ...(r.op === 'ping' ? { time: 123 } : {}), ...(results.length ? { results } : {}) });
    for (const row of images) this.begin(row, r);
  }

  private begin(row: Row, r: Asked): void {
    const held = r.resume.find(([symbol, history]) => symbol === row.symbol && history === row.history);
    const view = (values: Values): Values =>
      Object.fromEntries(Object.entries(values).filter(([f]) => r.fields.length === 0 || r.fields.includes(f) || f.endsWith('_scale')));
    if (!held) return this.data({ row, flags: IMAGE, values: view(row.quote) });
    const values = view(row.since(held[2]));
    if (Object.keys(values).length > 0) this.data({ row, flags: row.seq - held[2] > 1 ? CATCH_UP : 0, values });
  }
}

const takes = (name: string, symbol: string): boolean => (name.endsWith('*') ? symbol.startsWith(name.slice(0, -1)) : symbol === name);

const failure = (symbol: string, code: number, name: string, retry: boolean): Result =>
  ({ symbol, error: new RequestError({ code, text: `${name}: so says the test`, retry }) });

/** A node; what it does by itself can be switched off. */
export class Peer {
  readonly rows = new Map<string, Row>();
  readonly conns: Conn[] = [];
  name = 'peer';
  heartbeat = 5000;
  ttl: number | null = null;
  limits = { request_bytes: 65536, request_symbols: 4096, subs: 10000, requests_per_s: 50 };
  /** Called for each request in place of answer. */
  onRequest = (c: Conn, r: Asked): void => c.answer(r);
  onConnect = (c: Conn): void => c.hello();

  private constructor(readonly server: WebSocketServer) {
    server.on('connection', (ws, request) => {
      const conn = new Conn(this, ws, String(request.headers['sec-websocket-protocol']).split(/, */));
      this.conns.push(conn);
      ws.on('message', (data: Buffer, binary) => {
        const r = parseRequest(binary ? new Uint8Array(data) : data.toString());
        conn.requests.push(r);
        this.onRequest(conn, r);
      });
      ws.on('close', (code) => { conn.closed = code; });
      this.onConnect(conn);
    });
  }

  static async start(): Promise<Peer> {
    const server = new WebSocketServer({
      host: '127.0.0.1', port: 0, perMessageDeflate: false,
      handleProtocols: (offered) => [...offered].find((p) => p.startsWith('tickwire.v1.')) ?? false,
    });
    await once(server, 'listening');
    return new Peer(server);
  }

  get url(): string { return `ws://127.0.0.1:${(this.server.address() as AddressInfo).port}/v1/stream`; }

  /** The newest connection. */
  get conn(): Conn { return this.conns.at(-1)!; }

  /** Puts a symbol on the board. */
  list(symbol: string, quote: Values = { bid: 100, ask: 102, status: 0, price_scale: 2 }): Row {
    const row = new Row(symbol, this.rows.size + 1, 1000, 2000, quote);
    this.rows.set(symbol, row);
    return row;
  }

  /** Changes a symbol and sends the delta to who subscribes to it. */
  tick(symbol: string, values: Values): void {
    const row = this.rows.get(symbol)!;
    row.change(values);
    for (const c of this.conns) if (c.ws.readyState === 1 && c.subs.has(symbol)) c.data({ row, values });
  }

  async stop(): Promise<void> {
    for (const ws of this.server.clients) ws.terminate();
    this.server.close();
    await once(this.server, 'close');
  }
}

/** A browser's WebSocket: it says nothing of the answer to an upgrade. */
export class Dark extends WebSocket {
  override emit(name: string | symbol, ...args: unknown[]): boolean {
    return super.emit(name as string, ...(name === 'error' ? [new Error('')] : args));
  }
}

const realTimeout = setTimeout, realNow = Date.now; // whatever a test does to them

/** Waits until check is true of what it sees; the error names what it waits for. */
export async function until(what: string, check: () => boolean, ms = 5000): Promise<void> {
  for (const from = realNow(); !check(); ) {
    if (realNow() - from > ms) throw new Error(`timed out: ${what}`);
    await new Promise((r) => realTimeout(r, 2));
  }
}
