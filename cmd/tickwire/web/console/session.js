// One connection, as it is on the wire: every frame is handed over as it came, with what
// a row of the log says of it. What a frame means may lie in those before it: a reply
// gives a symbol its number, an image its scales. So all are parsed as they come, by the
// client's own code, which says as well what a client refuses; what is made of one is
// not kept. A frame is { n, session, ms, out, kind, data, bytes, type, summary, symbols,
// refusal, errors }; frames of all connections are numbered together.
import { Board, FIELDS, IMAGE, ProtocolError, parseMessage, parseMessageJSON } from '../tickwire.js';
import { TYPES, closeMeans } from './protocol.js';

const SCALES = FIELDS.reduce((mask, name, f) => (name.endsWith('_scale') ? mask | (1 << f) : mask), 0);
const SCALES_KEPT = 16; // of a symbol: frames may be looked at that came before the last change
const NAMES_SHOWN = 3;
const utf8 = new TextEncoder();

let frames = 0;

export class Session {
  state = 'connecting'; // connecting open closing closed
  hello;
  fields = FIELDS;
  /** Symbols by the node's number. */
  names = new Map();
  board = new Board();
  #scales = new Map(); // by that number: [[frame from which they count, scales]...]
  #began = performance.now();
  #socket;
  #on;

  /** on: frame(frame); hello(hello); state(); closed(frame): the last frame, which is the log's once it is told. */
  constructor(url, protocols, on) {
    this.#on = on;
    const socket = (this.#socket = new WebSocket(url, protocols));
    socket.binaryType = 'arraybuffer';
    socket.onopen = () => this.#become('open');
    socket.onmessage = ({ data }) => this.#received(typeof data === 'string' ? data : new Uint8Array(data));
    socket.onclose = ({ code, reason }) => {
      this.#become('closed');
      const { final, why } = closeMeans(code);
      on.closed({ ...this.#frame(false, null), kind: 'close', type: 'close', bytes: 0, code, reason, summary: `${code}: ${why}${final ? '; final' : ''}` });
    };
  }

  /** Sends text or bytes, which are a request unless they are wrong on purpose. */
  send(data, request) {
    const frame = this.#frame(true, data);
    this.#socket.send(data);
    this.#on.frame({ ...frame, type: 'request', summary: requestSummary(request) });
  }

  close() {
    if (this.state === 'closed') return;
    this.#become('closing');
    this.#socket.close(1000);
  }

  /** What is held, as a subscription may resume from it. */
  get positions() {
    return [...this.board.quotes.values()].filter((q) => q.history > 0).map((q) => [q.symbol, q.history, q.seq]);
  }

  /** How many decimals a symbol's prices, sizes or volumes had as of a frame; undefined when none has said. */
  scale(id, kind, n) {
    return this.#scales.get(id)?.findLast(([from]) => from <= n)?.[1][kind];
  }

  #become(state) {
    this.state = state;
    this.#on.state();
  }

  #frame(out, data) {
    const text = typeof data === 'string';
    return {
      n: ++frames, session: this, ms: performance.now() - this.#began, out, kind: text ? 'text' : 'binary', data,
      bytes: text ? utf8.encode(data).length : data?.length ?? 0, symbols: [], refusal: null, errors: 0,
    };
  }

  #received(data) {
    const frame = this.#frame(false, data);
    frame.type = guess(data);
    frame.summary = '';
    try {
      const m = typeof data === 'string' ? parseMessageJSON(data) : parseMessage(data);
      frame.type = m.type;
      this.#learn(m, frame);
      frame.summary = summary(m, frame);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      frame.refusal ??= error;
    }
    this.#on.frame(frame);
    if (this.hello && frame.type === 'hello') this.#on.hello(this.hello);
  }

