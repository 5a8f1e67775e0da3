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
  /** The token that does not cover it. */
  barred?: string | undefined;
  /** A new token has lowered its rate, or that of what it takes. */
  slowed?: boolean;
}

export const isPattern = (name: string): boolean => name.endsWith('*');

export const matches = (pattern: string, symbol: string): boolean => symbol.startsWith(pattern.slice(0, -1));

/** The same text for the same set of fields; '' is all. */
export const viewOf = (terms: Terms): string => (terms.fields?.length ? [...new Set(terms.fields)].sort().join() : '');

const keyOf = (terms: Terms): string => `${terms.rate ?? 0} ${viewOf(terms)}`;

/** Names of the same terms. */
export interface Group { terms: Terms; names: string[] }

/**
 * The names wanted, symbols and patterns, whether or not there is a connection. They
 * stay in the order of their terms' age: of two that take a symbol the later rules.
 */
export class Wanted {
  readonly #wants = new Map<string, Want>();
  readonly #patterns = new Set<string>();

  add(name: string, terms: Terms): void {
    const taken = this.#wants.get(name)?.taken;
    this.#wants.delete(name);
    this.#wants.set(name, { terms, taken });
    if (isPattern(name)) this.#patterns.add(name);
  }

  remove(name: string): void {
    this.#wants.delete(name);
    this.#patterns.delete(name);
  }

  has(name: string): boolean {
    return this.#wants.has(name);
  }

  terms(name: string): Terms | undefined {
    return this.#wants.get(name)?.terms;
  }

  /** Whether a name takes the symbol. */
  takes(symbol: string): boolean {
    if (this.has(symbol)) return true;
    for (const p of this.#patterns) if (matches(p, symbol)) return true;
    return false;
  }

  /** The node took a name on these terms, at a rate. */
  took(name: string, terms: Terms, rate = 0): void {
    const w = this.#wants.get(name);
    if (!w) return;
    w.taken = terms;
    w.slowed &&= rate > 0 && (!terms.rate || rate < terms.rate);
  }

  /** A token does not cover a name, or no more: it is asked for again under another. */
  bar(name: string, token: string): void {
    const w = this.#wants.get(name);
    if (w) w.barred = token;
  }

  /** A new token has lowered a symbol's rate. */
  slowed(symbol: string): void {
    for (const [name, w] of this.#wants) if (name === symbol || (isPattern(name) && matches(name, symbol))) w.slowed = true;
  }

  isBarred(name: string, token: string): boolean {
    return this.#wants.get(name)?.barred === token;
  }

  /** What another token may cover, or let come faster. */
  stinted(): string[] {
    return [...this.#wants].filter(([, w]) => w.barred !== undefined || w.slowed).map(([name]) => name);
  }

  /** The node refused the terms: back to those it took, or wanted no more. */
  refused(name: string, terms: Terms): void {
    const w = this.#wants.get(name);
    if (!w || keyOf(w.terms) !== keyOf(terms)) return;
    if (w.taken) w.terms = w.taken;
    else this.remove(name);
  }

  /**
   * What to ask for, in order: names of the same terms together, but none moves past a
   * pattern, which would give it other terms.
   */
  groups(asked: (name: string) => boolean): Group[] {
    const groups: Group[] = [];
    const open = new Map<string, Group>();
    for (const [name, w] of this.#wants) {
      if (!asked(name)) continue;
      const { terms } = w;
      w.barred = undefined;
      const key = keyOf(terms);
      if (isPattern(name) && !(open.size === 1 && open.has(key))) open.clear();
      let group = open.get(key);
      if (!group) {
        open.set(key, (group = { terms, names: [] }));
        groups.push(group);
      }
      group.names.push(name);
    }
    return groups;
  }
}
