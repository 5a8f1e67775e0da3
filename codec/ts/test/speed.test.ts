import { encode } from '@msgpack/msgpack';
import { describe, expect, it } from 'vitest';
import { Board } from '../src/board.js';
import { parseMessageJSON } from '../src/json.js';
import { parseMessage } from '../src/message.js';

const SYMBOLS = 200, PER_SECOND = 50, SECONDS = 10;

/** Messages of ten seconds: 200 symbols, 50 updates a second each, as cycles of 100 ms bring them. */
function market(json: boolean): (string | Uint8Array)[] {
  const out: (string | Uint8Array)[] = [];
  for (let cycle = 0; cycle < SECONDS * 10; cycle++) {
    for (let part = 0; part < PER_SECOND / 10; part++) {
      const seq = 1000 + cycle * 5 + part, price = 6_183_700 + ((cycle * 7 + part) % 90);
      const ids = Array.from({ length: SYMBOLS }, (_, id) => id);
      const updates = json
        ? ids.map((id) => ({ symbol: `sim:S${id}`, seq, bid: (price / 100).toFixed(2), bid_size: '1.50000', ask: (price / 100 + 1).toFixed(2), recv_time: 1723161254087898 }))
        : ids.map((id) => [id, seq, 0, 0x8007, price, 150000, price + 100, 1723161254087898]);
      out.push(json ? JSON.stringify({ type: 'data', sent_at: 1, updates }) : encode([0, 1, ...updates]));
    }
  }
  return out;
}

describe('ten seconds of 200 symbols at 50 updates a second', () => {
  it.each(['msgpack', 'json'])('%s', (encoding) => {
    const messages = market(encoding === 'json');
    const board = new Board();
    for (let id = 0; id < SYMBOLS; id++) board.confirm(`sim:S${id}`, id, '');
    const from = performance.now();
    let told = 0, longest = 0;
    for (const bytes of messages) {
      const one = performance.now();
      const m = typeof bytes === 'string' ? parseMessageJSON(bytes) : parseMessage(bytes);
      if (m.type === 'data') for (const u of m.updates) told += board.merge(u, m.sentAt)!.changed.length > 0 ? 1 : 0;
      longest = Math.max(longest, performance.now() - one);
    }
    const took = performance.now() - from;
    console.log(`${encoding}: ${SYMBOLS * PER_SECOND * SECONDS} updates in ${took.toFixed(0)} ms, ${((took * 1e6) / told).toFixed(0)} ns each, longest message ${longest.toFixed(1)} ms`);
    expect(told).toBe(SYMBOLS * PER_SECOND * SECONDS);
  }, 60_000);
});
