/*
The client of codec/ts, written by its `npm run bundle`; do not edit.

Parts are of @msgpack/msgpack (https://github.com/msgpack/msgpack-javascript), ISC License:

Copyright 2019 The MessagePack Community.

Permission to use, copy, modify, and/or distribute this software for any purpose with or without fee is hereby granted, provided that the above copyright notice and this permission notice appear in all copies.

THE SOFTWARE IS PROVIDED "AS IS" AND THE AUTHOR DISCLAIMS ALL WARRANTIES WITH REGARD TO THIS SOFTWARE INCLUDING ALL IMPLIED WARRANTIES OF MERCHANTABILITY AND FITNESS. IN NO EVENT SHALL THE AUTHOR BE LIABLE FOR ANY SPECIAL, DIRECT, INDIRECT, OR CONSEQUENTIAL DAMAGES OR ANY DAMAGES WHATSOEVER RESULTING FROM LOSS OF USE, DATA OR PROFITS, WHETHER IN AN ACTION OF CONTRACT, NEGLIGENCE OR OTHER TORTIOUS ACTION, ARISING OUT OF OR IN CONNECTION WITH THE USE OR PERFORMANCE OF THIS SOFTWARE.
*/
var __defProp = Object.defineProperty;
var __getOwnPropNames = Object.getOwnPropertyNames;
var __esm = (fn, res, err) => function __init() {
  if (err) throw err[0];
  try {
    return fn && (res = (0, fn[__getOwnPropNames(fn)[0]])(fn = 0)), res;
  } catch (e) {
    throw err = [e], e;
  }
};
var __export = (target, all) => {
  for (var name in all)
    __defProp(target, name, { get: all[name], enumerable: true });
};

// src/error.ts
function refuse(kind, text2) {
  throw new ProtocolError(kind, text2);
}
var Code, CloseCode, TickwireError, ConfigError, NotConnected, RequestError, FinalError, ProtocolError;
var init_error = __esm({
  "src/error.ts"() {
    "use strict";
    Code = {
      MALFORMED: 100,
      UNKNOWN_OP: 101,
      BAD_SYMBOL: 110,
      UNKNOWN_SYMBOL: 111,
      NOT_SUBSCRIBED: 112,
      UNKNOWN_FIELD: 113,
      BAD_RATE: 114,
      BAD_RESUME: 115,
      TOO_MANY_SYMBOLS: 120,
      TOO_MANY_SUBS: 121,
      TOO_MANY_REQUESTS: 122,
      NOT_ALLOWED: 130,
      TOKEN_REFUSED: 131,
      UNAVAILABLE: 140
    };
    CloseCode = { REVOKED: 4001, EXPIRED: 4002, REPLACED: 4003 };
    TickwireError = class extends Error {
      /**
       * text: without the symbol, pattern or code that it is about, with which the message begins.
       * retry: the same may succeed later. code: of Code, of a close, or the HTTP status of a
       * refused upgrade; 0 is none. reason: of a refused upgrade, why, in a word of PROTOCOL.md's.
       */
      constructor(text2, retry = false, code = 0, symbol, reason) {
        super(symbol ? `${symbol}: ${text2}` : text2);
        this.text = text2;
        this.retry = retry;
        this.code = code;
        this.symbol = symbol;
        this.reason = reason;
      }
      text;
      retry;
      code;
      symbol;
      reason;
      name = "TickwireError";
    };
    ConfigError = class extends TickwireError {
      name = "ConfigError";
    };
    NotConnected = class extends TickwireError {
      name = "NotConnected";
    };
    RequestError = class extends TickwireError {
      name = "RequestError";
      constructor({ code, text: text2, retry }, symbol) {
        super(text2, retry, code, symbol);
      }
    };
    FinalError = class extends TickwireError {
      name = "FinalError";
      message = `refused with ${this.code}${this.text && `: ${this.text}`}`;
    };
    ProtocolError = class extends TickwireError {
      constructor(kind, text2) {
        super(`${kind}: ${text2}`, true);
        this.kind = kind;
      }
      kind;
      name = "ProtocolError";
    };
  }
});

// src/flags.ts
function reasonOf(flags) {
  return flags & CONFLATED ? REASONS[(flags >> 2 & 3) - 1] ?? null : null;
}
var IMAGE, CONFLATED, GAP, REASONS;
var init_flags = __esm({
  "src/flags.ts"() {
    "use strict";
    IMAGE = 1;
    CONFLATED = 2;
    GAP = 16;
    REASONS = ["rate", "slow", "catch-up"];
  }
});

// src/decimal.ts
function decimalText(mantissa, scale) {
  if (scale === 0) return String(mantissa);
  const digits = String(Math.abs(mantissa)).padStart(scale + 1, "0");
  return (mantissa < 0 ? "-" : "") + digits.slice(0, -scale) + "." + digits.slice(-scale);
}
function integer(x, what, least, most2) {
  if (typeof x !== "number") refuse("type", `${what} is no integer`);
  if (!(x >= least && x <= most2) || !Number.isInteger(x)) refuse("range", `${what} is ${x}`);
  return x + 0;
}
var MAX_INT, MAX_SCALE;
var init_decimal = __esm({
  "src/decimal.ts"() {
    "use strict";
    init_error();
    MAX_INT = Number.MAX_SAFE_INTEGER;
    MAX_SCALE = 15;
  }
});

// src/msgpack.ts
var DEPTH_MOST, utf8, TEXT, ARRAY, MAP, Reader, isHead, cut;
var init_msgpack = __esm({
  "src/msgpack.ts"() {
    "use strict";
    init_error();
    init_decimal();
    DEPTH_MOST = 8;
    utf8 = new TextDecoder("utf-8", { fatal: true });
    TEXT = [160, 31, 217, 219, 1];
    ARRAY = [144, 15, 220, 221, 2];
    MAP = [128, 15, 222, 223, 2];
    Reader = class {
      constructor(bytes) {
        this.bytes = bytes;
        this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      }
      bytes;
      at = 0;
      #view;
      get left() {
        return this.bytes.length - this.at;
      }
      /** An array's header: how many elements follow. */
      array(what) {
        const n = this.#length(ARRAY);
        if (n < 0) refuse("type", `${what} is no array`);
        return n;
      }
      /** An integer from 0 to most. */
      uint(what, most2 = MAX_INT) {
        const v = this.#integer(what);
        if (v < 0 || v > most2) refuse("range", `${what} is ${v}`);
        return v;
      }
      /** A field's value: an integer, or NaN for nil. */
      value(what) {
        if (this.#peek() === 192) return this.#skip(1, NaN);
        const v = this.#integer(what);
        if (v < -MAX_INT || v > MAX_INT) refuse("range", `${what} is beyond 53 bits`);
        return v;
      }
      /** A text. */
      text(what) {
        const n = this.#length(TEXT);
        if (n < 0) refuse("type", `${what} is no text`);
        const part = this.bytes.subarray(this.at, this.at += n);
        try {
          return utf8.decode(part);
        } catch {
          return refuse("syntax", `${what} is not UTF-8`);
        }
      }
      /** Any value that JSON has too. */
      any(depth = 0) {
        const c = this.#peek();
        if (c === 192) return this.#skip(1, null);
        if (c === 194 || c === 195) return this.#skip(1, c === 195);
        if (c === 202 || c === 203) return this.#float(c === 202 ? 4 : 8);
        if (isHead(c, TEXT)) return this.text("a text");
        if (isHead(c, ARRAY)) {
          const out2 = [];
          for (let n = this.#deep(ARRAY, depth); n > 0; n--) out2.push(this.any(depth + 1));
          return out2;
        }
        if (!isHead(c, MAP)) return this.value("a value");
        const out = {};
        for (let n = this.#deep(MAP, depth); n > 0; n--) {
          const key = this.text("a key");
          if (key === "__proto__") refuse("type", "a key is __proto__");
          out[key] = this.any(depth + 1);
        }
        return out;
      }
      /** The end must come here. */
      end() {
        if (this.left > 0) refuse("trailing", `${this.left} bytes after the end`);
      }
      /** The type byte that comes next. */
      #peek() {
        return this.bytes[this.at] ?? cut();
      }
      /** The length of what begins here; -1 when it is another type. */
      #length(head) {
        const c = this.#peek();
        if (!isHead(c, head)) return -1;
        const [, mask, first, , width] = head;
        const n = c < first ? this.#skip(1, c & mask) : this.#size(width << c - first);
        if ((head === MAP ? 2 * n : n) > this.left) cut();
        return n;
      }
      #deep(head, depth) {
        if (depth === DEPTH_MOST) refuse("type", "nested too deeply");
        return this.#length(head);
      }
      /** An integer of any width; beyond 53 bits it is only known to be so. */
      #integer(what) {
        const c = this.#peek();
        if (c < 128) return this.#skip(1, c);
        if (c >= 224) return this.#skip(1, c - 256);
        if (c < 204 || c > 211) refuse("type", `${what} is no integer`);
        const width = 1 << (c & 3), at = this.at + 1;
        if (width >= this.left) return cut();
        this.at = at + width;
        switch (c) {
          case 204:
            return this.#view.getUint8(at);
          case 205:
            return this.#view.getUint16(at);
          case 206:
            return this.#view.getUint32(at);
          case 207:
            return this.#view.getUint32(at) * 2 ** 32 + this.#view.getUint32(at + 4);
          case 208:
            return this.#view.getInt8(at);
          case 209:
            return this.#view.getInt16(at);
          case 210:
            return this.#view.getInt32(at);
          default:
            return this.#view.getInt32(at) * 2 ** 32 + this.#view.getUint32(at + 4);
        }
      }
      #float(width) {
        if (width >= this.left) return cut();
        const v = width === 4 ? this.#view.getFloat32(this.at + 1) : this.#view.getFloat64(this.at + 1);
        if (!Number.isFinite(v)) refuse("range", `a number is ${v}`);
        return this.#skip(1 + width, v);
      }
      /** A length of so many bytes behind the type byte. */
      #size(width) {
        if (width >= this.left) return cut();
        let n = 0;
        for (let i = 1; i <= width; i++) n = n * 256 + this.bytes[this.at + i];
        return this.#skip(1 + width, n);
      }
      #skip(n, result) {
        this.at += n;
        return result;
      }
    };
    isHead = (c, [bits2, mask, first, last]) => (c & ~mask) === bits2 || c >= first && c <= last;
    cut = () => refuse("truncated", "the bytes end too early");
  }
});

