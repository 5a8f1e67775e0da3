import { readFileSync, readdirSync } from 'node:fs';
import { reasonOf, GAP, IMAGE } from '../src/flags.js';
import { FIELDS } from '../src/quote.js';
import type { Update } from '../src/update.js';

const dir = new URL('../../testdata/', import.meta.url);
const read = (name: string): unknown => JSON.parse(readFileSync(new URL(name, dir), 'utf8'));

export interface Vector {
  name: string;
  kind: 'message' | 'request' | 'entry';
  encoding: 'msgpack' | 'json';
  hex?: string;
  text?: string;
  value: Record<string, unknown>;
  error: string;
}

export interface SessionFile {
  about: string;
  error?: string;
  messages: { msgpack?: string; json: string }[];
  quotes: Record<string, Record<string, string | number>>;
}

export const valid = read('valid.json') as Vector[];
export const invalid = read('invalid.json') as Vector[];
const all = (of: string) => readdirSync(new URL(`${of}/`, dir)).map((file) => ({ file, ...(read(`${of}/${file}`) as SessionFile) }));
export const sessions = all('sessions');
export const refused = all('refused');

export const bytesOf = (hex = ''): Uint8Array => new Uint8Array(Buffer.from(hex, 'hex'));

/** An update as the vectors spell it out. */
export function spelled(u: Update): unknown {
  const fields: Record<string, number | null> = {};
  let i = 0;
  FIELDS.forEach((name, f) => {
    if (!((u.mask >>> f) & 1)) return;
    const v = u.values[i++]!;
    fields[name] = Number.isNaN(v) ? null : v;
  });
  return {
    key: u.key, seq: u.seq, history: u.history, image: (u.flags & IMAGE) !== 0, gap: (u.flags & GAP) !== 0,
    conflated: reasonOf(u.flags), fields,
  };
}
