/** How a symbol is wanted. */
export interface Terms {
  /** Updates a second and symbol, rounded down to what the node lists; 0 or none: as they come. */
  rate?: number | undefined;
  /** Names of fields; none: all. */
  fields?: readonly string[] | undefined;
}

interface Want {
  terms: Terms;
  /** The last terms that the node took; those it refuses give way to them. */
  taken: Terms | undefined;
}

export const isPattern = (symbol: string): boolean => symbol.endsWith('*');

export const matches = (pattern: string, symbol: string): boolean => symbol.startsWith(pattern.slice(0, -1));

/** The same text for the same set of fields; '' is all. */
export const viewOf = (terms: Terms): string => (terms.fields?.length ? [...new Set(terms.fields)].sort().join() : '');

const keyOf = (terms: Terms): string => `${terms.rate ?? 0} ${viewOf(terms)}`;

/** Symbols, or patterns, of the same terms. */
export interface Group { terms: Terms; symbols: string[] }

/** What is wanted, whether or not there is a connection: symbols and patterns, and on which terms. */
export class Wanted {
  readonly #wants = new Map<string, Want>();
  readonly #patterns = new Set<string>();
  /** Symbols given up by name that a pattern still names. */
  readonly #dropped = new Set<string>();

  add(symbol: string, terms: Terms): void {
    this.#wants.set(symbol, { terms, taken: this.#wants.get(symbol)?.taken });
    this.#dropped.delete(symbol);
    if (isPattern(symbol)) this.#patterns.add(symbol);
  }

  /** Of a pattern: what was dropped of it is dropped no more, for it is gone with it. */
  remove(symbol: string): void {
    this.#wants.delete(symbol);
    if (this.#patterns.delete(symbol)) {
      for (const s of this.#dropped) if (!this.byPattern(s)) this.#dropped.delete(s);
    } else if (this.byPattern(symbol)) {
      this.#dropped.add(symbol);
    }
  }

  all(): string[] {
    return [...this.#wants.keys()];
  }

  has(symbol: string): boolean {
    return this.#wants.has(symbol);
  }

  isDropped(symbol: string): boolean {
    return this.#dropped.has(symbol);
  }

  /** A pattern that names the symbol. */
  byPattern(symbol: string): string | undefined {
    for (const p of this.#patterns) if (matches(p, symbol)) return p;
    return undefined;
  }

  /** What is still wanted of that which a node ends with the pattern: names, and patterns that share some. */
  under(pattern: string): string[] {
    const prefix = pattern.slice(0, -1);
    return this.all().filter((s) => matches(pattern, s) || (isPattern(s) && prefix.startsWith(s.slice(0, -1))));
  }

  /** Whether updates of the symbol are welcome, by its name or a pattern's. */
  welcomes(symbol: string): boolean {
    return this.has(symbol) || (!this.isDropped(symbol) && this.byPattern(symbol) !== undefined);
  }

  terms(symbol: string): Terms | undefined {
    return (this.#wants.get(symbol) ?? this.#wants.get(this.byPattern(symbol) ?? ''))?.terms;
  }

  /** The node took a symbol on these terms. */
  took(symbol: string, terms: Terms): void {
    const w = this.#wants.get(symbol);
    if (w) w.taken = terms;
  }

  /** The node refused the terms: back to those it took, or wanted no more. */
  refused(symbol: string, terms: Terms): void {
    const w = this.#wants.get(symbol);
    if (!w || keyOf(w.terms) !== keyOf(terms)) return;
    if (w.taken) w.terms = w.taken;
    else this.remove(symbol);
  }

  /**
   * What to ask for, to have these: by terms, patterns first, for they take over what
   * they name; then the symbols that are wanted by name on terms of their own.
   */
  groups(symbols: readonly string[]): Group[] {
    const asked = new Set(symbols);
    const patterns = symbols.filter(isPattern);
    if (patterns.length > 0) for (const s of this.#wants.keys()) if (!isPattern(s) && patterns.some((p) => matches(p, s))) asked.add(s);
    const first = new Map<string, Group>(), then = new Map<string, Group>();
    for (const s of asked) {
      const terms = this.#wants.get(s)?.terms;
      if (!terms) continue;
      const into = isPattern(s) ? first : then;
      const group = into.get(keyOf(terms));
      if (group) group.symbols.push(s);
      else into.set(keyOf(terms), { terms, symbols: [s] });
    }
    return [...first.values(), ...then.values()];
  }
}
