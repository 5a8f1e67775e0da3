// Which symbols are on the board, and where that is remembered. The address says it
// (#symbols=a,b&rate=5), so that a board can be sent to somebody; storage says it for
// the next visit, and is written only when the user changes something: opening
// somebody's link does not overwrite one's own board.

const KEY = 'tickwire.board';

/** More than a board can usefully show; the protocol allows 10,000. */
export const SYMBOLS_MAX = 1000;

/** The board as it was left: { symbols: [...]|null, rate, view }. */
export function load() {
  const kept = stored();
  const asked = fromHash();
  return {
    symbols: asked.symbols ?? kept.symbols ?? null,
    rate: asked.rate ?? kept.rate ?? 0,
    view: kept.view ?? 'cards',
  };
}

export function save(board) {
  try {
    localStorage.setItem(KEY, JSON.stringify(board));
  } catch { /* storage may be forbidden or full: the address still has it */ }
}

/** Puts the board into the address without a new entry in the history. */
export function show({ symbols, rate }) {
  const hash = toHash(symbols, rate);
  if (hash !== location.hash) history.replaceState(history.state, '', hash || location.pathname + location.search);
}

export function toHash(symbols, rate) {
  const list = symbols.map((s) => encodeURIComponent(s).replaceAll('%3A', ':')).join(',');
  return '#symbols=' + list + (rate ? '&rate=' + rate : '');
}

export function fromHash(hash = location.hash) {
  const asked = new URLSearchParams(hash.slice(1).replaceAll('+', '%2B'));
  const rate = Number(asked.get('rate') ?? NaN);
  return {
    symbols: asked.has('symbols') ? clean(asked.get('symbols').split(',')) : null,
    rate: Number.isFinite(rate) && rate >= 0 ? rate : null,
  };
}

function stored() {
  try {
    const board = JSON.parse(localStorage.getItem(KEY)) ?? {};
    return {
      symbols: Array.isArray(board.symbols) ? clean(board.symbols) : null,
      rate: typeof board.rate === 'number' && board.rate >= 0 ? board.rate : null,
      view: board.view === 'rows' ? 'rows' : 'cards',
    };
  } catch {
    return {};
  }
}

function clean(symbols) {
  const kept = symbols.filter((s) => typeof s === 'string').map((s) => s.trim()).filter(Boolean);
  return [...new Set(kept)].slice(0, SYMBOLS_MAX);
}
