import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { expect, it } from 'vitest';

const script = fileURLToPath(new URL('../bundle.mjs', import.meta.url));

it('bundles to the same bytes each time, with the licence, and what is needed inside', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'tickwire-'));
  try {
    const texts = ['a.mjs', 'b.mjs'].map((name) => {
      execFileSync(process.execPath, [script, `--outfile=${join(dir, name)}`], { cwd: dir });
      return readFileSync(join(dir, name), 'utf8');
    });
    expect(texts[0]).toBe(texts[1]);
    expect(texts[0]).toContain('Copyright 2019 The MessagePack Community.');
    expect(texts[0]).toContain('THE SOFTWARE IS PROVIDED "AS IS"');
    expect(texts[0]).not.toMatch(/^import /m);
    expect(texts[0]).not.toContain(dir);
    const { Tickwire, parseMessage } = (await import(pathToFileURL(join(dir, 'a.mjs')).href)) as typeof import('../src/index.js') & typeof import('../src/message.js');
    expect(parseMessage(new Uint8Array([0x92, 4, 0x80]))).toEqual({ type: 'lag', blocked_ms: 0 });
    expect(Tickwire.name).toBe('Tickwire');
  } finally {
    rmSync(dir, { recursive: true });
  }
});
