// A client that says a line for whatever happens to it, as the other languages' do:
// cmd/tickwire/alike_test.go holds them against each other.
import { readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { Tickwire } from '../dist/index.js';

const cfg = JSON.parse(process.argv[2]);
const say = (...words) => process.stdout.write(`${words.join(' ')}\n`);
const token = cfg.token_file ? async () => (await readFile(cfg.token_file, 'utf8')).trim() : cfg.token;
const t = new Tickwire({ url: cfg.url, token, encoding: cfg.encoding });

let final;
t.on('state', ({ state }) => say(state === 'closed' ? `final ${final.code} ${final.reason ?? '-'}` : state));
t.on('drain', () => say('drain'));
t.on('token', ({ error }) => say(error === undefined ? 'token' : 'token-error'));
t.on('error', (e) => {
  if (e.symbol === undefined && !e.retry) final = e;
  else if (e.code !== 0) say('error', e.code, e.symbol ?? '-', e.retry);
});
let updates = 0;
t.on('quote', () => { updates++; });
t.subscribe(cfg.symbols);

const FIELDS = ['bid', 'ask', 'last', 'status'];
const shown = (quote) => ({ seq: quote.seq, ...Object.fromEntries(FIELDS.map((f) => [f, quote.text(f)]).filter(([, text]) => text !== null)) });
const input = createInterface({ input: process.stdin });
input.on('line', (line) => {
  if (line === 'quotes') say('quotes', JSON.stringify(Object.fromEntries([...t.quotes].map(([symbol, quote]) => [symbol, shown(quote)]))));
  else say(line, line === 'updates' ? updates : t.conflated);
});
input.on('close', () => process.exit(0));