// src/quote.ts
function fieldsOf(mask) {
  let list2 = names.get(mask);
  if (list2) return list2;
  list2 = Object.freeze(FIELDS.filter((_, f) => mask >>> f & 1));
  if (names.size < NAMES_MOST) names.set(mask, list2);
  return list2;
}
var FIELDS, NUM_FIELDS, INDEX, STATUSES, P, S, V, SCALE_OF, scaleOf, isScale, names, NAMES_MOST, known, Quote;
var init_quote = __esm({
  "src/quote.ts"() {
    "use strict";
    init_decimal();
    init_flags();
    FIELDS = [
      "bid",
      "bid_size",
      "ask",
      "ask_size",
      "last",
      "last_size",
      "volume",
      "turnover",
      "open",
      "high",
      "low",
      "vwap",
      "trades",
      "status",
      "event_time",
      "recv_time",
      "price_scale",
      "size_scale",
      "volume_scale"
    ];
    NUM_FIELDS = FIELDS.length;
    INDEX = Object.fromEntries(FIELDS.map((name, i) => [name, i]));
    STATUSES = ["live", "stale", "down", "halted", "closed"];
    P = INDEX.price_scale;
    S = INDEX.size_scale;
    V = INDEX.volume_scale;
    SCALE_OF = [P, S, P, S, P, S, V, V, P, P, P, P];
    scaleOf = (f) => SCALE_OF[f] ?? -1;
    isScale = (f) => f >= P && f <= V;
    names = /* @__PURE__ */ new Map();
    NAMES_MOST = 4096;
    known = (v) => v === v ? v : null;
    Quote = class {
      constructor(symbol) {
        this.symbol = symbol;
      }
      symbol;
      /** By field number: mantissas, counts, times; NaN is not known. Doubles hold 53 bits exactly. */
      values = new Float64Array(NUM_FIELDS).fill(NaN);
      seq = 0;
      history = 0;
      /** Flags of the last update. */
      flags = 0;
      conflated = 0;
      get image() {
        return (this.flags & IMAGE) !== 0;
      }
      get gap() {
        return (this.flags & GAP) !== 0;
      }
      get reason() {
        return reasonOf(this.flags);
      }
      get status() {
        return this.text("status");
      }
      mantissa(field) {
        return known(this.values[INDEX[field]]);
      }
      scale(field) {
        const s = scaleOf(INDEX[field]);
        return s < 0 ? 0 : known(this.values[s]);
      }
      text(field) {
        const v = this.mantissa(field), scale = this.scale(field);
        if (v === null || scale === null) return null;
        return field === "status" ? STATUSES[v] ?? String(v) : decimalText(v, scale);
      }
      number(field) {
        const v = this.mantissa(field), scale = this.scale(field);
        return v === null || scale === null ? null : v / 10 ** scale;
      }
      toJSON() {
        const out = { seq: this.seq };
        FIELDS.forEach((field, f) => {
          const text2 = this.text(field);
          if (text2 !== null) out[field] = scaleOf(f) >= 0 || field === "status" ? text2 : this.values[f];
        });
        return out;
      }
    };
  }
});

// src/update.ts
function parseUpdate(r) {
  const n = r.array("an update");
  return parseUpdateTail(r, n && r.uint("id", 2 ** 32 - 1), n - 1);
}
function checkSymbol(key) {
  if (!SYMBOL.test(key)) refuse("range", "a symbol is venue:NAME");
}
function parseUpdateTail(r, key, n) {
  if (n < 3) refuse("count", "an update has four elements");
  const seq = r.uint("seq"), flags = r.uint("flags", 255), mask = r.uint("mask", 2 ** 32 - 1);
  const image = flags & IMAGE;
  if (n !== 3 + image + bits(mask)) refuse("count", "not the values that the mask says");
  const history = image ? r.uint("history") : 0;
  const values = [];
  for (let f = 0; mask >>> f !== 0 && f < 32; f++) {
    if (!(mask >>> f & 1)) continue;
    const v = r.value(FIELDS[f] ?? "a value");
    if (f < NUM_FIELDS) values.push(checked(f, v));
  }
  return { key, seq, flags, history, mask: mask & KNOWN, values };
}
function checked(f, v) {
  if (isScale(f) ? v < 0 || v > MAX_SCALE : f === INDEX.status && v < 0) refuse("range", `${FIELDS[f]} is ${v}`);
  return v;
}
function bits(mask) {
  let n = 0;
  for (; mask !== 0; mask &= mask - 1) n++;
  return n;
}
var SYMBOL, KNOWN;
var init_update = __esm({
  "src/update.ts"() {
    "use strict";
    init_decimal();
    init_error();
    init_flags();
    init_quote();
    SYMBOL = /^(?=.{3,64}$)[!-)+-9;-~]+:[!-)+-~]+$/;
    KNOWN = 2 ** NUM_FIELDS - 1;
  }
});

// src/message.ts
function parseMessage(bytes) {
  const r = new Reader(bytes);
  const n = r.array("a message");
  if (n < 2) refuse("count", "a message has two elements");
  const type = TYPES[r.uint("type", 255)];
  if (type === void 0) return { type: "unknown" };
  if (type === "data") {
    const sentAt = r.uint("sent_at");
    const updates = [];
    for (let i = 2; i < n; i++) updates.push(parseUpdate(r));
    r.end();
    return { type, sentAt, updates };
  }
  const body = r.any();
  if (n !== 2) refuse("count", `${type} has one map`);
  r.end();
  return control(type, body);
}
function control(type, body) {
  return { ...read(SHAPES[type], body, type), type };
}
function read(shape, x, what) {
  const o = map(x, what), out = {};
  for (const key in shape) {
    const value = shape[key](o[key], key, o);
    if (value !== void 0) out[key] = value;
  }
  return out;
}
function maybe(one) {
  return (x, key) => x == null ? void 0 : one(x, key);
}
function protocol(x, key) {
  if (natural(x, key) !== PROTOCOL) refuse("version", `${key} ${x}`);
  return PROTOCOL;
}
function fields(x, key) {
  const names2 = texts(x, key);
  if (names2.some((name, f) => f < NUM_FIELDS && name !== FIELDS[f])) refuse("version", "fields of another order");
  return names2;
}
function map(x, what) {
  if (typeof x !== "object" || x === null || Array.isArray(x)) refuse("type", `${what} is no map`);
  return x;
}
function list(x, what, one) {
  if (!Array.isArray(x)) refuse("type", `${what} is no array`);
  return x.map((v) => one(v, what));
}
function text(x, what) {
  if (typeof x !== "string") refuse("type", `${what} is no text`);
  return x;
}
function texts(x, what) {
  return list(x, what, text);
}
function number(x, what) {
  if (!Number.isFinite(x)) refuse("type", `${what} is no number`);
  return x;
}
function natural(x, key) {
  return integer(x ?? 0, key, 0, MAX_INT);
}
function symbolHash(symbol) {
  let h = 2166136261;
  for (let i = 0; i < symbol.length; i++) h = Math.imul(h ^ symbol.charCodeAt(i), 16777619);
  return h >>> 0;
}
var PROTOCOL, TYPES, LIMITS, HELLO, ERROR, RESULT, REPLY, SHAPES;
var init_message = __esm({
  "src/message.ts"() {
    "use strict";
    init_decimal();
    init_error();
    init_msgpack();
    init_quote();
    init_update();
    PROTOCOL = 1;
    TYPES = ["data", "hello", "reply", "heartbeat", "lag", "drain", "error"];
    LIMITS = { request_bytes: natural, request_symbols: natural, subs: natural, requests_per_s: natural };
    HELLO = {
      protocol,
      node: text,
      time: natural,
      fields,
      heartbeat: natural,
      periods: (x, key) => list(x ?? [], key, natural),
      limits: (x, key) => read(LIMITS, x ?? {}, key),
      token_ttl: (x, key) => x == null ? null : natural(x, key)
    };
    ERROR = { code: natural, text, retry: (x) => x === true, id: maybe(natural) };
    RESULT = {
      symbol: text,
      id: maybe((x, key) => integer(x, key, 0, 2 ** 32 - 1)),
      matched: maybe(natural),
      rate: maybe(number),
      fields: maybe(texts),
      error: (x, key, o) => x == null ? void 0 : new RequestError(read(ERROR, x, key), String(o.symbol))
    };
    REPLY = {
      id: natural,
      op: text,
      rate: maybe(number),
      fields: maybe(texts),
      time: maybe(natural),
      token_ttl: maybe(natural),
      results: maybe((x, key) => list(x, key, (one) => read(RESULT, one, "a result")))
    };
    SHAPES = {
      hello: HELLO,
      reply: REPLY,
      error: ERROR,
      heartbeat: { time: natural, subs: natural, hash: (x, key) => integer(x, key, 0, 2 ** 32 - 1) },
      lag: { blocked_ms: natural },
      drain: { within_ms: natural }
    };
  }
});

// src/json.ts
var json_exports = {};
__export(json_exports, {
  parseDecimal: () => parseDecimal,
  parseMessageJSON: () => parseMessageJSON,
  parseUpdateJSON: () => parseUpdateJSON
});
function parseMessageJSON(source) {
  let m;
  try {
    m = JSON.parse(source);
  } catch (e) {
    refuse("syntax", String(e));
  }
  const o = map(m, "a message");
  const type = text(o.type, "type");
  if (!TYPES.includes(type)) return { type: "unknown" };
  if (type !== "data") return control(type, o);
  const sentAt = integer(o.sent_at, "sent_at", 0, MAX_INT);
  return { type, sentAt, updates: list(o.updates, "updates", parseUpdateJSON) };
}
function parseUpdateJSON(x) {
  const o = map(x, "an update"), key = text(o.symbol, "symbol");
  checkSymbol(key);
  const seq = integer(o.seq, "seq", 0, MAX_INT);
  const flags = flag(o, "image", IMAGE) | flag(o, "gap", GAP) | conflated(o);
  const history = o.history === void 0 ? 0 : integer(o.history, "history", 0, MAX_INT);
  const byField = new Array(NUM_FIELDS).fill(void 0);
  let mask = 0;
  for (const name in o) {
    if (!Object.hasOwn(INDEX, name)) continue;
    mask |= 1 << INDEX[name];
    takeField(byField, INDEX[name], o[name]);
  }
  const values = [];
  let implied = 0;
  for (let f = 0; f < NUM_FIELDS; f++) {
    const v = byField[f];
    if (v === void 0) continue;
    if (!(mask >>> f & 1)) implied |= 1 << f;
    values.push(v);
  }
  const u = { key, seq, flags, history, mask: mask | implied, values };
  if (implied) u.agree = (q) => agree(q, u, implied);
  return u;
}
function agree(q, u, implied) {
  for (let f = 0, i = 0; f < NUM_FIELDS; f++) {
    if (!(u.mask >>> f & 1)) continue;
    const v = u.values[i++], old = q.values[f];
    if (implied >>> f & 1 && old === old && old !== v) {
      refuse("order", `${q.symbol}: ${FIELDS[f]} is ${v}, not ${old}`);
    }
  }
}
function takeField(values, f, v) {
  if (v === null) {
    put2(values, f, NaN);
  } else if (f === INDEX.status) {
    const status = STATUSES.indexOf(v);
    if (status < 0) refuse("type", "status is none");
    values[f] = status;
  } else if (scaleOf(f) < 0) {
    put2(values, f, checked(f, integer(v, FIELDS[f], -MAX_INT, MAX_INT)));
  } else {
    if (typeof v !== "string") refuse("type", `${FIELDS[f]} is no text`);
    const d = parseDecimal(v);
    values[f] = d.mantissa;
    put2(values, scaleOf(f), d.scale);
  }
}
function put2(values, f, v) {
  const had = values[f];
  if (had !== void 0 && had !== v) refuse("syntax", `${FIELDS[f]} is ${had} and ${v}`);
  values[f] = v;
}
function flag(o, name, bit) {
  const v = o[name];
  if (v !== void 0 && typeof v !== "boolean") refuse("type", `${name} is true or false`);
  return v ? bit : 0;
}
function conflated(o) {
  if (o.conflated === void 0) return 0;
  const reason = REASONS.indexOf(o.conflated);
  if (reason < 0) refuse("type", "conflated is rate, slow or catch-up");
  return CONFLATED | reason + 1 << 2;
}
function parseDecimal(text2) {
  const m = DECIMAL.exec(text2);
  if (!m) refuse("syntax", `no decimal: ${text2.slice(0, 40)}`);
  const part = m[2] ?? "";
  const mantissa = Number(m[1] + part);
  if (mantissa > MAX_INT || part.length > MAX_SCALE) refuse("range", `beyond 53 bits: ${text2.slice(0, 40)}`);
  return { mantissa: text2[0] === "-" && mantissa !== 0 ? -mantissa : mantissa, scale: part.length };
}
var DECIMAL;
var init_json = __esm({
  "src/json.ts"() {
    "use strict";
    init_decimal();
    init_error();
    init_flags();
    init_message();
    init_quote();
    init_update();
    DECIMAL = /^-?(\d+)(?:\.(\d+))?$/;
  }
});

