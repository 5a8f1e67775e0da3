import { encode } from '@msgpack/msgpack';
import { describe, expect, it } from 'vitest';
import { Board } from '../src/board.js';
import { ProtocolError } from '../src/error.js';
import { parseMessageJSON } from '../src/json.js';
import { parseMessage } from '../src/message.js';
import { bytesOf, valid } from './vectors.js';

const kind = (fn: () => unknown): string => {
  try {
    fn();
  } catch (e) {
    if (e instanceof ProtocolError) return e.kind;
    throw e;
  }
  return 'none';
};
const repeat = (hex: string, n: number): Uint8Array => bytesOf(hex.repeat(n));

describe('bytes', () => {
  const messages = valid.filter((v) => v.kind === 'message' && v.encoding === 'msgpack').map((v) => bytesOf(v.hex));

  it('refuses every message that is cut or continued', () => {
    for (const m of messages) {
      const known = m[1]! < 7; // of an unknown type nothing is read
      for (let n = 0; n < m.length && known; n++) expect(kind(() => parseMessage(m.subarray(0, n)))).not.toBe('none');
      if (known) expect(kind(() => parseMessage(new Uint8Array([...m, 0xc0])))).toBe('trailing');
    }
  });

  it('never fails otherwise, whatever the bytes', () => {
    let seed = 1;
    const random = (n: number): number => (seed = (seed * 48271) % 0x7fffffff) % n;
    for (let i = 0; i < 20_000; i++) {
      const m = Uint8Array.from(messages[random(messages.length)]!);
      for (let k = random(4); k >= 0; k--) m[random(m.length)] = random(256);
      kind(() => parseMessage(m));
    }
    for (let i = 0; i < 5_000; i++) kind(() => parseMessage(Uint8Array.from({ length: random(40) }, () => random(256))));
  });

  it('allocates nothing for lengths that the bytes do not hold', () => {
    const from = performance.now();
    expect(kind(() => parseMessage(bytesOf('9201ddffffffff')))).toBe('truncated');
    expect(kind(() => parseMessage(bytesOf('9201dfffffffff')))).toBe('truncated');
    expect(kind(() => parseMessage(bytesOf('9201dbffffffff')))).toBe('truncated');
    expect(kind(() => parseMessage(new Uint8Array([...bytesOf('9201'), ...repeat('dd000fffff', 200_000)])))).not.toBe('none');
    expect(kind(() => parseMessage(new Uint8Array([...bytesOf('9201'), ...repeat('91', 1_000_000)])))).toBe('type');
    expect(performance.now() - from).toBeLessThan(2000);
  });

  it('takes integers of any width, and no floats', () => {
    const update = (value: string): Uint8Array => bytesOf('93' + '00' + 'd3' + '0000000000000001' + '95' + 'cd0007' + 'ce00000005' + 'd000' + 'd10001' + value);
    for (const v of ['0a', 'cc0a', 'cd000a', 'ce0000000a', 'cf000000000000000a', 'd00a', 'd1000a', 'd20000000a', 'd3000000000000000a']) {
      expect(parseMessage(update(v))).toMatchObject({ updates: [{ key: 7, seq: 5, flags: 0, mask: 1, values: [10] }] });
    }
    for (const [v, n] of [['ff', -1], ['d080', -128], ['d18000', -32768], ['d280000000', -(2 ** 31)], ['d3ffe0000000000001', -(2 ** 53) + 1]] as const) {
      expect(parseMessage(update(v))).toMatchObject({ updates: [{ values: [n] }] });
    }
    expect(['ca3f800000', 'cb3ff0000000000000', 'c3', 'c40100', '90', '80', 'd4000a', 'c1'].map((v) => kind(() => parseMessage(update(v))))).toEqual(Array(8).fill('type'));
    expect(['d3ffe0000000000000', 'd38000000000000000', 'cfffffffffffffffff'].map((v) => kind(() => parseMessage(update(v))))).toEqual(Array(3).fill('range'));
  });

  it('checks scales, and passes over fields it does not know', () => {
    const update = (mask: number, ...values: unknown[]): Uint8Array => encode([0, 1, [7, 5, 0, mask, ...values]]);
    expect(kind(() => parseMessage(update(1 << 16, 16)))).toBe('range');
    expect(kind(() => parseMessage(update(1 << 17, -1)))).toBe('range');
    expect(parseMessage(update(2 ** 31 + 1, 3, 99))).toMatchObject({ updates: [{ mask: 1, values: [3] }] });
    expect(kind(() => parseMessage(update(2 ** 31 + 1, 3, 'x')))).toBe('type');
    expect(parseMessage(encode([0, 1, [7, 5, 0xe0, 0]]))).toMatchObject({ updates: [{ flags: 0xe0, values: [] }] });
  });

  it('ignores keys it does not know, of any name, and refuses known ones of other types', () => {
    expect(parseMessage(encode([4, { blocked_ms: 5, constructor: { x: [1.5, null] } }]))).toEqual({ type: 'lag', blocked_ms: 5 });
    expect(kind(() => parseMessage(bytesOf('920481' + 'a95f5f70726f746f5f5f' + 'c0')))).toBe('type'); // __proto__, which no node says
    expect(parseMessageJSON('{"type":"lag","blocked_ms":5,"__proto__":{"x":null}}')).toEqual({ type: 'lag', blocked_ms: 5 });
    expect(kind(() => parseMessage(encode([4, { blocked_ms: 'x' }])))).toBe('type');
    expect(kind(() => parseMessage(encode([4, { blocked_ms: -1 }])))).toBe('range');
    expect(kind(() => parseMessage(encode([2, { id: 1, op: 'list', results: [{ symbol: 5 }] }])))).toBe('type');
    expect(kind(() => parseMessage(encode([1, { protocol: 2, node: 'x', fields: [] }])))).toBe('version');
    expect(kind(() => parseMessage(encode([1, { protocol: 1, node: 'x', fields: ['ask', 'bid'] }])))).toBe('version');
    expect(kind(() => parseMessage(bytesOf('920481a1ffc0')))).toBe('syntax');
    expect(kind(() => parseMessage(encode([3, { hash: 1.5 }])))).toBe('range');
    expect(kind(() => parseMessage(encode([3, { hash: NaN }])))).toBe('range');
  });
});