  #learn(m, frame) {
    if (m.type === 'hello') {
      this.hello = m;
      this.fields = m.fields;
    } else if (m.type === 'data') {
      for (const u of m.updates) this.#merge(u, m.sentAt, frame);
    } else if (m.type === 'error') {
      frame.errors = 1;
    } else if (m.type === 'reply') {
      for (const { symbol, id, error } of m.results ?? []) {
        frame.symbols.push(symbol);
        if (error) frame.errors++;
        if (id === undefined) continue;
        this.names.set(id, symbol);
        this.board.confirm(symbol, id); // of unsubscribe too: another name may still take it, and what is held may be resumed
      }
    }
  }

  #merge(u, sentAt, frame) {
    frame.symbols.push(typeof u.key === 'string' ? u.key : this.names.get(u.key) ?? `id ${u.key}`);
    if (u.flags & IMAGE) frame.images = (frame.images ?? 0) + 1;
    try {
      const merged = this.board.merge(u, sentAt);
      if (merged && u.mask & SCALES && typeof u.key === 'number') this.#note(u.key, merged.quote, frame.n);
    } catch (error) {
      frame.refusal ??= error; // of class order: those beside it are right
    }
  }

  #note(id, quote, n) {
    const now = { price: quote.scale('bid'), size: quote.scale('bid_size'), volume: quote.scale('volume') };
    const known = this.#scales.get(id) ?? [], last = known.at(-1)?.[1];
    if (last && last.price === now.price && last.size === now.size && last.volume === now.volume) return;
    this.#scales.set(id, [...known, [n, now]].slice(-SCALES_KEPT));
  }
}

/** The type of a message that may be wrong. */
function guess(data) {
  if (typeof data === 'string') return /^\s*\{\s*"type"\s*:\s*"(\w{1,12})"/.exec(data)?.[1] ?? 'unknown';
  return (data[0] & 0xf0) === 0x90 || data[0] === 0xdc ? TYPES[data[data[0] === 0xdc ? 3 : 1]] ?? 'unknown' : 'unknown';
}

const some = (names) => names.slice(0, NAMES_SHOWN).join(', ') + (names.length > NAMES_SHOWN ? ` +${names.length - NAMES_SHOWN}` : '');

const many = (n, what) => `${n} ${what}${n === 1 ? '' : 's'}`;

function summary(m, { symbols, images, errors }) {
  switch (m.type) {
    case 'data': return `${dataSummary(m.updates.length, images)}: ${some(symbols)}`;
    case 'hello': return `${m.node}, protocol ${m.protocol}, ${m.fields.length} fields, heartbeat ${m.heartbeat} ms`;
    case 'reply': return `${m.op} ${m.id}${m.results ? `: ${many(m.results.length, 'result')}` : ''}${errors ? `, ${many(errors, 'error')}: ${errorNames(m.results)}` : ''}`;
    case 'heartbeat': return `${many(m.subs, 'sub')}, hash 0x${m.hash.toString(16).padStart(8, '0')}`;
    case 'lag': return `the socket took nothing for ${m.blocked_ms} ms`;
    case 'drain': return `closes within ${m.within_ms} ms: connect again`;
    case 'error': return `${m.id == null ? '' : `${m.id}: `}${m.code} ${m.text}`;
    default: return 'a type of a newer node: ignored';
  }
}

function dataSummary(n, images = 0) {
  if (images === n) return many(n, 'image');
  return many(n, 'update') + (images ? `, ${many(images, 'image')}` : '');
}

const errorNames = (results) => some([...new Set(results.flatMap(({ error }) => (error ? [`${error.code} ${error.text.split(':')[0]}`] : [])))]);

function requestSummary(request) {
  if (request === undefined) return 'not JSON';
  if (typeof request !== 'object' || request === null || Array.isArray(request)) return 'not a map';
  const { op, id, symbols, rate, fields, resume } = request;
  const terms = [Array.isArray(symbols) && some(symbols), fields && `fields ${fields}`, rate !== undefined && `rate ${rate}`, Array.isArray(resume) && `resume ${resume.length}`];
  return `${op ?? 'no op'} ${id ?? ''}`.trim() + (terms.some(Boolean) ? ': ' : '') + terms.filter(Boolean).join(' · ');
}