// src/refusal.ts
var refusal_exports = {};
__export(refusal_exports, {
  askWhy: () => askWhy
});
async function askWhy(stream, token, known2) {
  const url = /^ws(s?:.*\/v1\/)stream$/.exec(stream.replace(/[?#].*/, ""));
  try {
    if (!url) return known2;
    const headers = token ? { Authorization: `Bearer ${token}` } : {};
    const answer = await fetch(`http${url[1]}symbols`, { headers, cache: "no-store", signal: AbortSignal.timeout(ASK_MS) });
    const { ok, status } = answer, body = await readSome(answer);
    if (known2.code !== 1006 && status !== known2.code) return known2;
    if (ok) return { ...known2, text: "the node answers, but opens no stream: it may have all the connections that it takes" };
    const { error, reason } = JSON.parse(body);
    if (typeof error !== "string" || status === 426) return known2;
    return {
      ...known2,
      code: status === 401 || status === 403 ? status : known2.code,
      text: error.slice(0, 300),
      reason: typeof reason === "string" ? reason : void 0,
      afterMs: 1e3 * Math.min(60, Math.max(0, Number(answer.headers.get("Retry-After")) || 0))
    };
  } catch {
    return known2;
  }
}
async function readSome({ body }) {
  const reader = body.getReader(), decoder = new TextDecoder();
  let text2 = "";
  while (text2.length < BODY_MOST) {
    const { done, value } = await reader.read();
    if (done) break;
    text2 += decoder.decode(value, { stream: true });
  }
  void reader.cancel();
  return text2;
}
var ASK_MS, BODY_MOST;
var init_refusal = __esm({
  "src/refusal.ts"() {
    "use strict";
    ASK_MS = 5e3;
    BODY_MOST = 4096;
  }
});

// src/board.ts
init_error();
init_flags();
init_message();
init_quote();
var Board = class {
  quotes = /* @__PURE__ */ new Map();
  #held = /* @__PURE__ */ new Map();
  #byId = /* @__PURE__ */ new Map();
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
  reset(most2) {
    this.#most = most2;
    if (this.#held.size > 2 * most2) {
      for (const [symbol, h] of this.#held) if (h.id < 0) this.forget(symbol);
    }
    for (const h of this.#held.values()) h.id = -1;
    this.#byId.clear();
    this.subs = this.hash = 0;
  }
  /** What is held may be wrong: it is shown until images come, but never resumed from. */
  distrust() {
    for (const h of this.#held.values()) h.quote.seq = h.quote.history = 0;
  }
  /** The node confirmed a symbol under a number; view names the fields it was asked for, if not as before. */
  confirm(symbol, id, view = this.#held.get(symbol)?.view ?? "") {
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
  suspend(symbol) {
    const h = this.#held.get(symbol);
    if (!h || h.id < 0) return;
    this.#byId.delete(h.id);
    h.id = -1;
    this.#count(symbol, -1);
  }
  /** A symbol is wanted no more. */
  forget(symbol) {
    this.suspend(symbol);
    this.#held.delete(symbol);
    this.quotes.delete(symbol);
  }
  /**
   * From where a symbol may be resumed; undefined when an image is due: nothing is
   * held, or of other fields, whose older changes a resumption would not bring.
   */
  position(symbol, view) {
    const h = this.#held.get(symbol);
    return h && h.quote.history > 0 && h.imaged === view ? [symbol, h.quote.history, h.quote.seq] : void 0;
  }
  /** Merges an update; undefined for a symbol that was given up a moment ago. */
  merge(u, sentAt) {
    const h = typeof u.key === "number" ? this.#byId.get(u.key) : this.#held.get(u.key);
    if (!h || h.id < 0) return void 0;
    const q = h.quote, image = (u.flags & IMAGE) !== 0;
    const renewed = image && u.history !== q.history;
    if (u.seq < q.seq && !renewed) refuse("order", `${q.symbol}: seq went back from ${q.seq} to ${u.seq}`);
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
  #count(symbol, by) {
    this.subs += by;
    if (this.subs > this.#most) refuse("order", `more than ${this.#most} symbols`);
    this.hash = (this.hash ^ symbolHash(symbol)) >>> 0;
  }
};
function put(values, u, image) {
  let changed = 0;
  for (let f = 0, i = 0; f < NUM_FIELDS; f++) {
    const old = values[f];
    const given = (u.mask >>> f & 1) !== 0;
    const v = given ? u.values[i++] : image ? NaN : old;
    if (v === old || v !== v && old !== old) continue;
    values[f] = v;
    changed |= 1 << f;
  }
  return changed;
}

// src/emitter.ts
var Emitter = class {
  #listeners = /* @__PURE__ */ new Map();
  /** Calls fn at every such event, until the function returned is called. */
  on(name, fn) {
    let set = this.#listeners.get(name);
    if (!set) this.#listeners.set(name, set = /* @__PURE__ */ new Set());
    set.add(fn);
    return () => void set.delete(fn);
  }
  /** Takes all listeners off, those included that an event under way has not come to yet. */
  hush() {
    for (const set of this.#listeners.values()) set.clear();
  }
  /** A listener that throws does so by itself: neither others nor the connection are held up. */
  emit(name, event) {
    for (const fn of this.#listeners.get(name) ?? []) {
      try {
        fn(event);
      } catch (e) {
        queueMicrotask(() => {
          throw e;
        });
      }
    }
  }
};

// src/client.ts
init_error();

// src/options.ts
init_error();
function checkOptions(options) {
  const { encoding, token } = options;
  if (!/^(msgpack|json)$/.test(encoding ?? "json")) refuse2(`encoding ${encoding}: msgpack or json`);
  if (typeof token === "string") checkToken(token);
  return { ...options, url: checkURL(options.url) };
}
function checkToken(token) {
  if (!/^[!-~]*$/.test(token)) refuse2("token: it has a blank, a newline or the like");
}
function checkURL(text2) {
  const advice = "a stream is at ws://HOST:PORT/v1/stream, or wss://";
  let url;
  try {
    url = new URL(text2);
  } catch {
    return refuse2(`the URL cannot be read: ${advice}`);
  }
  if (url.username || url.password) refuse2("URL: leave name and password out: a node asks for a token");
  if (url.searchParams.has("token")) refuse2("URL: leave the token out, others would log it: it goes apart, as { token }");
  if (/^http/.test(url.protocol)) refuse2(`URL ${text2}: take ${url.protocol.replace("http", "ws")}//, ${advice}`);
  if (!/^wss?:$/.test(url.protocol)) refuse2(`URL ${text2}: ${advice}`);
  if (url.pathname === "/") url.pathname = "/v1/stream";
  url.hash = "";
  return url.href;
}
function refuse2(text2) {
  throw new ConfigError(text2);
}

// src/session.ts
init_error();
init_message();

// src/request.ts
function encodeRequest(id, { op, ...rest }) {
  return JSON.stringify({ op, id, ...rest });
}
var bytesOf = (x) => JSON.stringify(x).length + 1;
function* parts(symbols, held, mostSymbols, mostBytes) {
  let part = { symbols: [], resume: [] }, bytes = 0;
  for (const symbol of symbols) {
    const positions = held(symbol);
    const least = bytesOf(symbol) + (positions.length === 1 ? bytesOf(positions[0]) : 0);
    if (part.symbols.length > 0 && (part.symbols.length >= mostSymbols || bytes + least > mostBytes)) {
      yield part;
      part = { symbols: [], resume: [] };
      bytes = 0;
    }
    part.symbols.push(symbol);
    bytes += bytesOf(symbol);
    for (const p of positions) if ((bytes += bytesOf(p)) <= mostBytes) part.resume.push(p);
  }
  if (part.symbols.length > 0) yield part;
}

// src/session.ts
var HELLO_MS = 1e4;
var STALE_HEARTBEATS = 2.5;
var AGAIN_MS = 1e3;
var BYE_MS = 200;
var MESSAGE_MOST = 4 << 20;
var HOUR_MS = 36e5;
var SOCKET_OPTIONS = { perMessageDeflate: false, maxPayload: MESSAGE_MOST };
var noText = () => refuse("type", "text is JSON");
function isFinal(code) {
  return /^(4(?!08|29)\d\d|100[23789]|40\d\d)$/.test(`${code}`);
}
var Session = class {
  /** token: that the node took last. */
  constructor(socket, token, handler, parseText = noText) {
    this.token = token;
    this.#socket = socket;
    this.#handler = handler;
    this.#parseText = parseText;
    socket.binaryType = "arraybuffer";
    socket.onmessage = (e) => this.#received(e.data);
    socket.onerror = (e) => this.#failed(e.message);
    socket.onclose = (e) => this.end({ code: e.code, text: e.reason });
    this.#watchOver();
  }
  token;
  #socket;
  #handler;
  #parseText;
  #open = /* @__PURE__ */ new Map();
  // in the order asked, which is that of the answers
  #later = /* @__PURE__ */ new Set();
  // of requests to be sent again
  #auth = 0;
  // id of a new token's request without an answer yet
  #behind = [];
  // wait for that, and are held to the new token
  #requests = 0;
  began = Date.now();
  #heard = this.began;
  #watch;
  #silenceMs = HELLO_MS;
  #over = false;
  /** Data or a reply came: the way is free. */
  talked = false;
  hello;
  /** Bytes of messages received. */
  bytes = 0;
  /** Whether a request has no answer yet, or waits to be sent again. */
  get busy() {
    return this.#open.size + this.#later.size + this.#behind.length > 0;
  }
  /**
   * Sends a request and returns its id; done hears of it once, before any later message.
   * A node may answer what comes behind a new token before that, under the old one: it is
   * sent when the token is answered.
   */
  request(r, done) {
    this.#send(++this.#requests, r, done);
    return this.#requests;
  }
  #send(id, r, done) {
    if (this.#auth) return void this.#behind.push([id, r, done]);
    if (r.op === "auth") this.#auth = id;
    this.#open.set(id, done);
    this.#socket.send(encodeRequest(id, r));
  }
  /**
   * A request as a promise; a patient one is sent again while the node says to retry. It
   * is made anew each time: what it asks for may have changed meanwhile. What took does
   * with the reply, and refused when there will be none though the connection lives, is
   * done before any later message, and before the connection ends.
   */
  call(make, patient, took, refused) {
    return new Promise((resolve, reject) => {
      let asked;
      const done = (reply, error) => {
        if (reply) {
          resolve(reply);
          took?.(reply, asked);
        } else if (patient && error.retry && error.code !== 0) {
          this.#later.add(done);
          setTimeout(() => this.#later.delete(done) && this.request(asked = make(), done), AGAIN_MS * (0.8 + 0.4 * Math.random()));
        } else {
          if (error.code !== 0) refused?.(asked);
          reject(error);
        }
      };
      this.request(asked = make(), done);
    });
  }
  /** Ends the session from our side; the handler hears no more of it. */
  close(text2) {
    if (this.#over) return;
    this.#over = true;
    clearTimeout(this.#watch);
    const s = this.#socket;
    s.onmessage = s.onclose = null;
    s.onerror = () => {
    };
    s.close(1e3, text2.slice(0, 40).replace(/[^ -~]/g, "?"));
    if (s.terminate) setTimeout(() => s.terminate(), BYE_MS).unref?.();
    const waiting = [...this.#open.values(), ...this.#later, ...this.#behind.map(([, , done]) => done)];
    this.#behind = [];
    this.#later.clear();
    for (const done of waiting) done(void 0, new NotConnected("the connection ended", true));
  }
  /** Ends the session because what came, or is held, is wrong. */
  giveUp(why) {
    this.end({ text: why.text, distrust: why });
  }
  #received(data) {
    if (this.#over) return;
    this.#heard = Date.now();
    const text2 = typeof data === "string";
    const size = text2 ? data.length : data.byteLength;
    this.bytes += size;
    try {
      if (size > MESSAGE_MOST) refuse("range", `a message of ${size} bytes`);
      this.#take(text2 ? this.#parseText(data) : parseMessage(new Uint8Array(data)));
    } catch (e) {
      if (!(e instanceof ProtocolError)) throw e;
      if (e.kind === "version") this.end({ code: 1002, text: e.text });
      else this.giveUp(e);
    }
  }
  #take(m) {
    switch (m.type) {
      case "data":
      case "reply":
        this.talked = true;
        if (m.type === "reply" && this.#answered(m.id, m, void 0)) return;
        break;
      case "hello":
        if (this.hello) return;
        if (Object.values(m.limits).some((n) => !n || n > 1e6)) refuse("range", "a limit of hello");
        this.hello = m;
        if (m.heartbeat > 0 && m.heartbeat <= HOUR_MS) this.#silenceMs = STALE_HEARTBEATS * m.heartbeat;
        this.#watchOver();
        break;
      case "error":
        this.#answered(m.id != null && this.#open.has(m.id) ? m.id : [...this.#open.keys()][0], void 0, new RequestError(m));
    }
    this.#handler.message(m);
  }
  #answered(id = -1, reply, error) {
    const done = this.#open.get(id);
    if (!done) return false;
    this.#open.delete(id);
    if (id !== this.#auth) {
      done(reply, error);
      return true;
    }
    this.#auth = 0;
    done(reply, error);
    const behind = this.#behind;
    this.#behind = [];
    for (const request of behind) this.#send(...request);
    return true;
  }
  /**
   * Looks at the silence every so often. A look that comes late says that we slept (a
   * hidden tab, a closed lid) and not the node: what waits in our own queue is heard
   * first, once.
   */
  #watchOver(slept = false) {
    clearTimeout(this.#watch);
    const from = Date.now(), after = Math.min(this.#silenceMs, slept ? 1e3 : HELLO_MS) / 4;
    this.#watch = setTimeout(() => {
      const now = Date.now(), silence = now - this.#heard;
      if (silence <= this.#silenceMs) this.#watchOver();
      else if (!slept && now - from > after + 1e3) this.#watchOver(true);
      else this.end({ text: `nothing heard for ${(silence / 1e3).toFixed(1)} s`, silent: true });
    }, after);
  }
  /** Only outside browsers: why there was no connection, or what the node sent that RFC 6455 forbids; its close may never come. */
  #failed(text2 = "") {
    const [, status] = /server response: (\d{3})/.exec(text2) ?? [];
    if (text2) this.end({ code: +(status ?? 1006), text: status ? "" : text2, distrust: this.hello && new ProtocolError("syntax", text2) });
  }
  /** Ends the session, and tells why. */
  end(why) {
    if (this.#over) return;
    this.close(why.text);
    this.#handler.lost({ code: 1006, silent: false, ...why });
  }
};

// src/socket.ts
init_error();
async function findWebSocket() {
  if (globalThis.WebSocket) return globalThis.WebSocket;
  const peer = "ws";
  try {
    return (await import(
      /* @vite-ignore */
      /* webpackIgnore: true */
      peer
    )).default;
  } catch {
    throw new ConfigError("no WebSocket here: install the ws package, or pass { WebSocket }");
  }
}

// src/again.ts
var FIRST_MS = 1e3;
var MOST_MS = 5e3;
var GROWTH = 1.6;
var Again = class {
  /** By name: whether it is due, or was asked for and may not have been answered yet. */
  #names = /* @__PURE__ */ new Map();
  #ask;
  #delayMs = FIRST_MS;
  #timer;
  constructor(ask) {
    this.#ask = ask;
  }
  /** Asks for the symbol later; true when it was not among them so far. */
  add(symbol) {
    const fresh = !this.#names.has(symbol);
    if (fresh) this.#delayMs = FIRST_MS;
    this.#names.set(symbol, true);
    this.#timer ??= setTimeout(() => {
      this.#timer = void 0;
      const symbols = [...this.#names.keys()].filter((name) => this.#names.get(name));
      for (const name of symbols) this.#names.set(name, false);
      this.#ask(symbols);
    }, this.#delayMs * (0.8 + 0.4 * Math.random()));
    if (!fresh) this.#delayMs = Math.min(this.#delayMs * GROWTH, MOST_MS);
    return fresh;
  }
  /** The symbol appeared, or is wanted no more. */
  done(symbol) {
    this.#names.delete(symbol);
  }
  /** A new connection asks for everything anyway. */
  clear() {
    clearTimeout(this.#timer);
    this.#timer = void 0;
    this.#names.clear();
    this.#delayMs = FIRST_MS;
  }
};

// src/subscriptions.ts
init_error();

// src/terms.ts
var isPattern = (name) => name.endsWith("*");
var matches = (pattern, symbol) => symbol.startsWith(pattern.slice(0, -1));
var viewOf = (terms) => terms.fields?.length ? [...new Set(terms.fields)].sort().join() : "";
var keyOf = (terms) => `${terms.rate ?? 0} ${viewOf(terms)}`;
var Wanted = class {
  #wants = /* @__PURE__ */ new Map();
  #patterns = /* @__PURE__ */ new Set();
  add(name, terms) {
    const taken = this.#wants.get(name)?.taken;
    this.#wants.delete(name);
    this.#wants.set(name, { terms, taken });
    if (isPattern(name)) this.#patterns.add(name);
  }
  remove(name) {
    this.#wants.delete(name);
    this.#patterns.delete(name);
  }
  has(name) {
    return this.#wants.has(name);
  }
  terms(name) {
    return this.#wants.get(name)?.terms;
  }
  /** Whether a name takes the symbol. */
  takes(symbol) {
    if (this.has(symbol)) return true;
    for (const p of this.#patterns) if (matches(p, symbol)) return true;
    return false;
  }
  /** The node took a name on these terms, at a rate. */
  took(name, terms, rate = 0) {
    const w = this.#wants.get(name);
    if (!w) return;
    w.taken = terms;
    w.slowed &&= rate > 0 && (!terms.rate || rate < terms.rate);
  }
  /** A token does not cover a name, or no more: it is asked for again under another. */
  bar(name, token) {
    const w = this.#wants.get(name);
    if (w) w.barred = token;
  }
  /** A new token has lowered a symbol's rate. */
  slowed(symbol) {
    for (const [name, w] of this.#wants) if (name === symbol || isPattern(name) && matches(name, symbol)) w.slowed = true;
  }
  isBarred(name, token) {
    return this.#wants.get(name)?.barred === token;
  }
  /** What another token may cover, or let come faster. */
  stinted() {
    return [...this.#wants].filter(([, w]) => w.barred !== void 0 || w.slowed).map(([name]) => name);
  }
  /** The node refused the terms: back to those it took, or wanted no more. */
  refused(name, terms) {
    const w = this.#wants.get(name);
    if (!w || keyOf(w.terms) !== keyOf(terms)) return;
    if (w.taken) w.terms = w.taken;
    else this.remove(name);
  }
  /**
   * What to ask for, in order: names of the same terms together, but none moves past a
   * pattern, which would give it other terms.
   */
  groups(asked) {
    const groups = [];
    const open = /* @__PURE__ */ new Map();
    for (const [name, w] of this.#wants) {
      if (!asked(name)) continue;
      const { terms } = w;
      w.barred = void 0;
      const key = keyOf(terms);
      if (isPattern(name) && !(open.size === 1 && open.has(key))) open.clear();
      let group = open.get(key);
      if (!group) {
        open.set(key, group = { terms, names: [] });
        groups.push(group);
      }
      group.names.push(name);
    }
    return groups;
  }
};

// src/subscriptions.ts
var HEAD_BYTES = 256;
var BAD_SYMBOL = { code: Code.BAD_SYMBOL, text: "bad_symbol: not visible ASCII of at most 64 bytes", retry: false };
var NOT_SUBSCRIBED = { code: Code.NOT_SUBSCRIBED, text: "not_subscribed: subscribe first", retry: false };
var NAME = /^[!-~]{1,64}$/;
var Subscriptions = class {
  #board;
  #report;
  #wanted = new Wanted();
  #again = new Again((names2) => this.#ask(names2));
  #waiters = /* @__PURE__ */ new Map();
  /** Fields of patterns, by the id of the request that subscribed them: later replies have it too. */
  #views = /* @__PURE__ */ new Map();
  /** To be asked for, in one request if it can be: at the end of this turn, or when the node takes another. */
  #fresh = /* @__PURE__ */ new Set();
  #nextAt = 0;
  #session;
  constructor(board, report) {
    this.#board = board;
    this.#report = report;
  }
  /** A connection begins: everything wanted is asked for, with the seqs held. */
  greeted(session) {
    this.lost();
    this.#session = session;
    this.#board.reset(session.hello.limits.subs);
    this.#fresh.clear();
    this.#ask();
  }
  lost() {
    this.#session = void 0;
    this.#again.clear();
    this.#views.clear();
  }
  /** No connection is to come any more. */
  close(why) {
    this.lost();
    for (const name of this.#waiters.keys()) this.#waiting(name).forEach((w) => w.reject(why));
  }
  subscribe(names2, terms) {
    return this.#want(names2, () => terms);
  }
  /** Subscribes again, to what is held by name, with these terms in place of those it has. */
  async set(names2, { rate, fields: fields2 }) {
    const terms = (name) => {
      const had = this.#wanted.terms(name);
      return { rate: rate ?? had?.rate, fields: fields2 ?? had?.fields };
    };
    const others = names2.filter((name) => !this.#wanted.has(name));
    const results = await this.#want(names2.filter((name) => this.#wanted.has(name)), terms);
    return [...results, ...others.map((symbol) => ({ symbol, error: new RequestError(NOT_SUBSCRIBED, symbol) }))];
  }
  async unsubscribe(names2) {
    this.flush();
    for (const name of names2) {
      this.#wanted.remove(name);
      this.#again.done(name);
      this.#waiting(name).forEach((w) => w.resolve([]));
    }
    for (const symbol of this.#board.quotes.keys()) if (!this.#wanted.takes(symbol)) this.#board.forget(symbol);
    const s = this.#session;
    if (!s) return [];
    const calls = [...parts(names2.filter((n) => NAME.test(n)), () => [], ...most(s.hello, {}))].map(({ symbols }) => s.call(() => ({ op: "unsubscribe", symbols: symbols.filter((n) => !this.#wanted.has(n)) }), true).then((reply) => reply.results ?? [], (e) => {
      if (e.code !== 0) throw e;
      return [];
    }));
    return (await Promise.all(calls)).flat();
  }
  /** Asks for what was gathered. */
  flush() {
    const names2 = [...this.#fresh];
    this.#fresh.clear();
    this.#ask(names2);
  }
  /**
   * A new token was taken: what it ends keeps its quote, and may be covered again. What the
   * one before did not cover, or slowed down, is asked for.
   */
  authorized(reply, token) {
    const again = this.#wanted.stinted();
    for (const { symbol, id, error } of reply.results ?? []) {
      if (!this.#wanted.takes(symbol)) continue;
      if (error) {
        this.#board.suspend(symbol);
        this.#wanted.bar(symbol, token);
        this.#report(error);
      } else if (id !== void 0) {
        this.#board.confirm(symbol, id);
        this.#wanted.slowed(symbol);
      }
    }
    this.#ask(again.filter((name) => !this.#wanted.isBarred(name, token)));
  }
  /** A reply that nobody waits for: symbols that appeared, of a pattern. */
  appeared(reply) {
    const view = this.#views.get(reply.id);
    if (view !== void 0) this.#took(reply.results ?? [], view);
  }
  /** Wants these from now on; results come by name, each once. */
  async #want(names2, terms) {
    const results = [...new Set(names2)].map((name) => new Promise((resolve, reject) => {
      if (!NAME.test(name)) {
        const error = new RequestError(BAD_SYMBOL, name);
        this.#report(error);
        return resolve([{ symbol: name, error }]);
      }
      this.#waiters.set(name, [...this.#waiting(name), { resolve, reject }]);
      const wait = this.#nextAt - performance.now(), ask = () => this.flush();
      if (this.#fresh.size === 0) wait > 0 ? setTimeout(ask, wait) : queueMicrotask(ask);
      this.#wanted.add(name, terms(name));
      this.#fresh.add(name);
    }));
    return [...new Set((await Promise.all(results)).flat())];
  }
  /** Those who wait for a name, taken from the list. */
  #waiting(name) {
    const all = this.#waiters.get(name) ?? [];
    this.#waiters.delete(name);
    return all;
  }
  /** Asks for these names, or for all that is wanted. */
  #ask(names2) {
    const s = this.#session;
    if (!s || names2?.length === 0) return;
    this.#nextAt = performance.now() + 1e3 / s.hello.limits.requests_per_s;
    const these = names2 && new Set(names2);
    const due = (name) => these ? these.has(name) : !this.#wanted.isBarred(name, s.token);
    for (const { terms, names: group } of this.#wanted.groups(due)) {
      const view = viewOf(terms);
      for (const part of parts(group, (name) => this.#positions(name, view), ...most(s.hello, terms))) {
        const { symbols, resume } = part, { rate, fields: fields2 } = terms;
        const id = s.request({ op: "subscribe", symbols, fields: some(fields2), rate, resume: some(resume) }, (reply, error) => {
          if (reply) {
            for (const name of symbols) this.#wanted.took(name, terms, reply.rate);
            this.#took(reply.results ?? [], view);
          } else if (error.code !== 0) this.#refused(symbols, terms, error);
        });
        if (symbols.some(isPattern)) this.#views.set(id, view);
      }
    }
  }
  /** What is held of a symbol, or of all that only a pattern takes. */
  #positions(name, view) {
    const symbols = isPattern(name) ? [...this.#board.quotes.keys()].filter((s) => matches(name, s) && !this.#wanted.has(s)) : [name];
    return symbols.map((s) => this.#board.position(s, view)).filter((p) => p !== void 0);
  }
  /**
   * Takes the numbers of symbols that are subscribed now, before any of their updates is
   * read, and tells who waits. What may appear is asked for again, and reported but once.
   */
  #took(results, view) {
    for (const r of results) {
      const { symbol, id, error } = r;
      if (!error) this.#again.done(symbol);
      else if (!error.retry || !this.#wanted.has(symbol) || this.#again.add(symbol)) this.#report(error);
      if (error?.code === Code.BAD_SYMBOL) this.#wanted.remove(symbol);
      if (error?.code === Code.NOT_ALLOWED) this.#wanted.bar(symbol, this.#session?.token ?? "");
      if (id !== void 0 && this.#wanted.takes(symbol)) this.#board.confirm(symbol, id, view);
      const waiting = this.#waiting(symbol);
      if (waiting.length === 0) continue;
      const all = isPattern(symbol) ? [r, ...results.filter((x) => x !== r && matches(symbol, x.symbol))] : [r];
      for (const w of waiting) w.resolve(all);
    }
  }
  /** A subscribe failed as a whole. */
  #refused(names2, terms, error) {
    for (const name of names2) {
      if (error.retry) {
        if (this.#wanted.has(name)) this.#again.add(name);
        continue;
      }
      this.#wanted.refused(name, terms);
      this.#waiting(name).forEach((w) => w.reject(error));
    }
  }
};
var some = (list2 = []) => list2.length ? list2 : void 0;
function most({ fields: all, limits }, terms) {
  const fields2 = (terms.fields ?? all).reduce((n, f) => n + f.length + 3, 0);
  return [limits.request_symbols, Math.max(limits.request_bytes - HEAD_BYTES - fields2, HEAD_BYTES)];
}

// src/token.ts
init_error();
var LEAST_MS = 5e3;
var PAUSE_MS = 1e3;
var Pass = class {
  #source;
  #getting;
  #token;
  #due = Infinity;
  #spent = false;
  // a node said that it has expired
  constructor(source = "") {
    this.#source = typeof source === "function" ? source : void 0;
    this.#token = typeof source === "string" ? source : "";
  }
  get token() {
    return this.#token;
  }
  /** Another is used from now on. */
  set token(token) {
    this.#token = token;
    this.#due = Infinity;
    this.#spent = false;
  }
  /** The one that came since was refused: this one is used again, and another is due in a while. */
  back(token, afterMs) {
    this.token = token;
    this.#due = Date.now() + afterMs;
  }
  /** ms until another is due; Infinity: never. */
  get dueMs() {
    return this.#source ? this.#due - Date.now() : Infinity;
  }
  /** Notes for how long the token is good; it is never renewed later than was noted first. */
  lasts(seconds) {
    if (seconds != null) this.#due = Math.min(this.#due, Date.now() + renewAfter(1e3 * seconds));
  }
  /** Whether another may help against what refused this one. */
  survives(code, reason) {
    const expired = code === CloseCode.EXPIRED || code === 401 && reason === "expired";
    if (!expired || !this.#source) return false;
    return this.#spent = true;
  }
  /** The token to connect with; failed hears of one that could not be had, but need not be. */
  async present(failed) {
    const had = this.#token;
    if (!this.#source || had && !this.#spent && this.dueMs > 0) return had;
    try {
      const token = await this.next();
      if (this.#token === had) this.token = token;
    } catch (e) {
      if (!this.#token || this.#spent) throw e;
      failed(e);
    }
    return this.#token;
  }
  /** Gets another. */
  next() {
    this.#getting ??= this.#get().finally(() => {
      this.#getting = void 0;
    });
    return this.#getting;
  }
  async #get() {
    let token, why = "there is none";
    try {
      token = await this.#source();
    } catch (e) {
      why = e instanceof Error ? e.message : e;
    }
    if (typeof token !== "string" || token === "") throw new Error(`no new token: ${why}`);
    checkToken(token);
    return token;
  }
};
function renewAfter(leftMs) {
  const wait = Math.max(PAUSE_MS, leftMs / 3, Math.min(leftMs * 2 / 3, leftMs - LEAST_MS));
  return wait * (1 - 0.1 * Math.random());
}

// src/client.ts
var BACKOFF_FIRST_MS = 250;
var BACKOFF_MOST_MS = 1e4;
var RENEW_AGAIN_MS = 1e3;
var RESTARTS = 1012;
var TIMER_MOST_MS = 2 ** 31 - 1;
var Tickwire = class extends Emitter {
  #options;
  #board = new Board();
  #subs = new Subscriptions(this.#board, (error) => this.emit("error", error));
  #session;
  #state = "connecting";
  /** Until the next dial, or until we leave a node that was to have sent us away. */
  #timer;
  #attempts = 0;
  /** When that is; 0: it does not drain. */
  #leaveAt = 0;
  #paused = false;
  #pastBytes = 0;
  #pass;
  /** Until the token is renewed. */
  #renewal;
  #renewAgainMs = RENEW_AGAIN_MS;
  #greetedOnce = false;
  /** Why it is closed. */
  #end;
  constructor(options) {
    super();
    this.#options = checkOptions(options);
    this.#pass = new Pass(options.token);
    queueMicrotask(() => void this.#dial());
  }
  /** Merged quotes of all that is subscribed; without a connection they stay, and grow old. */
  get quotes() {
    return this.#board.quotes;
  }
  get state() {
    return this.#state;
  }
  /** How many updates were not sent, of all symbols so far; behind a gap nobody knows. */
  get conflated() {
    return this.#board.conflated;
  }
  /** How many updates said that the venue's stream, or the tape, was interrupted before them. */
  get gaps() {
    return this.#board.gaps;
  }
  /** Whether silence is asked for. */
  get paused() {
    return this.#paused;
  }
  /** Bytes of messages received so far. */
  get bytes() {
    return this.#pastBytes + (this.#session?.bytes ?? 0);
  }
  /**
   * Wants symbols, or patterns such as sim:*, now and after every reconnect. A name that
   * is wanted already takes the new terms, with all its symbols. The promise gives what
   * became of each once a node has answered, and rejects when the terms are refused. It
   * need not be waited for: refusals are error events too.
   */
  subscribe(symbols, terms = {}) {
    const { rate, fields: fields2 } = this.#options;
    return this.#want(() => this.#subs.subscribe(listOf(symbols), { rate: terms.rate ?? rate, fields: terms.fields ?? fields2 }));
  }
  /** What changes what is wanted, as long as it can. */
  #want(change) {
    return quiet(this.#end ? Promise.reject(this.#end) : change());
  }
  /** Wants these names no more, each as it was given; symbols that another name takes stay. */
  unsubscribe(symbols) {
    return quiet(this.#subs.unsubscribe(listOf(symbols)));
  }
  /** Subscribes again to names held, with another rate or other fields, [] being all. */
  set(symbols, terms) {
    return this.#want(() => this.#subs.set(listOf(symbols), terms));
  }
  /** Asks for silence, now and after a reconnect. */
  pause() {
    return this.#hold(true);
  }
  /** Ends a pause: what changed meanwhile comes merged. */
  resume() {
    return this.#hold(false);
  }
  /** What the node says is subscribed, and on which terms; rejects without a connection. */
  list() {
    return quiet(this.#call(() => ({ op: "list" })).then((reply) => reply.results ?? []));
  }
  /** The node's time in us since the Unix epoch, and how many ms that took; rejects without a connection. */
  ping() {
    const from = performance.now();
    return quiet(this.#call(() => ({ op: "ping" })).then((reply) => ({ time: reply.time ?? 0, ms: performance.now() - from })));
  }
  /**
   * Takes a new token, for this connection and those to come; what is asked meanwhile waits
   * for it. The promise gives what the token ends and slows down, and rejects when the node
   * refuses it: then the one before counts again, for connections to come too. What it does
   * not cover stays wanted: another may cover it again.
   */
  auth(token) {
    return quiet(this.#present(token));
  }
  /** Has the node take a token, now, or when there is a connection. */
  async #present(token) {
    checkToken(token);
    this.#pass.token = token;
    clearTimeout(this.#renewal);
    const session = this.#session;
    if (!session?.hello) return [];
    this.#subs.flush();
    const { results = [] } = await session.call(() => ({ op: "auth", token: this.#pass.token }), true, (reply, { token: token2 = "" }) => {
      session.token = token2;
      if (token2 === this.#pass.token) {
        this.#pass.lasts(reply.token_ttl);
        this.#renewAgainMs = RENEW_AGAIN_MS;
        this.#renewIn();
      }
      this.#subs.authorized(reply, token2);
      this.emit("token", { ttl: reply.token_ttl ?? null, results: reply.results ?? [] });
    }, ({ token: token2 }) => {
      if (token2 !== this.#pass.token) return;
      this.#pass.back(session.token, BACKOFF_MOST_MS);
      this.#renewIn();
    });
    return results;
  }
  #noToken(error) {
    this.emit("token", { ttl: null, results: [], error });
  }
  #renewIn(ms = this.#pass.dueMs) {
    clearTimeout(this.#renewal);
    if (ms !== Infinity && !this.#end) this.#renewal = setTimeout(() => void this.#renew(), Math.min(Math.max(0, ms), TIMER_MOST_MS));
  }
  /** Gets a token before the one in use ends; until then there is time to try again. */
  async #renew() {
    const session = this.#session, had = this.#pass.token;
    const token = await this.#pass.next().catch((e) => e);
    if (session !== this.#session || had !== this.#pass.token) return;
    if (token instanceof Error) this.#noToken(token.message);
    else if (token !== had) return void quiet(this.#present(token));
    this.#renewIn(this.#renewAgainMs * (0.9 + 0.2 * Math.random()));
    this.#renewAgainMs = Math.min(2 * this.#renewAgainMs, BACKOFF_MOST_MS);
  }
  /** Ends it, for good: the state closed is the last event, also of the message under way. */
  close() {
    this.#finish(new NotConnected("not connected: the client is closed"));
  }
  async #dial() {
    if (this.#end) return;
    const { url, encoding = "msgpack", WebSocket: given } = this.#options;
    let token, json;
    try {
      if (encoding === "json") json = await Promise.resolve().then(() => (init_json(), json_exports));
      token = await this.#pass.present((why) => this.#noToken(why.message));
    } catch (e) {
      return this.#retry(e.message);
    }
    try {
      const Socket = given ?? await findWebSocket();
      if (this.#end) return;
      const socket = new Socket(url, [`tickwire.v1.${encoding}`, ...token ? [`bearer.${token}`] : []], SOCKET_OPTIONS);
      this.#session = new Session(socket, token, { message: (m) => this.#take(m), lost: (why) => this.#lost(why) }, json?.parseMessageJSON);
    } catch (e) {
      this.#refused(e instanceof TickwireError ? e : new ConfigError(String(e)));
    }
  }
  #take(m) {
    switch (m.type) {
      case "data":
        return this.#merge(m.sentAt, m.updates);
      case "hello":
        return this.#greeted(m);
      case "reply":
        return this.#subs.appeared(m);
      case "lag":
        return this.emit("lag", m.blocked_ms);
      case "error":
        return this.emit("error", new RequestError(m));
      case "heartbeat":
        return this.#compare(m.subs, m.hash);
      case "drain": {
        const within = Math.min(m.within_ms, HOUR_MS);
        this.#leaveAt = performance.now() + within;
        this.#after(within, () => this.#session.end({ code: RESTARTS, text: "the node drains" }));
        this.emit("drain", m.within_ms);
      }
    }
  }
  /** Merges a whole message before any of it is told: no listener sees half of it. */
  #merge(sentAt, updates) {
    const quotes = [];
    for (const u of updates) {
      const event = this.#board.merge(u, sentAt);
      if (event) quotes.push(event);
    }
    if (quotes.length === 0) return;
    for (const event of quotes) this.emit("quote", event);
    this.emit("batch", { sentAt, quotes });
  }
  #greeted(hello) {
    const session = this.#session;
    this.#greetedOnce = true;
    if (session.token !== this.#pass.token) quiet(this.#present(this.#pass.token));
    else {
      this.#pass.lasts(hello.token_ttl);
      this.#renewIn();
    }
    if (this.#paused) quiet(session.call(this.#holding, true));
    this.#subs.greeted(session);
    this.emit("hello", hello);
    this.#become("live", `node ${hello.node}`);
  }
  #compare(subs, hash) {
    this.#subs.flush();
    if (this.#session.busy || subs === this.#board.subs && hash === this.#board.hash) return;
    this.#session.giveUp(new TickwireError(`subscriptions differ: the node has ${subs}, we have ${this.#board.subs}`, true));
  }
  #lost(why) {
    const { began, hello, talked, token } = this.#session;
    if (talked && !why.distrust && !(this.#leaveAt && Date.now() < began + BACKOFF_MOST_MS)) this.#attempts = 0;
    this.#part();
    const dark = !hello && !why.silent && !why.distrust && [1006, 401, 403].includes(why.code) && (token !== "" || !this.#greetedOnce);
    if (dark) void Promise.resolve().then(() => (init_refusal(), refusal_exports)).then(({ askWhy: askWhy2 }) => askWhy2(this.#options.url, token, why)).catch(() => why).then((told) => this.#ended(told));
    else this.#ended(why);
  }
  #ended(why) {
    if (this.#end) return;
    if (why.distrust) {
      this.#board.distrust();
      this.emit("error", why.distrust);
    }
    if (isFinal(why.code) && !this.#pass.survives(why.code, why.reason)) {
      return this.#refused(new FinalError(why.text, false, why.code, void 0, why.reason));
    }
    if (why.silent) this.#become("stale", why.text);
    this.#retry(why.text || `ended with ${why.code}`, why.afterMs, why.code === RESTARTS);
  }
  /** Dials again in a while; when a node that drains has sent us away, unless it is one of several, at once. */
  #retry(text2, leastMs = 0, sent = false) {
    const most2 = this.#leaveAt && sent && !this.#attempts ? 0 : Math.min(BACKOFF_MOST_MS, BACKOFF_FIRST_MS * 2 ** this.#attempts);
    const left = sent ? 0 : this.#leaveAt - performance.now();
    const wait = Math.max(leastMs + Math.random() * most2, Math.random() * left);
    this.#attempts++;
    this.#leaveAt = 0;
    this.#become("connecting", text2, wait);
    this.#after(wait, () => void this.#dial());
  }
  /** Lets the session go, and keeps what it was worth. */
  #part() {
    const session = this.#session;
    this.#session = void 0;
    this.#subs.lost();
    this.#pastBytes += session?.bytes ?? 0;
    session?.close("bye");
    clearTimeout(this.#timer);
    clearTimeout(this.#renewal);
  }
  #refused(why) {
    this.emit("error", why);
    this.#finish(why);
  }
  #finish(why) {
    if (this.#end) return;
    this.#end = why;
    this.#part();
    this.#state = "closed";
    this.emit("state", { state: "closed", text: why.message });
    this.hush();
    this.#subs.close(why);
  }
  #hold(paused) {
    this.#paused = paused;
    if (!this.#session?.hello) return Promise.resolve();
    const ended = (e) => {
      if (e.code !== 0) throw e;
    };
    return quiet(this.#call(this.#holding, true).then(() => {
    }, ended));
  }
  #holding = () => ({ op: this.#paused ? "pause" : "resume" });
  #call(make, patient = false) {
    const session = this.#session;
    if (!session?.hello) return Promise.reject(this.#end ?? new NotConnected("not connected: wait for the state live", true));
    this.#subs.flush();
    return session.call(make, patient);
  }
  #become(state, text2, retryMs) {
    if (this.#end) return;
    this.#state = state;
    this.emit("state", { state, text: text2, ...retryMs !== void 0 && { retryMs } });
  }
  #after(ms, fn) {
    clearTimeout(this.#timer);
    if (!this.#end) this.#timer = setTimeout(fn, ms);
  }
};
var listOf = (symbols) => [symbols].flat();
function quiet(p) {
  p.catch(() => {
  });
  return p;
}

// src/index.ts
init_error();
init_flags();
init_quote();

// <stdin>
init_decimal();
init_flags();
init_json();
init_message();
init_quote();

// node_modules/@msgpack/msgpack/dist.esm/utils/utf8.mjs
function utf8Count(str) {
  const strLength = str.length;
  let byteLength = 0;
  let pos = 0;
  while (pos < strLength) {
    let value = str.charCodeAt(pos++);
    if ((value & 4294967168) === 0) {
      byteLength++;
      continue;
    } else if ((value & 4294965248) === 0) {
      byteLength += 2;
    } else {
      if (value >= 55296 && value <= 56319) {
        if (pos < strLength) {
          const extra = str.charCodeAt(pos);
          if ((extra & 64512) === 56320) {
            ++pos;
            value = ((value & 1023) << 10) + (extra & 1023) + 65536;
          }
        }
      }
      if ((value & 4294901760) === 0) {
        byteLength += 3;
      } else {
        byteLength += 4;
      }
    }
  }
  return byteLength;
}
function utf8EncodeJs(str, output, outputOffset) {
  const strLength = str.length;
  let offset = outputOffset;
  let pos = 0;
  while (pos < strLength) {
    let value = str.charCodeAt(pos++);
    if ((value & 4294967168) === 0) {
      output[offset++] = value;
      continue;
    } else if ((value & 4294965248) === 0) {
      output[offset++] = value >> 6 & 31 | 192;
    } else {
      if (value >= 55296 && value <= 56319) {
        if (pos < strLength) {
          const extra = str.charCodeAt(pos);
          if ((extra & 64512) === 56320) {
            ++pos;
            value = ((value & 1023) << 10) + (extra & 1023) + 65536;
          }
        }
      }
      if ((value & 4294901760) === 0) {
        output[offset++] = value >> 12 & 15 | 224;
        output[offset++] = value >> 6 & 63 | 128;
      } else {
        output[offset++] = value >> 18 & 7 | 240;
        output[offset++] = value >> 12 & 63 | 128;
        output[offset++] = value >> 6 & 63 | 128;
      }
    }
    output[offset++] = value & 63 | 128;
  }
}
var sharedTextEncoder = new TextEncoder();
var TEXT_ENCODER_THRESHOLD = 50;
function utf8EncodeTE(str, output, outputOffset) {
  sharedTextEncoder.encodeInto(str, output.subarray(outputOffset));
}
function utf8Encode(str, output, outputOffset) {
  if (str.length > TEXT_ENCODER_THRESHOLD) {
    utf8EncodeTE(str, output, outputOffset);
  } else {
    utf8EncodeJs(str, output, outputOffset);
  }
}
var sharedTextDecoder = new TextDecoder();

// node_modules/@msgpack/msgpack/dist.esm/ExtData.mjs
var ExtData = class {
  type;
  data;
  constructor(type, data) {
    this.type = type;
    this.data = data;
  }
};

// node_modules/@msgpack/msgpack/dist.esm/DecodeError.mjs
var DecodeError = class _DecodeError extends Error {
  constructor(message) {
    super(message);
    const proto = Object.create(_DecodeError.prototype);
    Object.setPrototypeOf(this, proto);
    Object.defineProperty(this, "name", {
      configurable: true,
      enumerable: false,
      value: _DecodeError.name
    });
  }
};

// node_modules/@msgpack/msgpack/dist.esm/utils/int.mjs
function setUint64(view, offset, value) {
  const high = value / 4294967296;
  const low = value;
  view.setUint32(offset, high);
  view.setUint32(offset + 4, low);
}
function setInt64(view, offset, value) {
  const high = Math.floor(value / 4294967296);
  const low = value;
  view.setUint32(offset, high);
  view.setUint32(offset + 4, low);
}
function getInt64(view, offset) {
  const high = view.getInt32(offset);
  const low = view.getUint32(offset + 4);
  return high * 4294967296 + low;
}

// node_modules/@msgpack/msgpack/dist.esm/timestamp.mjs
var EXT_TIMESTAMP = -1;
var TIMESTAMP32_MAX_SEC = 4294967296 - 1;
var TIMESTAMP64_MAX_SEC = 17179869184 - 1;
function encodeTimeSpecToTimestamp({ sec, nsec }) {
  if (sec >= 0 && nsec >= 0 && sec <= TIMESTAMP64_MAX_SEC) {
    if (nsec === 0 && sec <= TIMESTAMP32_MAX_SEC) {
      const rv = new Uint8Array(4);
      const view = new DataView(rv.buffer);
      view.setUint32(0, sec);
      return rv;
    } else {
      const secHigh = sec / 4294967296;
      const secLow = sec & 4294967295;
      const rv = new Uint8Array(8);
      const view = new DataView(rv.buffer);
      view.setUint32(0, nsec << 2 | secHigh & 3);
      view.setUint32(4, secLow);
      return rv;
    }
  } else {
    const rv = new Uint8Array(12);
    const view = new DataView(rv.buffer);
    view.setUint32(0, nsec);
    setInt64(view, 4, sec);
    return rv;
  }
}
function encodeDateToTimeSpec(date) {
  const msec = date.getTime();
  const sec = Math.floor(msec / 1e3);
  const nsec = (msec - sec * 1e3) * 1e6;
  const nsecInSec = Math.floor(nsec / 1e9);
  return {
    sec: sec + nsecInSec,
    nsec: nsec - nsecInSec * 1e9
  };
}
function encodeTimestampExtension(object) {
  if (object instanceof Date) {
    const timeSpec = encodeDateToTimeSpec(object);
    return encodeTimeSpecToTimestamp(timeSpec);
  } else {
    return null;
  }
}
function decodeTimestampToTimeSpec(data) {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  switch (data.byteLength) {
    case 4: {
      const sec = view.getUint32(0);
      const nsec = 0;
      return { sec, nsec };
    }
    case 8: {
      const nsec30AndSecHigh2 = view.getUint32(0);
      const secLow32 = view.getUint32(4);
      const sec = (nsec30AndSecHigh2 & 3) * 4294967296 + secLow32;
      const nsec = nsec30AndSecHigh2 >>> 2;
      return { sec, nsec };
    }
    case 12: {
      const sec = getInt64(view, 4);
      const nsec = view.getUint32(0);
      return { sec, nsec };
    }
    default:
      throw new DecodeError(`Unrecognized data size for timestamp (expected 4, 8, or 12): ${data.length}`);
  }
}
function decodeTimestampExtension(data) {
  const timeSpec = decodeTimestampToTimeSpec(data);
  return new Date(timeSpec.sec * 1e3 + timeSpec.nsec / 1e6);
}
var timestampExtension = {
  type: EXT_TIMESTAMP,
  encode: encodeTimestampExtension,
  decode: decodeTimestampExtension
};

// node_modules/@msgpack/msgpack/dist.esm/ExtensionCodec.mjs
var ExtensionCodec = class _ExtensionCodec {
  static defaultCodec = new _ExtensionCodec();
  // ensures ExtensionCodecType<X> matches ExtensionCodec<X>
  // this will make type errors a lot more clear
  // eslint-disable-next-line @typescript-eslint/naming-convention
  __brand;
  // built-in extensions
  builtInEncoders = [];
  builtInDecoders = [];
  // custom extensions
  encoders = [];
  decoders = [];
  constructor() {
    this.register(timestampExtension);
  }
  register({ type, encode: encode2, decode }) {
    if (type >= 0) {
      this.encoders[type] = encode2;
      this.decoders[type] = decode;
    } else {
      const index = -1 - type;
      this.builtInEncoders[index] = encode2;
      this.builtInDecoders[index] = decode;
    }
  }
  tryToEncode(object, context) {
    for (let i = 0; i < this.builtInEncoders.length; i++) {
      const encodeExt = this.builtInEncoders[i];
      if (encodeExt != null) {
        const data = encodeExt(object, context);
        if (data != null) {
          const type = -1 - i;
          return new ExtData(type, data);
        }
      }
    }
    for (let i = 0; i < this.encoders.length; i++) {
      const encodeExt = this.encoders[i];
      if (encodeExt != null) {
        const data = encodeExt(object, context);
        if (data != null) {
          const type = i;
          return new ExtData(type, data);
        }
      }
    }
    if (object instanceof ExtData) {
      return object;
    }
    return null;
  }
  decode(data, type, context) {
    const decodeExt = type < 0 ? this.builtInDecoders[-1 - type] : this.decoders[type];
    if (decodeExt) {
      return decodeExt(data, type, context);
    } else {
      return new ExtData(type, data);
    }
  }
};

// node_modules/@msgpack/msgpack/dist.esm/utils/typedArrays.mjs
function isArrayBufferLike(buffer) {
  return buffer instanceof ArrayBuffer || typeof SharedArrayBuffer !== "undefined" && buffer instanceof SharedArrayBuffer;
}
function ensureUint8Array(buffer) {
  if (buffer instanceof Uint8Array) {
    return buffer;
  } else if (ArrayBuffer.isView(buffer)) {
    return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength);
  } else if (isArrayBufferLike(buffer)) {
    return new Uint8Array(buffer);
  } else {
    return Uint8Array.from(buffer);
  }
}

// node_modules/@msgpack/msgpack/dist.esm/Encoder.mjs
var DEFAULT_MAX_DEPTH = 100;
var DEFAULT_INITIAL_BUFFER_SIZE = 2048;
var Encoder = class _Encoder {
  extensionCodec;
  context;
  useBigInt64;
  maxDepth;
  initialBufferSize;
  sortKeys;
  forceFloat32;
  ignoreUndefined;
  forceIntegerToFloat;
  pos;
  view;
  bytes;
  entered = false;
  constructor(options) {
    this.extensionCodec = options?.extensionCodec ?? ExtensionCodec.defaultCodec;
    this.context = options?.context;
    this.useBigInt64 = options?.useBigInt64 ?? false;
    this.maxDepth = options?.maxDepth ?? DEFAULT_MAX_DEPTH;
    this.initialBufferSize = options?.initialBufferSize ?? DEFAULT_INITIAL_BUFFER_SIZE;
    this.sortKeys = options?.sortKeys ?? false;
    this.forceFloat32 = options?.forceFloat32 ?? false;
    this.ignoreUndefined = options?.ignoreUndefined ?? false;
    this.forceIntegerToFloat = options?.forceIntegerToFloat ?? false;
    this.pos = 0;
    this.view = new DataView(new ArrayBuffer(this.initialBufferSize));
    this.bytes = new Uint8Array(this.view.buffer);
  }
  clone() {
    return new _Encoder({
      extensionCodec: this.extensionCodec,
      context: this.context,
      useBigInt64: this.useBigInt64,
      maxDepth: this.maxDepth,
      initialBufferSize: this.initialBufferSize,
      sortKeys: this.sortKeys,
      forceFloat32: this.forceFloat32,
      ignoreUndefined: this.ignoreUndefined,
      forceIntegerToFloat: this.forceIntegerToFloat
    });
  }
  reinitializeState() {
    this.pos = 0;
  }
  /**
   * This is almost equivalent to {@link Encoder#encode}, but it returns an reference of the encoder's internal buffer and thus much faster than {@link Encoder#encode}.
   *
   * @returns Encodes the object and returns a shared reference the encoder's internal buffer.
   */
  encodeSharedRef(object) {
    if (this.entered) {
      const instance = this.clone();
      return instance.encodeSharedRef(object);
    }
    try {
      this.entered = true;
      this.reinitializeState();
      this.doEncode(object, 1);
      return this.bytes.subarray(0, this.pos);
    } finally {
      this.entered = false;
    }
  }
  /**
   * @returns Encodes the object and returns a copy of the encoder's internal buffer.
   */
  encode(object) {
    if (this.entered) {
      const instance = this.clone();
      return instance.encode(object);
    }
    try {
      this.entered = true;
      this.reinitializeState();
      this.doEncode(object, 1);
      return this.bytes.slice(0, this.pos);
    } finally {
      this.entered = false;
    }
  }
  doEncode(object, depth) {
    if (depth > this.maxDepth) {
      throw new Error(`Too deep objects in depth ${depth}`);
    }
    if (object == null) {
      this.encodeNil();
    } else if (typeof object === "boolean") {
      this.encodeBoolean(object);
    } else if (typeof object === "number") {
      if (!this.forceIntegerToFloat) {
        this.encodeNumber(object);
      } else {
        this.encodeNumberAsFloat(object);
      }
    } else if (typeof object === "string") {
      this.encodeString(object);
    } else if (this.useBigInt64 && typeof object === "bigint") {
      this.encodeBigInt64(object);
    } else {
      this.encodeObject(object, depth);
    }
  }
  ensureBufferSizeToWrite(sizeToWrite) {
    const requiredSize = this.pos + sizeToWrite;
    if (this.view.byteLength < requiredSize) {
      this.resizeBuffer(requiredSize * 2);
    }
  }
  resizeBuffer(newSize) {
    const newBuffer = new ArrayBuffer(newSize);
    const newBytes = new Uint8Array(newBuffer);
    const newView = new DataView(newBuffer);
    newBytes.set(this.bytes);
    this.view = newView;
    this.bytes = newBytes;
  }
  encodeNil() {
    this.writeU8(192);
  }
  encodeBoolean(object) {
    if (object === false) {
      this.writeU8(194);
    } else {
      this.writeU8(195);
    }
  }
  encodeNumber(object) {
    if (!this.forceIntegerToFloat && Number.isSafeInteger(object)) {
      if (object >= 0) {
        if (object < 128) {
          this.writeU8(object);
        } else if (object < 256) {
          this.writeU8(204);
          this.writeU8(object);
        } else if (object < 65536) {
          this.writeU8(205);
          this.writeU16(object);
        } else if (object < 4294967296) {
          this.writeU8(206);
          this.writeU32(object);
        } else if (!this.useBigInt64) {
          this.writeU8(207);
          this.writeU64(object);
        } else {
          this.encodeNumberAsFloat(object);
        }
      } else {
        if (object >= -32) {
          this.writeU8(224 | object + 32);
        } else if (object >= -128) {
          this.writeU8(208);
          this.writeI8(object);
        } else if (object >= -32768) {
          this.writeU8(209);
          this.writeI16(object);
        } else if (object >= -2147483648) {
          this.writeU8(210);
          this.writeI32(object);
        } else if (!this.useBigInt64) {
          this.writeU8(211);
          this.writeI64(object);
        } else {
          this.encodeNumberAsFloat(object);
        }
      }
    } else {
      this.encodeNumberAsFloat(object);
    }
  }
  encodeNumberAsFloat(object) {
    if (this.forceFloat32) {
      this.writeU8(202);
      this.writeF32(object);
    } else {
      this.writeU8(203);
      this.writeF64(object);
    }
  }
  encodeBigInt64(object) {
    if (object >= BigInt(0)) {
      this.writeU8(207);
      this.writeBigUint64(object);
    } else {
      this.writeU8(211);
      this.writeBigInt64(object);
    }
  }
  writeStringHeader(byteLength) {
    if (byteLength < 32) {
      this.writeU8(160 + byteLength);
    } else if (byteLength < 256) {
      this.writeU8(217);
      this.writeU8(byteLength);
    } else if (byteLength < 65536) {
      this.writeU8(218);
      this.writeU16(byteLength);
    } else if (byteLength < 4294967296) {
      this.writeU8(219);
      this.writeU32(byteLength);
    } else {
      throw new Error(`Too long string: ${byteLength} bytes in UTF-8`);
    }
  }
  encodeString(object) {
    const maxHeaderSize = 1 + 4;
    const byteLength = utf8Count(object);
    this.ensureBufferSizeToWrite(maxHeaderSize + byteLength);
    this.writeStringHeader(byteLength);
    utf8Encode(object, this.bytes, this.pos);
    this.pos += byteLength;
  }
  encodeObject(object, depth) {
    const ext = this.extensionCodec.tryToEncode(object, this.context);
    if (ext != null) {
      this.encodeExtension(ext);
    } else if (Array.isArray(object)) {
      this.encodeArray(object, depth);
    } else if (ArrayBuffer.isView(object)) {
      this.encodeBinary(object);
    } else if (typeof object === "object") {
      this.encodeMap(object, depth);
    } else {
      throw new Error(`Unrecognized object: ${Object.prototype.toString.apply(object)}`);
    }
  }
  encodeBinary(object) {
    const size = object.byteLength;
    if (size < 256) {
      this.writeU8(196);
      this.writeU8(size);
    } else if (size < 65536) {
      this.writeU8(197);
      this.writeU16(size);
    } else if (size < 4294967296) {
      this.writeU8(198);
      this.writeU32(size);
    } else {
      throw new Error(`Too large binary: ${size}`);
    }
    const bytes = ensureUint8Array(object);
    this.writeU8a(bytes);
  }
  encodeArray(object, depth) {
    const size = object.length;
    if (size < 16) {
      this.writeU8(144 + size);
    } else if (size < 65536) {
      this.writeU8(220);
      this.writeU16(size);
    } else if (size < 4294967296) {
      this.writeU8(221);
      this.writeU32(size);
    } else {
      throw new Error(`Too large array: ${size}`);
    }
    for (const item of object) {
      this.doEncode(item, depth + 1);
    }
  }
  countWithoutUndefined(object, keys) {
    let count = 0;
    for (const key of keys) {
      if (object[key] !== void 0) {
        count++;
      }
    }
    return count;
  }
  encodeMap(object, depth) {
    const keys = Object.keys(object);
    if (this.sortKeys) {
      keys.sort();
    }
    const size = this.ignoreUndefined ? this.countWithoutUndefined(object, keys) : keys.length;
    if (size < 16) {
      this.writeU8(128 + size);
    } else if (size < 65536) {
      this.writeU8(222);
      this.writeU16(size);
    } else if (size < 4294967296) {
      this.writeU8(223);
      this.writeU32(size);
    } else {
      throw new Error(`Too large map object: ${size}`);
    }
    for (const key of keys) {
      const value = object[key];
      if (!(this.ignoreUndefined && value === void 0)) {
        this.encodeString(key);
        this.doEncode(value, depth + 1);
      }
    }
  }
  encodeExtension(ext) {
    if (typeof ext.data === "function") {
      const data = ext.data(this.pos + 6);
      const size2 = data.length;
      if (size2 >= 4294967296) {
        throw new Error(`Too large extension object: ${size2}`);
      }
      this.writeU8(201);
      this.writeU32(size2);
      this.writeI8(ext.type);
      this.writeU8a(data);
      return;
    }
    const size = ext.data.length;
    if (size === 1) {
      this.writeU8(212);
    } else if (size === 2) {
      this.writeU8(213);
    } else if (size === 4) {
      this.writeU8(214);
    } else if (size === 8) {
      this.writeU8(215);
    } else if (size === 16) {
      this.writeU8(216);
    } else if (size < 256) {
      this.writeU8(199);
      this.writeU8(size);
    } else if (size < 65536) {
      this.writeU8(200);
      this.writeU16(size);
    } else if (size < 4294967296) {
      this.writeU8(201);
      this.writeU32(size);
    } else {
      throw new Error(`Too large extension object: ${size}`);
    }
    this.writeI8(ext.type);
    this.writeU8a(ext.data);
  }
  writeU8(value) {
    this.ensureBufferSizeToWrite(1);
    this.view.setUint8(this.pos, value);
    this.pos++;
  }
  writeU8a(values) {
    const size = values.length;
    this.ensureBufferSizeToWrite(size);
    this.bytes.set(values, this.pos);
    this.pos += size;
  }
  writeI8(value) {
    this.ensureBufferSizeToWrite(1);
    this.view.setInt8(this.pos, value);
    this.pos++;
  }
  writeU16(value) {
    this.ensureBufferSizeToWrite(2);
    this.view.setUint16(this.pos, value);
    this.pos += 2;
  }
  writeI16(value) {
    this.ensureBufferSizeToWrite(2);
    this.view.setInt16(this.pos, value);
    this.pos += 2;
  }
  writeU32(value) {
    this.ensureBufferSizeToWrite(4);
    this.view.setUint32(this.pos, value);
    this.pos += 4;
  }
  writeI32(value) {
    this.ensureBufferSizeToWrite(4);
    this.view.setInt32(this.pos, value);
    this.pos += 4;
  }
  writeF32(value) {
    this.ensureBufferSizeToWrite(4);
    this.view.setFloat32(this.pos, value);
    this.pos += 4;
  }
  writeF64(value) {
    this.ensureBufferSizeToWrite(8);
    this.view.setFloat64(this.pos, value);
    this.pos += 8;
  }
  writeU64(value) {
    this.ensureBufferSizeToWrite(8);
    setUint64(this.view, this.pos, value);
    this.pos += 8;
  }
  writeI64(value) {
    this.ensureBufferSizeToWrite(8);
    setInt64(this.view, this.pos, value);
    this.pos += 8;
  }
  writeBigUint64(value) {
    this.ensureBufferSizeToWrite(8);
    this.view.setBigUint64(this.pos, value);
    this.pos += 8;
  }
  writeBigInt64(value) {
    this.ensureBufferSizeToWrite(8);
    this.view.setBigInt64(this.pos, value);
    this.pos += 8;
  }
};

// node_modules/@msgpack/msgpack/dist.esm/encode.mjs
function encode(value, options) {
  const encoder = new Encoder(options);
  return encoder.encodeSharedRef(value);
}
export {
  Board,
  CONFLATED,
  CloseCode,
  Code,
  ConfigError,
  FIELDS,
  FinalError,
  GAP,
  IMAGE,
  NotConnected,
  ProtocolError,
  RequestError,
  STATUSES,
  Tickwire,
  TickwireError,
  decimalText,
  encode,
  fieldsOf,
  parseMessage,
  parseMessageJSON,
  reasonOf
};
