import { CloseCode } from './error.js';
import { checkToken } from './options.js';

/**
 * A JWT, or a function that gets one: to begin with, when two thirds of what the node
 * said that one is good for are over, and when a node says that it has expired. It is
 * never called twice at a time. The token that it gave before is no error, nor is a
 * rejection: it is called again soon.
 */
export type TokenSource = string | (() => string | Promise<string>);

const LEAST_MS = 5_000; // before its end a token is renewed, if it has so long
const PAUSE_MS = 1_000; // between two tokens at the least

/** The token in use, and when another is due. */
export class Pass {
  readonly #source: (() => string | Promise<string>) | undefined;
  #getting: Promise<string> | undefined;
  #token: string;
  #due = Infinity;
  #spent = false; // a node said that it has expired

  constructor(source: TokenSource = '') {
    this.#source = typeof source === 'function' ? source : undefined;
    this.#token = typeof source === 'string' ? source : '';
  }

  get token(): string { return this.#token; }

  /** Another is used from now on. */
  set token(token: string) {
    this.#token = token;
    this.#due = Infinity;
    this.#spent = false;
  }

  /** The one that came since was refused: this one is used again, and another is due in a while. */
  back(token: string, afterMs: number): void {
    this.token = token;
    this.#due = Date.now() + afterMs;
  }

  /** ms until another is due; Infinity: never. */
  get dueMs(): number { return this.#source ? this.#due - Date.now() : Infinity; }

  /** Notes for how long the token is good; it is never renewed later than was noted first. */
  lasts(seconds: number | null | undefined): void {
    if (seconds != null) this.#due = Math.min(this.#due, Date.now() + renewAfter(1000 * seconds));
  }

  /** Whether another may help against what refused this one. */
  survives(code: number, reason: string | undefined): boolean {
    const expired = code === CloseCode.EXPIRED || (code === 401 && reason === 'expired');
    if (!expired || !this.#source) return false;
    return (this.#spent = true);
  }

  /** The token to connect with; failed hears of one that could not be had, but need not be. */
  async present(failed: (why: Error) => void): Promise<string> {
    const had = this.#token;
    if (!this.#source || (had && !this.#spent && this.dueMs > 0)) return had;
    try {
      const token = await this.next();
      if (this.#token === had) this.token = token; // else another came meanwhile
    } catch (e) {
      if (!this.#token || this.#spent) throw e;
      failed(e as Error); // it may still be good
    }
    return this.#token;
  }

  /** Gets another. */
  next(): Promise<string> {
    this.#getting ??= this.#get().finally(() => { this.#getting = undefined; });
    return this.#getting;
  }

  async #get(): Promise<string> {
    let token: unknown, why: unknown = 'there is none';
    try {
      token = await this.#source!();
    } catch (e) {
      why = e instanceof Error ? e.message : e;
    }
    if (typeof token !== 'string' || token === '') throw new Error(`no new token: ${why}`);
    checkToken(token);
    return token;
  }
}

/**
 * How long a token that is good for so long is left alone: two thirds of it, less for a
 * short one, and a tenth less or not, so that those given out together are not renewed
 * together.
 */
export function renewAfter(leftMs: number): number {
  const wait = Math.max(PAUSE_MS, leftMs / 3, Math.min((leftMs * 2) / 3, leftMs - LEAST_MS));
  return wait * (1 - 0.1 * Math.random());
}
