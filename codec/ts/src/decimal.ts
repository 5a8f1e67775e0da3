import { ProtocolError } from './error.js';

/** The largest magnitude of an integer on the wire: 2^53-1. */
export const MAX_INT = Number.MAX_SAFE_INTEGER;

/** The most decimals that a scale may say. */
export const MAX_SCALE = 15;

export interface Decimal { mantissa: number; scale: number }

/** mantissa x 10^-scale with exactly scale decimals; no float is involved. */
export function decimalText(mantissa: number, scale: number): string {
  if (scale === 0) return String(mantissa);
  const digits = String(Math.abs(mantissa)).padStart(scale + 1, '0');
  return (mantissa < 0 ? '-' : '') + digits.slice(0, -scale) + '.' + digits.slice(-scale);
}

const DECIMAL = /^-?(\d+)(?:\.(\d+))?$/;

/** The mantissa and the decimals of a text, exactly; syntax or range when there are none. */
export function parseDecimal(text: string): Decimal {
  const m = DECIMAL.exec(text);
  if (!m) throw new ProtocolError('syntax', `no decimal: ${text.slice(0, 40)}`);
  const part = m[2] ?? '';
  // No text of more than 2^53-1 rounds to less, so the comparison is exact.
  const mantissa = Number(m[1]! + part);
  if (mantissa > MAX_INT || part.length > MAX_SCALE) throw new ProtocolError('range', `beyond 53 bits: ${text.slice(0, 40)}`);
  return { mantissa: text[0] === '-' && mantissa !== 0 ? -mantissa : mantissa, scale: part.length };
}

/** The integer x if it is one from least to most; wrong types and other numbers are refused. */
export function integer(x: unknown, what: string, least: number, most: number): number {
  if (typeof x !== 'number') throw new ProtocolError('type', `${what} is no integer`);
  if (!(x >= least && x <= most) || !Number.isInteger(x)) throw new ProtocolError('range', `${what} is ${x}`);
  return x + 0; // -0 is 0
}
