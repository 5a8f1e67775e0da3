/**
 * A JWT, or a function that gets one: to begin with, when two thirds of what the node
 * said that one is good for are over, and when a node says that it has expired. It is
 * never called twice at a time. The token that it gave before is no error, nor is a
 * rejection: it is called again soon.
 */
export type TokenSource = string | (() => string | Promise<string>);

const LEAST_MS = 5_000; // before its end a token is renewed, if it has so long
const PAUSE_MS = 1_000; // between two tokens at the least
const TTL_MOST_S = 365 * 24 * 3600; // more is as good
const EXPIRED = 4002; // of a close

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
    if (seconds != null) this.#due = Math.min(this.#due, Date.now() + renewAfter(1000 * Math.min(seconds, TTL_MOST_S)));
  }

  /** Whether another may help against what refused this one. */
  survives(code: number, word: string | undefined): boolean {
    const expired = code === EXPIRED || (code === 401 && word === 'expired');
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
    let token: unknown;
    try {
      token = await this.#source!();
    } catch (e) {
      throw new Error(`no new token: ${e instanceof Error ? e.message : String(e)}`);
    }
    if (typeof token !== 'string' || token === '') throw new Error('no new token: there is none');
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

/** Why a node takes no upgrade. */
export interface Refusal { code: number; reason: string; word?: string; final: boolean; afterMs: number }

const ASK_MS = 5_000;

/**
 * Asks a node by plain HTTP what a WebSocket does not tell in a browser: why it was not
 * opened. It has the same door as the stream. Undefined when nothing is to be learnt.
 */
export async function askWhy(stream: string, token: string): Promise<Refusal | undefined> {
  const url = /^ws(s?:.*\/v1\/)stream$/.exec(stream.replace(/[?#].*/, ''));
  if (!url || typeof fetch !== 'function') return undefined;
  try {
    const headers: Record<string, string> = token ? { Authorization: `Bearer ${token}` } : {};
    const answer = await fetch(`http${url[1]}symbols`, { headers, cache: 'no-store', signal: AbortSignal.timeout(ASK_MS) });
    const { status } = answer;
    if (answer.ok || status === 426) {
      void answer.body?.cancel(); // the list itself is not wanted
      return answer.ok ? { code: 1006, reason: 'the node answers, but opens no stream: it may have all the connections that it takes', final: false, afterMs: 0 } : undefined;
    }
    const told = (await answer.json()) as { error?: unknown; reason?: unknown };
    if (typeof told.error !== 'string') return undefined;
    const refusal: Refusal = {
      code: status, reason: `refused with ${status}: ${told.error.slice(0, 300)}`, final: status === 401 || status === 403,
      afterMs: 1000 * Math.min(60, Number(answer.headers.get('Retry-After')) || 0),
    };
    if (typeof told.reason === 'string') refusal.word = told.reason;
    return refusal;
  } catch {
    return undefined; // nobody there, or no node
  }
}
