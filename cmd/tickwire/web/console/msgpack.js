// Reads msgpack into a tree whose nodes know which bytes they are. Unlike the client's
// reader it refuses nothing: what is wrong is a node of its own, and what lies before it
// can be looked at. A node is { at, end, kind, value } or, of an array or a map,
// { at, end, kind, items }: a map's items are key, value, key, value.

const DEPTH_MOST = 64; // of the tree; the protocol has 8
const utf8 = new TextDecoder();
const FIXED = { 0xc0: ['nil', null], 0xc2: ['bool', false], 0xc3: ['bool', true] };
// From 0xca: kind, and what reads it.
const NUMBERS = [
  ['float 32', 'getFloat32'], ['float 64', 'getFloat64'], ['uint 8', 'getUint8'], ['uint 16', 'getUint16'], ['uint 32', 'getUint32'],
  ['uint 64', 'getBigUint64'], ['int 8', 'getInt8'], ['int 16', 'getInt16'], ['int 32', 'getInt32'], ['int 64', 'getBigInt64'],
];
// By the first byte: kind, and how many bytes its length has.
const SIZED = {
  0xc4: ['bin', 1], 0xc5: ['bin', 2], 0xc6: ['bin', 4], 0xc7: ['ext', 1], 0xc8: ['ext', 2], 0xc9: ['ext', 4],
  0xd9: ['str', 1], 0xda: ['str', 2], 0xdb: ['str', 4], 0xdc: ['array', 2], 0xdd: ['array', 4], 0xde: ['map', 2], 0xdf: ['map', 4],
};

/** The message that bytes are, and what else there is: one node, or two when something follows. */
export function readMsgpack(bytes) {
  const r = new Reader(bytes);
  const nodes = [r.node(0)];
  if (!r.wrong && r.at < bytes.length) nodes.push({ at: r.at, end: bytes.length, kind: 'wrong', value: `${bytes.length - r.at} bytes after the end` });
  return nodes;
}

class Reader {
  at = 0;
  wrong = false;

  constructor(bytes) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  node(depth) {
    const at = this.at, c = this.bytes[at];
    if (c === undefined) return this.#fail(at, 'the bytes end here');
    if (c < 0x80 || c >= 0xe0) return this.#leaf(at, 1, 'fixint', c < 0x80 ? c : c - 256);
    if (FIXED[c]) return this.#leaf(at, 1, ...FIXED[c]);
    if (c >= 0xca && c <= 0xd3) return this.#number(at, c);
    if (c >= 0xd4 && c <= 0xd8) return this.#bytes(at, 2, 1 << (c - 0xd4), 'ext');
    const [kind, width] = c < 0x90 ? ['map', 0] : c < 0xa0 ? ['array', 0] : c < 0xc0 ? ['str', 0] : SIZED[c] ?? [];
    if (!kind) return this.#fail(at, 'a byte that begins nothing');
    if (at + 1 + width > this.bytes.length) return this.#fail(at, `the bytes end in the length of a ${kind}`);
    let n = width === 0 ? c & (kind === 'str' ? 31 : 15) : 0;
    for (let i = 1; i <= width; i++) n = n * 256 + this.bytes[at + i];
    if (kind === 'array' || kind === 'map') return this.#items(at, 1 + width, kind, n, depth);
    return this.#bytes(at, 1 + width + (kind === 'ext' ? 1 : 0), n, kind);
  }

  #items(at, head, kind, n, depth) {
    const node = { at, end: at + head, kind, items: [] };
    this.at = node.end;
    if (depth === DEPTH_MOST) node.items.push(this.#fail(this.at, 'nested too deeply'));
    for (let left = kind === 'map' ? 2 * n : n; left > 0 && !this.wrong; left--) node.items.push(this.node(depth + 1));
    node.end = this.at;
    return node;
  }

  #number(at, c) {
    const [kind, get] = NUMBERS[c - 0xca], width = Number(kind.split(' ')[1]) / 8;
    if (at + 1 + width > this.bytes.length) return this.#fail(at, `the bytes end in a ${kind}`);
    const v = this.view[get](at + 1);
    return this.#leaf(at, 1 + width, kind, typeof v === 'bigint' && Number.isSafeInteger(Number(v)) ? Number(v) : v);
  }

  #bytes(at, head, n, kind) {
    if (at + head + n > this.bytes.length) return this.#fail(at, `the bytes end in a ${kind} of ${n}`);
    const part = this.bytes.subarray(at + head, at + head + n);
    return this.#leaf(at, head + n, kind, kind === 'str' ? utf8.decode(part) : hex(part));
  }

  #leaf(at, length, kind, value) {
    this.at = at + length;
    return { at, end: this.at, kind, value };
  }

  #fail(at, value) {
    this.wrong = true;
    this.at = this.bytes.length;
    return { at, end: this.at, kind: 'wrong', value };
  }
}

/** Bytes as the vectors have them: 93 00 cf as "9300cf". */
export const hex = (bytes) => Array.from(bytes, (b) => b.toString(16).padStart(2, '0')).join('');
