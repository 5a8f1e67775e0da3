// The package as it is installed: what it has, how large it is, and that README.md says what is so.
import { build } from 'esbuild';
import { execFile, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Worker } from 'node:worker_threads';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { folder, install, type Project } from './installed.js';
import { Peer, until } from './peer.js';

const run = promisify(execFile);
const readme = readFileSync(join(folder, 'README.md'), 'utf8');
const blocks = (language: string): string[] => [...readme.matchAll(new RegExp(`\`\`\`${language}\n([^]*?)\`\`\``, 'g'))].map((m) => m[1]!);

let project: Project, peer: Peer;
beforeAll(async () => {
  project = install('ws', 'react', '@types/react', 'csstype', '@types/node', 'undici-types');
  peer = await Peer.start();
  for (const s of ['sim:ACORN-USD', 'sim:BIRCH-USD', 'coinbase:BTC-USD']) peer.list(s, { bid: 100, ask: 102, last: 101, status: 0, price_scale: 2 });
}, 60_000);
afterAll(async () => {
  await peer?.stop();
  project?.remove();
});

it('has its code, types, README and LICENSE, and nothing else', () => {
  const others = project.files.filter((f) => !/^dist\/\w+\.(js|d\.ts)$/.test(f));
  expect(others).toEqual(['LICENSE', 'README.md', 'package.json']);
  const { exports } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as { exports: Record<string, { types: string } | string> };
  for (const entry of Object.values(exports)) if (typeof entry === 'object') for (const file of Object.values(entry)) expect(project.files).toContain(file.slice(2));
  expect(readFileSync(join(folder, 'LICENSE'), 'utf8')).toBe(readFileSync(join(folder, '../../LICENSE'), 'utf8'));
});

/** Bytes of what a page loads at first for some code, minified and gzipped. */
async function size(code: string, ...external: string[]): Promise<number> {
  const { outputFiles } = await build({
    stdin: { contents: code, resolveDir: project.dir }, bundle: true, minify: true, format: 'esm', target: 'es2022', write: false, logLevel: 'error',
    external: [...external, './json.js', './refusal.js'], // loaded when they are needed
  });
  return gzipSync(outputFiles[0]!.text, { level: 9 }).length;
}

describe('is small', () => {
  it.each([['@tickwire/client'], ['@tickwire/client/store'], ['@tickwire/client/react', 'react']])('%s', async (entry, ...external) => {
    const bytes = await size(`export * from '${entry}'`, ...external);
    console.log(`${entry}: ${bytes} bytes minified and gzipped`);
    expect(bytes).toBeGreaterThan(300);
    expect(bytes).toBeLessThan(10 * 1024);
  });

  it('and what is not imported is not there', async () => {
    expect(await size(`import { Code } from '@tickwire/client'; console.log(Code)`)).toBeLessThan(400);
    expect(await size(`import '@tickwire/client'; import '@tickwire/client/store'; import '@tickwire/client/react'`)).toBeLessThan(30);
  });

  it('as README.md says', async () => {
    const kb = [...readme.matchAll(/^\|.*\| ([\d.]+) KB \|$/gm)].map((m) => Number(m[1]));
    const whole = await size(`export * from '@tickwire/client'`), store = await size(`export * from '@tickwire/client/store'`);
    const is = [whole, store, (await size(`export * from '@tickwire/client/react'`, 'react')) - store];
    expect(is.map((bytes, i) => [kb[i], Math.abs(bytes / 1000 - kb[i]!) < 0.3])).toEqual(kb.map((said) => [said, true]));
  });
});

it('works in a worker thread, with what it loads later', async () => {
  const worker = new Worker(project.write('worker.js', `
    import { parentPort, workerData } from 'node:worker_threads';
    import { Tickwire } from '@tickwire/client';
    for (const encoding of ['msgpack', 'json']) {
      const t = new Tickwire({ url: workerData, encoding });
      t.on('quote', ({ quote }) => parentPort.postMessage([encoding, quote.toJSON().bid]) || t.close());
      t.subscribe('sim:ACORN-USD');
    }
  `), { workerData: peer.url });
  const said: unknown[] = [];
  worker.on('message', (m) => said.push(m)).on('error', (e) => said.push(e));
  await until('both', () => said.length === 2, 10_000);
  await worker.terminate();
  expect(said.sort()).toEqual([['json', '1.00'], ['msgpack', '1.00']]);
});

describe('README.md', () => {
  const all = [...blocks('ts').map((text, i) => [`block${i}.ts`, text]), ...blocks('tsx').map((text, i) => [`block${i}.tsx`, text])] as [string, string][];

  it('compiles, with the strictest options', async () => {
    expect(all.length).toBe(3);
    all.forEach(([name, text]) => project.write(name, text));
    for (const [module, moduleResolution] of [['nodenext', 'nodenext'], ['esnext', 'bundler']]) {
      project.write('tsconfig.json', JSON.stringify({
        compilerOptions: { module, moduleResolution, target: 'es2022', lib: ['es2022', 'dom'], jsx: 'react-jsx', strict: true, exactOptionalPropertyTypes: true, noEmit: true, types: [] },
        include: ['*.ts', '*.tsx'],
      }));
      const { stdout } = await run(process.execPath, [join(folder, 'node_modules/typescript/bin/tsc'), '-p', project.dir]).catch((e: { stdout: string }) => e);
      expect(stdout).toBe('');
    }
  }, 60_000);

  it('runs', async () => {
    const [first, store] = await Promise.all(all.filter(([name]) => !name.endsWith('x')).map(async ([name, text]) => {
      const js = (await build({ stdin: { contents: text, loader: 'ts' }, write: false, format: 'esm', target: 'es2022' })).outputFiles[0]!.text;
      expect(js).toContain('ws://localhost:8080');
      const child = spawn(process.execPath, [project.write(name.replace('.ts', '.js'), js.replace('ws://localhost:8080', peer.url))]), out = { text: '', child };
      for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => { out.text += data; });
      return out;
    }));
    const lines = ['live node peer', 'sim:ACORN-USD 1.00 1.02 0 not sent', 'coinbase:BTC-USD subscribed', 'sim:* subscribed'];
    await until('all lines', () => lines.every((line) => first!.text.includes(line)), 10_000);
    first!.child.kill(); // it would run on
    await until('the end', () => store!.child.exitCode !== null, 10_000);
    expect([store!.text, store!.child.exitCode]).toEqual(['1.01\n', 0]);
  }, 30_000);
});
