import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { FIELDS, ProtocolError, parseMessage, parseMessageJSON, symbolHash, type Message } from '../src/index.js';

interface Vector { name: string; kind: string; encoding: string; hex?: string; text?: string; value?: unknown; error?: string }

const load = (name: string): Vector[] =>
  (JSON.parse(readFileSync(new URL(`../../testdata/${name}.json`, import.meta.url), 'utf8')) as Vector[]).filter((v) => v.kind === 'message');

const parse = (v: Vector): Message => (v.encoding === 'json' ? parseMessageJSON(v.text ?? '') : parseMessage(Buffer.from(v.hex ?? '', 'hex')));

/** A message in the vectors' own form. */
function meaning(m: Message): unknown {
  if (m.type !== 'data') return m;
  return {
    type: 'data', sent_at: m.sentAt,
    updates: m.updates.map(({ mask: _, values, ...u }) => ({
      ...u, fields: Object.fromEntries(FIELDS.flatMap((name, i) => (values[i] === undefined ? [] : [[name, values[i]]]))),
    })),
  };
}

describe('valid vectors mean what is written beside them', () => {
  for (const v of load('valid')) test(`${v.name} ${v.encoding}`, () => expect(meaning(parse(v))).toEqual(v.value));
});

describe('invalid vectors are refused, each as its class', () => {
  for (const v of load('invalid')) {
    test(`${v.name} ${v.encoding}`, () => {
      try {
        parse(v);
      } catch (e) {
        expect(e).toBeInstanceOf(ProtocolError);
        expect((e as ProtocolError).kind).toBe(v.error);
        return;
      }
      expect.unreachable('was taken');
    });
  }
});

test('the hash of a symbol is FNV-1a', () => expect(symbolHash('sim:A')).toBe(2333080881));
