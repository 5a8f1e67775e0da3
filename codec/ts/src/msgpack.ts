import { refuse } from './error.js';
import { MAX_INT } from './decimal.js';

const DEPTH_MOST = 8; // of maps and arrays in control messages: a reply has 5
const utf8 = new TextDecoder('utf-8', { fatal: true });

/** Where a length is: in the type byte, or, if that is one of several, in so many bytes behind the first, in twice as many behind the next. */
type Head = readonly [bits: number, mask: number, first: number, last: number, width: number];
const TEXT: Head = [0xa0, 31, 0xd9, 0xdb, 1];
const ARRAY: Head = [0x90, 15, 0xdc, 0xdd, 2];
const MAP: Head = [0x80, 15, 0xde, 0xdf, 2];

/**
 * Reads msgpack in place, as far as JSON has its like, and stricter than a general
 * decoder: 1.0 is no integer, 2^53 no number, a length that the bytes do not hold
 * allocates nothing.
 */
export class Reader {
  at = 0;
  readonly #view: DataView;

  constructor(readonly bytes: Uint8Array) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get left(): number {
    return this.bytes.length - this.at;
  }

  /** An array's header: how many elements follow. */
  array(what: string): number {
    const n = this.#length(ARRAY);
    if (n < 0) refuse('type', `${what} is no array`);
    return n;
  }

  /** An integer from 0 to most. */
  uint(what: string, most = MAX_INT): number {
    const v = this.#integer(what);
    if (v < 0 || v > most) refuse('range', `${what} is ${v}`);
    return v;
  }

  /** A field's value: an integer, or NaN for nil. */
  value(what: string): number {
    if (this.#peek() === 0xc0) return this.#skip(1, NaN);
    const v = this.#integer(what);
    if (v < -MAX_INT || v > MAX_INT) refuse('range', `${what} is beyond 53 bits`);
    return v;
  }

  /** A text. */
  text(what: string): string {
    const n = this.#length(TEXT);
    if (n < 0) refuse('type', `${what} is no text`);
    const part = this.bytes.subarray(this.at, (this.at += n));
    try {
      return utf8.decode(part);
    } catch {
      return refuse('syntax', `${what} is not UTF-8`);
    }
  }

  /** Any value that JSON has too. */
  any(depth = 0): unknown {
    const c = this.#peek();
    if (c === 0xc0) return this.#skip(1, null);
    if (c === 0xc2 || c === 0xc3) return this.#skip(1, c === 0xc3);
    if (c === 0xca || c === 0xcb) return this.#float(c === 0xca ? 4 : 8);
    if (isHead(c, TEXT)) return this.text('a text');
    if (isHead(c, ARRAY)) {
      const out: unknown[] = []; // grows as elements come, whatever the length says
      for (let n = this.#deep(ARRAY, depth); n > 0; n--) out.push(this.any(depth + 1));
      return out;
    }
    if (!isHead(c, MAP)) return this.value('a value');
    const out: Record<string, unknown> = {};
    for (let n = this.#deep(MAP, depth); n > 0; n--) {
      const key = this.text('a key');
      if (key === '__proto__') refuse('type', 'a key is __proto__');
      out[key] = this.any(depth + 1);
    }
    return out;
  }

  /** The end must come here. */
  end(): void {
    if (this.left > 0) refuse('trailing', `${this.left} bytes after the end`);
  }

  /** The type byte that comes next. */
  #peek(): number {
    return this.bytes[this.at] ?? cut();
  }

  /** The length of what begins here; -1 when it is another type. */
  #length(head: Head): number {
    const c = this.#peek();
    if (!isHead(c, head)) return -1;
    const [, mask, first, , width] = head;
    const n = c < first ? this.#skip(1, c & mask) : this.#size(width << (c - first));
    if ((head === MAP ? 2 * n : n) > this.left) cut(); // every element has a byte at least
    return n;
  }

  #deep(head: Head, depth: number): number {
    if (depth === DEPTH_MOST) refuse('type', 'nested too deeply');
    return this.#length(head);
  }

  /** An integer of any width; beyond 53 bits it is only known to be so. */
  #integer(what: string): number {
    const c = this.#peek();
    if (c < 0x80) return this.#skip(1, c);
    if (c >= 0xe0) return this.#skip(1, c - 256);
    if (c < 0xcc || c > 0xd3) refuse('type', `${what} is no integer`);
    const width = 1 << (c & 3), at = this.at + 1;
    if (width >= this.left) return cut();
    this.at = at + width;
    switch (c) {
      case 0xcc: return this.#view.getUint8(at);
      case 0xcd: return this.#view.getUint16(at);
      case 0xce: return this.#view.getUint32(at);
      case 0xcf: return this.#view.getUint32(at) * 2 ** 32 + this.#view.getUint32(at + 4);
      case 0xd0: return this.#view.getInt8(at);
      case 0xd1: return this.#view.getInt16(at);
      case 0xd2: return this.#view.getInt32(at);
      default: return this.#view.getInt32(at) * 2 ** 32 + this.#view.getUint32(at + 4);
    }
  }

  #float(width: 4 | 8): number {
    if (width >= this.left) return cut();
    const v = width === 4 ? this.#view.getFloat32(this.at + 1) : this.#view.getFloat64(this.at + 1);
    if (!Number.isFinite(v)) refuse('range', `a number is ${v}`);
    return this.#skip(1 + width, v);
  }

  /** A length of so many bytes behind the type byte. */
  #size(width: number): number {
    if (width >= this.left) return cut();
    let n = 0;
    for (let i = 1; i <= width; i++) n = n * 256 + this.bytes[this.at + i]!;
    return this.#skip(1 + width, n);
  }

  #skip<T>(n: number, result: T): T {
    this.at += n;
    return result;
  }
}

const isHead = (c: number, [bits, mask, first, last]: Head): boolean => (c & ~mask) === bits || (c >= first && c <= last);

const cut = (): never => refuse('truncated', 'the bytes end too early');
