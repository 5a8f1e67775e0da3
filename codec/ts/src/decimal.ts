import { refuse } from './error.js';

/** The largest magnitude of an integer on the wire: 2^53-1. */
export const MAX_INT = Number.MAX_SAFE_INTEGER;

/** The most decimals that a scale may say. */
export const MAX_SCALE = 15;

/** mantissa x 10^-scale with exactly scale decimals; no float is involved. */
export function decimalText(mantissa: number, scale: number): string {
  if (scale === 0) return String(mantissa);
  const digits = String(Math.abs(mantissa)).padStart(scale + 1, '0');
  return (mantissa < 0 ? '-' : '') + digits.slice(0, -scale) + '.' + digits.slice(-scale);
}

/** The integer x if it is one from least to most; wrong types and other numbers are refused. */
export function integer(x: unknown, what: string, least: number, most: number): number {
  if (typeof x !== 'number') refuse('type', `${what} is no integer`);
  if (!(x >= least && x <= most) || !Number.isInteger(x)) refuse('range', `${what} is ${x}`);
  return x + 0; // -0 is 0
}
