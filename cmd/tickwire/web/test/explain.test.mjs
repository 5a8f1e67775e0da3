// What the console says of frames that no node sends, under Node: something, and not too much.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { test } from 'node:test';
import { decoded } from '../console/decoded.js';
import { explain } from '../console/explain.js';
import { FIELDS, encode } from '../tickwire.js';

const MUTATIONS = 20_000;
const LINES_MOST = 20_000; // that are looked at, of one frame
const textMost = (bytes) => 1000 + 4 * bytes; // characters of a line

const session = { fields: FIELDS, names: new Map([[7, 'sim:A']]), scale: () => 2 };
const frameOf = (data, out = false) => ({ kind: typeof data === 'string' ? 'text' : 'binary', data, out, session, n: 1, bytes: data.length });

/** All lines of a frame, those that are made when they are looked at too. */
function* linesOf(lines) {
  for (const line of lines) {
    yield line;
    if (line.lines) yield* linesOf(line.lines());
  }
}

/** Reads a frame, as it came and as it went, and gives what is said of it by key. */
function read(data) {
  const says = { __proto__: null };
  for (const out of [true, false]) {
    const frame = frameOf(data, out);
    let n = 0;
    for (const line of linesOf(explain(frame))) {
      for (const cell of ['key', 'text', 'note']) {
        assert.equal(typeof line[cell], 'string', `${cell} of ${line.key}`);
        assert.ok(line[cell].length <= textMost(data.length), `${line[cell].length} characters of ${data.length}`);
      }
      says[line.key] ??= [line.text, line.note];
      if (++n > LINES_MOST) break;
    }
    assert.ok(decoded(frame).length <= 1 << 20);
  }
  return says;
}

const priced = (scale, bid = 5) => read(encode([0, 1, [7, 1, 0, 1 | (1 << 16), bid, scale]]));
const uint64 = (v) => [0xcf, ...Array.from({ length: 8 }, (_, i) => Number((v >> BigInt(56 - 8 * i)) & 255n))];

test('a scale that is none makes no decimal', () => {
  assert.deepEqual(priced(2).bid, ['0.05', '5 × 10⁻²']);
  assert.deepEqual(priced(15).bid[0], '0.000000000000005');
  for (const scale of [16, 300_000_000, 600_000_000, -1, 1.5, 'x', true]) assert.deepEqual(priced(scale).bid, ['5', 'a mantissa: price_scale is none'], String(scale));
  const mask = encode(1 | (1 << 16)), most = read(Uint8Array.from([0x93, 0, 1, 0x96, 7, 1, 0, ...mask, 5, ...uint64(2n ** 63n)]));
  assert.deepEqual(most.bid[0], '5');
  assert.deepEqual(priced(2, 1.5).bid[0], '1.5');
  const unknown = JSON.parse(decoded(frameOf(encode([0, 1, [7, 1, 0, 1 | (1 << 16), 5, null]]))));
  assert.deepEqual(unknown.updates, [{ symbol: 'sim:A', seq: 1, bid: 5, price_scale: null }]);
});

test('what is cut, or of another kind, is shown as far as it goes', () => {
  const reply = encode([2, { id: 1, op: 'subscribe', results: [{ symbol: 'sim:A', error: { code: 111, text: 'unknown_symbol: x', retry: true } }] }]);
  for (let n = 0; n <= reply.length; n++) read(reply.subarray(0, n));
  for (const results of [[7], [null], [[1]], [{}], [{ error: 1 }], [{ error: {} }], 5, { a: 1 }]) read(encode([2, { results }]));
  for (const type of ['length', null, [1], -1, 1.5]) read(encode([type, {}]));
  for (const text of ['', 'null', '5', '[]', '{"type":"__proto__"}', '{"type":"constructor","constructor":1}', '{"type":"data","updates":[5,{}]}']) read(text);
  read(encode([0, 1, [7, 1, 0, 1 << 13, 'length']]));
  assert.equal(read('{"type":"reply","constructor":1}').constructor[1], '');
});

test('what is nested deeply is copied as it is', () => {
  for (const deep of ['['.repeat(30_000), '['.repeat(30_000) + ']'.repeat(30_000)]) assert.equal(decoded(frameOf(deep)), JSON.stringify(deep));
  read(new Uint8Array(60_000).fill(0x91));
  read(new Uint8Array(60_000).fill(0x81));
});

test('it explains whatever comes', () => {
  const vectors = ['valid', 'invalid'].flatMap((name) => JSON.parse(fs.readFileSync(new URL(`../../../../codec/testdata/${name}.json`, import.meta.url), 'utf8')));
  const bins = vectors.filter((v) => v.hex).map((v) => Buffer.from(v.hex, 'hex')), texts = vectors.filter((v) => v.text).map((v) => v.text);
  const hot = [0xc0, 0xc1, 0xc4, 0xca, 0xcb, 0xcf, 0xd3, 0xd6, 0xdc, 0xdd, 0xdf, 0xff, 0x80, 0x90, 0xa0];
  const parts = ['"', '{', '}', '[', ']', ':', ',', '-', '1e999', 'null', 'true', '9'.repeat(25), '"__proto__"', '"constructor"', '0'];
  let seed = 1;
  const random = (n) => (seed = (seed * 48271) % 0x7fffffff) % n;
  const mutant = (list, some) => {
    for (let k = random(4); k >= 0; k--) list.splice(random(list.length + 1), random(4), ...(random(3) ? [some[random(some.length)]] : []));
    return list;
  };
  for (let i = 0; i < MUTATIONS; i++) {
    const data = i % 2 ? Uint8Array.from(mutant([...bins[random(bins.length)]], hot)) : mutant([...texts[random(texts.length)]], parts).join('');
    try {
      read(data);
    } catch (error) {
      throw new Error(`${typeof data === 'string' ? data : Buffer.from(data).toString('hex')}: ${error.stack}`);
    }
  }
});
