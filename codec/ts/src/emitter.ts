/** Typed events: E maps names to what listeners get. */
export class Emitter<E extends { [K in keyof E]: unknown[] }> {
  readonly #listeners: { [K in keyof E]?: Set<(...args: E[K]) => void> } = {};

  /** Calls fn at every such event, until the function returned is called. */
  on<K extends keyof E>(name: K, fn: (...args: E[K]) => void): () => void {
    const set = (this.#listeners[name] ??= new Set());
    set.add(fn);
    return () => void set.delete(fn);
  }

  protected emit<K extends keyof E>(name: K, ...args: E[K]): void {
    for (const fn of this.#listeners[name] ?? []) fn(...args);
  }
}
