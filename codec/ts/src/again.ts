const FIRST_MS = 1_000, MOST_MS = 5_000, GROWTH = 1.6;

/**
 * Symbols to be asked for again: after a second, then more and more slowly, with
 * jitter, all in one go. A symbol that is new here begins at a second again.
 */
export class Again {
  /** By name: whether it is due, or was asked for and may not have been answered yet. */
  readonly #names = new Map<string, boolean>();
  readonly #ask: (symbols: string[]) => void;
  #delayMs = FIRST_MS;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(ask: (symbols: string[]) => void) {
    this.#ask = ask;
  }

  /** Asks for the symbol later; true when it was not among them so far. */
  add(symbol: string): boolean {
    const fresh = !this.#names.has(symbol);
    if (fresh) this.#delayMs = FIRST_MS;
    this.#names.set(symbol, true);
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      const symbols = [...this.#names.keys()].filter((name) => this.#names.get(name));
      for (const name of symbols) this.#names.set(name, false);
      this.#ask(symbols);
    }, this.#delayMs * (0.8 + 0.4 * Math.random()));
    if (!fresh) this.#delayMs = Math.min(this.#delayMs * GROWTH, MOST_MS);
    return fresh;
  }

  /** The symbol appeared, or is wanted no more. */
  done(symbol: string): void {
    this.#names.delete(symbol);
  }

  /** A new connection asks for everything anyway. */
  clear(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#names.clear();
    this.#delayMs = FIRST_MS;
  }
}
