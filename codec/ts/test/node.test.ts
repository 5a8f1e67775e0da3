import { expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { Tickwire } from '../src/index.js';

// A real node, `tickwire up`, where TICKWIRE_URL says: ws://127.0.0.1:8080/v1/stream
const url = process.env.TICKWIRE_URL;

for (const encoding of ['msgpack', 'json'] as const) {
  test.skipIf(!url)(`a real node, ${encoding}`, async () => {
    const t = new Tickwire({ url: url!, encoding, WebSocket });
    t.subscribe(['sim:*']);
    const seqs = new Map<string, number>();
    await new Promise<void>((resolve, reject) => {
      t.on('error', (e) => reject(new Error(e.text)));
      t.on('quote', (q) => {
        expect(q.seq).toBeGreaterThanOrEqual(seqs.get(q.symbol) ?? 0);
        seqs.set(q.symbol, q.seq);
        expect(q.text('bid')).toMatch(/^\d+\.\d+$/);
        if (seqs.size > 10 && q.skipped === 0 && !q.image) resolve();
      });
    });
    t.close();
  });
}