describe('text', () => {
  const update = (rest: string): string => `{"type":"data","sent_at":1,"updates":[{"symbol":"a:b","seq":1${rest}}]}`;

  it.each([
    [',"price_scale":16', 'range'], [',"bid":"1.00","price_scale":3', 'syntax'], [',"bid":"1.00","ask":"1.0"', 'syntax'],
    [',"bid":"1.00","price_scale":null', 'syntax'], [',"bid":true', 'type'], [',"trades":1.5', 'range'], [',"trades":9007199254740993', 'range'],
    [',"trades":"1"', 'type'], [',"seq":1e400', 'range'], [',"status":0', 'type'], [',"history":-1', 'range'], [',"bid":"1e5"', 'syntax'],
    [',"symbol":""', 'range'], [`,"symbol":"a:${'a'.repeat(63)}"`, 'range'], [',"bid":null,"constructor":5,"__proto__":7', 'none'],
  ])('%s: %s', (rest, error) => expect(kind(() => parseMessageJSON(update(rest)))).toBe(error));

  it('brings the scale that decimals are printed in, and says that it was not named', () => {
    expect(parseMessageJSON(update(',"bid":"1.00","ask":null'))).toMatchObject({ updates: [{ mask: 5 | (1 << 16), agree: expect.any(Function), values: [100, NaN, 2] }] });
    expect(parseMessageJSON(update(',"bid":"1.00","price_scale":2'))).not.toHaveProperty('updates.0.agree');
  });
});

describe('the board', () => {
  const image = '{"type":"data","sent_at":1,"updates":[{"symbol":"a:b","seq":5,"image":true,"history":1,"bid":"1.00","ask":"2.00","price_scale":2}]}';
  const merge = (board: Board, text: string): unknown => {
    const m = parseMessageJSON(text);
    return m.type === 'data' ? board.merge(m.updates[0]!, 1) : undefined;
  };
  const begin = (): Board => {
    const board = new Board();
    board.confirm('a:b', 1, '');
    merge(board, image);
    return board;
  };

  it('does not let decimals of another scale move the point of others', () => {
    const delta = (rest: string): string => `{"type":"data","sent_at":1,"updates":[{"symbol":"a:b","seq":6,${rest}}]}`;
    expect(kind(() => merge(begin(), delta('"bid":"1.500"')))).toBe('order');
    expect(kind(() => merge(begin(), delta('"bid":"1.500","ask":"2.000","price_scale":3')))).toBe('none');
  });

  it('tells what differs, not what came', () => {
    const board = begin();
    expect(merge(board, image)).toMatchObject({ changed: [], conflated: 0 });
    expect(merge(board, image.replace('"ask":"2.00",', '').replace(':5', ':9'))).toMatchObject({ changed: ['ask'], conflated: 3 });
    expect(kind(() => merge(board, image.replace(':5', ':8')))).toBe('order');
  });

  it('counts a symbol once, whatever number it has', () => {
    const board = begin();
    const { hash } = board;
    board.confirm('a:b', 2, '');
    expect([board.subs, board.hash]).toEqual([1, hash]);
    board.forget('a:b');
    board.forget('a:b');
    expect([board.subs, board.hash, board.quotes.size]).toEqual([0, 0, 0]);
  });
});
