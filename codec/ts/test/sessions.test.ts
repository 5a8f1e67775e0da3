import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { Board, FIELDS, parseMessage, parseMessageJSON, type Message } from '../src/index.js';

const dir = new URL('../../testdata/sessions/', import.meta.url);

interface Session {
  messages: { msgpack: string; json: string }[];
  quotes: Record<string, Record<string, string | number>>;
}

/** What a client does with a message, without a connection. */
function take(board: Board, m: Message): void {
  if (m.type === 'reply') for (const r of m.results ?? []) if (r.id !== undefined) board.confirm(r.symbol, r.id);
  if (m.type === 'data') for (const u of m.updates) board.merge(u);
  if (m.type === 'heartbeat') expect([board.subs, board.hash]).toEqual([m.subs, m.hash]);
}

describe('every shared session ends with the quotes its file names', () => {
  for (const file of readdirSync(dir)) {
    const s = JSON.parse(readFileSync(new URL(file, dir), 'utf8')) as Session;
    for (const encoding of ['msgpack', 'json'] as const) {
      test(`${file} ${encoding}`, () => {
        const board = new Board();
        for (const m of s.messages) {
          take(board, encoding === 'json' ? parseMessageJSON(m.json) : parseMessage(Buffer.from(m.msgpack, 'hex')));
        }
        for (const [symbol, want] of Object.entries(s.quotes)) {
          const q = board.quotes.get(symbol)!;
          expect(q.seq).toBe(want.seq);
          for (const f of FIELDS) {
            const text = q.text(f);
            expect(typeof want[f] === 'number' ? Number(text) : text, f).toBe(want[f] ?? null);
          }
        }
      });
    }
  }
});
