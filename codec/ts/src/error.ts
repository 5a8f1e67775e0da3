/** What a receiver refuses: the classes of PROTOCOL.md and testdata/invalid.json. */
export type ErrorClass = 'truncated' | 'trailing' | 'type' | 'range' | 'count' | 'syntax' | 'version';

/**
 * A message that is wrong, or, of class order, a promise of the protocol that was
 * broken: a seq that goes back, another scale than the one held.
 */
export class ProtocolError extends Error {
  constructor(readonly kind: ErrorClass | 'order', text: string) {
    super(`${kind}: ${text}`);
    this.name = 'ProtocolError';
  }
}

/** Refuses what is wrong. */
export function refuse(kind: ProtocolError['kind'], text: string): never {
  throw new ProtocolError(kind, text);
}

/** Why a request, or one symbol of it, failed; numbers and names are PROTOCOL.md's. */
export interface WireError {
  id?: number | null;
  code: number;
  /** Begins with the name of the code. */
  text: string;
  /** The same may succeed later. */
  retry: boolean;
}

/** A request that the node refused as a whole, or that no connection is left for (code 0). */
export class RequestError extends Error implements WireError {
  readonly code: number;
  readonly text: string;
  readonly retry: boolean;

  constructor(e: WireError) {
    super(e.text);
    this.name = 'RequestError';
    this.code = e.code;
    this.text = e.text;
    this.retry = e.retry;
  }
}
