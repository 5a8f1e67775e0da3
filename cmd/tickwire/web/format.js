// Numbers as people read them. Prices come as exact decimal text and stay exact:
// only separators are added. What is computed here (spread, change, rates) is told
// with the decimals that its inputs have.

const DASH = '–';
export const MINUS = '−';

/** "61837.60" -> "61,837.60". */
export function group(text) {
  if (text == null) return DASH;
  const dot = text.indexOf('.');
  const whole = dot < 0 ? text : text.slice(0, dot);
  if (whole.length < 4) return text;
  const grouped = whole.replace(/\B(?=(\d{3})+$)/g, ',');
  return dot < 0 ? grouped : grouped + text.slice(dot);
}

/** Decimals behind the point of an exact decimal text. */
export function decimals(text) {
  const dot = text.indexOf('.');
  return dot < 0 ? 0 : text.length - dot - 1;
}

/** Decimals that a text needs: "61837.60000000" needs one. */
export function needed(text) {
  return text == null ? 0 : decimals(text.includes('.') ? text.replace(/0+$/, '') : text);
}

/** A price with so many decimals, which it needs no more of; an average price makes the scale finer than prices are. */
export function price(text, places) {
  if (text == null) return DASH;
  const spare = decimals(text) - Math.max(places, needed(text));
  return group(spare > 0 ? text.slice(0, -spare).replace(/\.$/, '') : text);
}

/** A plain number with a fixed count of decimals, grouped. */
export function fixed(n, digits) {
  return Number.isFinite(n) ? group(n.toFixed(digits)) : DASH;
}

/** The same with its sign always there; zero has none. */
export function signed(n, digits) {
  if (!Number.isFinite(n)) return DASH;
  const text = Math.abs(n).toFixed(digits);
  const zero = Number(text) === 0;
  return (zero ? '' : n > 0 ? '+' : MINUS) + group(text);
}

/** A size of so many decimals in some five characters: 0.1234, 12.35, 4,310, 12.4K, 3.1M. */
export function compact(n, places) {
  if (!Number.isFinite(n)) return DASH;
  const a = Math.abs(n);
  if (a >= 1e9) return trim(n / 1e9) + 'B';
  if (a >= 1e6) return trim(n / 1e6) + 'M';
  if (a >= 1e4) return trim(n / 1e3) + 'K';
  if (a >= 1000) return group(n.toFixed(0));
  if (a > 0 && a < 0.0001) return n.toPrecision(2);
  return n.toFixed(Math.min(places, a >= 10 ? 2 : 4));
}

function trim(n) {
  return n.toFixed(Math.abs(n) >= 100 ? 0 : Math.abs(n) >= 10 ? 1 : 2).replace(/\.0+$/, '');
}

/** Whole counts with separators. */
export function count(n) {
  return group(String(Math.round(n)));
}

/** Events a second: below ten one decimal shows that something moves at all. */
export function perSecond(n) {
  if (n === 0) return '0';
  if (n < 0.05) return '<0.1';
  return n < 9.95 ? n.toFixed(1) : count(n);
}

/** Microseconds as a duration: 0.42 ms, 3.1 ms, 42 ms, 1.2 s, 3 min. */
export function duration(us) {
  if (!Number.isFinite(us)) return DASH;
  const ms = us / 1000;
  if (ms < 0) return '0 ms';
  if (ms < 0.995) return ms.toFixed(2) + ' ms';
  if (ms < 9.95) return ms.toFixed(1) + ' ms';
  if (ms < 999.5) return ms.toFixed(0) + ' ms';
  if (ms < 9950) return (ms / 1000).toFixed(1) + ' s';
  if (ms < 99500) return (ms / 1000).toFixed(0) + ' s';
  return ms < 5.97e6 ? (ms / 60000).toFixed(0) + ' min' : (ms / 3.6e6).toFixed(0) + ' h';
}

/** Bytes a second as [number, unit]. */
export function bytes(n) {
  if (n < 1000) return [n.toFixed(0), 'B/s'];
  if (n < 999500) return [(n / 1000).toFixed(n < 99500 ? 1 : 0), 'kB/s'];
  return [(n / 1e6).toFixed(2), 'MB/s'];
}

/** Basis points: two decimals while they are small. */
export function bps(n) {
  if (!Number.isFinite(n)) return DASH;
  const a = Math.abs(n);
  return (a < 10 ? n.toFixed(2) : a < 100 ? n.toFixed(1) : n.toFixed(0)) + ' bp';
}

/** "coinbase:BTC-USD" -> its parts; a symbol without a quote asset has none. */
export function parts(symbol) {
  const colon = symbol.indexOf(':');
  const venue = colon < 0 ? '' : symbol.slice(0, colon);
  const pair = symbol.slice(colon + 1);
  const dash = pair.indexOf('-');
  return dash < 1
    ? { venue, base: pair, counter: '', pair }
    : { venue, base: pair.slice(0, dash), counter: pair.slice(dash), pair };
}

/** Updates per second and symbol: those chosen, 0 for every one, or what a token allows where that is less. */
export function atMost(chosen, allowed = Infinity) {
  if (allowed < (chosen || Infinity)) return `at most ${Math.round(10 * allowed) / 10}/s, by the token`;
  return chosen ? `at most ${chosen}/s` : 'every one';
}
