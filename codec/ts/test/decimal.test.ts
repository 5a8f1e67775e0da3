import { describe, expect, it } from 'vitest';
import { decimalText, integer } from '../src/decimal.js';
import { ProtocolError } from '../src/error.js';
import { parseDecimal } from '../src/json.js';
import { Quote, fieldsOf, type Field } from '../src/quote.js';
import { INDEX } from '../src/quote.js';

const kind = (fn: () => unknown): string => {
  try {
    fn();
  } catch (e) {
    return e instanceof ProtocolError ? e.kind : String(e);
  }
  return 'none';
};

describe('decimals', () => {
  it.each([
    [6183760, 2, '61837.60'], [0, 0, '0'], [0, 3, '0.000'], [5, 3, '0.005'], [-5, 3, '-0.005'], [-3763, 2, '-37.63'],
    [9007199254740991, 15, '9.007199254740991'], [-9007199254740991, 0, '-9007199254740991'], [1, 15, '0.000000000000001'],
    [29, 1, '2.9'], [1000000000000000, 15, '1.000000000000000'],
  ])('%i of scale %i is %s, both ways', (mantissa, scale, text) => {
    expect(decimalText(mantissa, scale)).toBe(text);
    expect(parseDecimal(text)).toEqual({ mantissa, scale });
  });

  it('agrees with integers of any size on every scale', () => {
    for (let i = 0; i < 5000; i++) {
      const mantissa = Math.floor(Math.random() * 2 ** Math.ceil(Math.random() * 53)) * (i % 2 ? 1 : -1) + 0;
      const scale = i % 16;
      const text = decimalText(mantissa, scale);
      expect(BigInt(text.replace('.', ''))).toBe(BigInt(mantissa));
      expect(parseDecimal(text)).toEqual({ mantissa, scale });
    }
  });

  it.each(['', '-', '.', '1.', '.5', '+1', '1e5', ' 1', '1 ', '0x10', '1.2.3', '--1', '1,5', 'NaN', '١', '1\n'])('refuses %j', (text) => {
    expect(kind(() => parseDecimal(text))).toBe('syntax');
  });

  it.each(['9007199254740992', '-9007199254740992', '9007199254740993', '90071992547409.92', '0.0000000000000001', '1'.repeat(400)])(
    'does not hold %s', (text) => expect(kind(() => parseDecimal(text))).toBe('range'));

  it('has no negative nothing', () => {
    expect(Object.is(parseDecimal('-0.00').mantissa, 0)).toBe(true);
    expect(Object.is(integer(-0, 'x', -1, 1), 0)).toBe(true);
  });

  it('tells a wrong type from a wrong number', () => {
    expect(['1', null, undefined, {}, 5n].map((x) => kind(() => integer(x, 'x', 0, 9)))).toEqual(Array(5).fill('type'));
    expect([10, -1, 1.5, NaN, Infinity].map((x) => kind(() => integer(x, 'x', 0, 9)))).toEqual(Array(5).fill('range'));
  });
});

describe('quotes', () => {
  const quote = (values: Partial<Record<Field, number>>): Quote => {
    const q = new Quote('sim:A');
    for (const f in values) q.values[INDEX[f as Field]] = values[f as Field]!;
    return q;
  };

  it('prints each group in its own scale', () => {
    const q = quote({ bid: 123, bid_size: 5, volume: 70, price_scale: 2, size_scale: 4, volume_scale: 0, trades: 9, event_time: 17, status: 3 });
    expect((['bid', 'bid_size', 'volume', 'trades', 'event_time', 'status', 'ask'] as const).map((f) => q.text(f))).toEqual(
      ['1.23', '0.0005', '70', '9', '17', 'halted', null]);
    expect([q.number('bid'), q.number('status'), q.number('ask'), q.mantissa('bid'), q.scale('bid'), q.scale('trades')]).toEqual([1.23, 3, null, 123, 2, 0]);
    expect(q.toJSON()).toEqual({
      seq: 0, bid: '1.23', bid_size: '0.0005', volume: '70', trades: 9, status: 'halted', event_time: 17, price_scale: 2, size_scale: 4, volume_scale: 0 });
  });

  it('knows no price without its scale', () => {
    const q = quote({ bid: 123 });
    expect([q.text('bid'), q.number('bid'), q.toJSON()]).toEqual([null, null, { seq: 0 }]);
  });

  it('shows a status that a newer node may have', () => {
    expect(quote({ status: 9 }).text('status')).toBe('9');
  });

  it('gives the nearest double', () => {
    expect(quote({ last: 9007199254740991, price_scale: 15 }).number('last')).toBe(9.007199254740991);
    expect(quote({ last: 3, price_scale: 1 }).number('last')).toBe(0.3);
  });

  it('names the fields of a mask once', () => {
    expect(fieldsOf(0b101)).toEqual(['bid', 'ask']);
    expect(fieldsOf(0b101)).toBe(fieldsOf(0b101));
  });
});
