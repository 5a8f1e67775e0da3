// Writes the client as one ES module for the page that a node serves:
//   npm run bundle                      to cmd/tickwire/web/tickwire.js
//   npm run bundle -- --outfile=FILE    elsewhere
// The same sources give the same bytes, wherever they lie.
import { build } from 'esbuild';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { resolve } from 'node:path';

const here = fileURLToPath(new URL('.', import.meta.url));
const asked = process.argv.find((arg) => arg.startsWith('--outfile='))?.slice('--outfile='.length);
const to = asked ? resolve(asked) : resolve(here, '../../cmd/tickwire/web/tickwire.js');
const licence = (await readFile(resolve(here, 'node_modules/@msgpack/msgpack/LICENSE'), 'utf8')).trim();
const banner = `/*
The client of codec/ts, written by its \`npm run bundle\`; do not edit.

Parts are of @msgpack/msgpack (https://github.com/msgpack/msgpack-javascript), ISC License:

${licence}
*/`;

await build({
  absWorkingDir: here,
  // Beside the package, what the page's console speaks with: a client's user has no need of it.
  stdin: {
    contents: `
      export * from './src/index.ts';
      export { Board } from './src/board.ts';
      export { decimalText } from './src/decimal.ts';
      export { reasonOf } from './src/flags.ts';
      export { parseMessageJSON } from './src/json.ts';
      export { parseMessage } from './src/message.ts';
      export { fieldsOf } from './src/quote.ts';
      export { encode } from '@msgpack/msgpack';
    `,
    resolveDir: here,
  },
  outfile: to,
  bundle: true,
  format: 'esm',
  target: 'es2022',
  charset: 'utf8',
  legalComments: 'none',
  banner: { js: banner },
  logLevel: 'warning',
});
