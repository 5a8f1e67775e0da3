import { refuse } from './error.js';
import { MAX_INT } from './decimal.js';

const DEPTH_MOST = 8; // of maps and arrays in control messages: a reply has 5
const utf8 = new TextDecoder('utf-8', { fatal: true });

/**
 * Reads msgpack in place: integers and array headers for data messages, which it
 * makes nothing else of, and the shape of everything else, so that a general decoder
 * may follow. Stricter than that one: 1.0 is no integer, 2^53 no number, a length
 * that the bytes do not hold allocates nothing.
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

  /** The type byte that comes next. */
  peek(): number {
    const c = this.bytes[this.at];
    if (c === undefined) return cut();
    return c;
  }

  /** An array's header: how many elements follow. */
  array(what: string): number {
    const c = this.peek();
    let n: number;
    if ((c & 0xf0) === 0x90) n = this.#skip(1, c & 15);
    else if (c === 0xdc) n = this.#size(2);
    else if (c === 0xdd) n = this.#size(4);
    else refuse('type', `${what} is no array`);
    if (n > this.left) return cut(); // every element has a byte at least
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
    if (this.peek() === 0xc0) return this.#skip(1, NaN);
    const v = this.#integer(what);
    if (v < -MAX_INT || v > MAX_INT) refuse('range', `${what} is beyond 53 bits`);
    return v;
  }

  /** A text. */
  text(what: string): string {
    const c = this.peek();
    let n: number;
    if ((c & 0xe0) === 0xa0) n = this.#skip(1, c & 31);
    else if (c >= 0xd9 && c <= 0xdb) n = this.#size(1 << (c - 0xd9));
    else refuse('type', `${what} is no text`);
    if (n > this.left) return cut();
    const part = this.bytes.subarray(this.at, (this.at += n));
    try {
      return utf8.decode(part);
    } catch {
      refuse('syntax', `${what} is not UTF-8`);
    }
  }

  /** Passes over any value that JSON has too, and refuses what is wrong in it. */
  check(depth = 0): void {
    const c = this.peek();
    if (c === 0xc0 || c === 0xc2 || c === 0xc3) this.at++;
    else if ((c & 0xe0) === 0xa0 || (c >= 0xd9 && c <= 0xdb)) this.text('a text');
    else if (c === 0xca || c === 0xcb) this.#float(c === 0xca ? 4 : 8);
    else if ((c & 0xf0) === 0x90 || c === 0xdc || c === 0xdd) {
      if (depth === DEPTH_MOST) refuse('type', 'nested too deeply');
      for (let n = this.array('an array'); n > 0; n--) this.check(depth + 1);
    } else if ((c & 0xf0) === 0x80 || c === 0xde || c === 0xdf) {
      if (depth === DEPTH_MOST) refuse('type', 'nested too deeply');
      const n = (c & 0xf0) === 0x80 ? this.#skip(1, c & 15) : this.#size(c === 0xde ? 2 : 4);
      if (2 * n > this.left) return cut();
      for (let i = 0; i < n; i++) {
        this.text('a key');
        this.check(depth + 1);
      }
    } else this.value('a value');
  }

  /** The end must come here. */
  end(): void {
    if (this.left > 0) refuse('trailing', `${this.left} bytes after the end`);
  }

  /** An integer of any width; beyond 53 bits it is only known to be so. */
  #integer(what: string): number {
    const c = this.peek();
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

  #float(width: 4 | 8): void {
    if (width >= this.left) return cut();
    const v = width === 4 ? this.#view.getFloat32(this.at + 1) : this.#view.getFloat64(this.at + 1);
    if (!Number.isFinite(v)) refuse('range', `a number is ${v}`);
    this.at += 1 + width;
  }

  /** A length of so many bytes behind the type byte. */
  #size(width: number): number {
    if (width >= this.left) return cut();
    let n = 0;
    for (let i = 1; i <= width; i++) n = n * 256 + this.bytes[this.at + i]!;
    return this.#skip(1 + width, n);
  }

  #skip(n: number, result: number): number {
    this.at += n;
    return result;
  }
}

const cut = (): never => refuse('truncated', 'the bytes end too early');
