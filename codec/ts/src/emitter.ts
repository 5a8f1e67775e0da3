/** Typed events: E maps names to what a listener gets. */
export class Emitter<E extends object> {
  readonly #listeners = new Map<keyof E, Set<(event: never) => void>>();

  /** Calls fn at every such event, until the function returned is called. */
  on<K extends keyof E>(name: K, fn: (event: E[K]) => void): () => void {
    let set = this.#listeners.get(name);
    if (!set) this.#listeners.set(name, (set = new Set()));
    set.add(fn);
    return () => void set.delete(fn);
  }

  /** Takes all listeners off, those included that an event under way has not come to yet. */
  protected hush(): void {
    for (const set of this.#listeners.values()) set.clear();
  }

  /** A listener that throws does so by itself: neither others nor the connection are held up. */
  protected emit<K extends keyof E>(name: K, event: E[K]): void {
    for (const fn of this.#listeners.get(name) ?? []) {
      try {
        (fn as (event: E[K]) => void)(event);
      } catch (e) {
        queueMicrotask(() => { throw e; });
      }
    }
  }
}
