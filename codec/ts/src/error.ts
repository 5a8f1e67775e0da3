/** Why a node refuses a request, or one symbol of it; a newer node may know more. */
export const Code = {
  MALFORMED: 100, UNKNOWN_OP: 101, BAD_SYMBOL: 110, UNKNOWN_SYMBOL: 111, NOT_SUBSCRIBED: 112, UNKNOWN_FIELD: 113, BAD_RATE: 114, BAD_RESUME: 115,
  TOO_MANY_SYMBOLS: 120, TOO_MANY_SUBS: 121, TOO_MANY_REQUESTS: 122, NOT_ALLOWED: 130, TOKEN_REFUSED: 131, UNAVAILABLE: 140,
} as const;

/** With what a node ends a token's connection for good: the token is revoked, or over, or has a newer connection. */
export const CloseCode = { REVOKED: 4001, EXPIRED: 4002, REPLACED: 4003 } as const;

/** Whatever goes wrong: `error` events are such, and promises reject with them. */
export class TickwireError extends Error {
  override name = 'TickwireError';

  /**
   * text: without the symbol, pattern or code that it is about, with which the message begins.
   * retry: the same may succeed later. code: of Code, of a close, or the HTTP status of a
   * refused upgrade; 0 is none. reason: of a refused upgrade, why, in a word of PROTOCOL.md's.
   */
  constructor(readonly text: string, readonly retry = false, readonly code = 0, readonly symbol?: string, readonly reason?: string) {
    super(symbol ? `${symbol}: ${text}` : text);
  }
}

/** What was asked for cannot be: the text says what to do about it. */
export class ConfigError extends TickwireError {
  override name = 'ConfigError';
}

/** There is no connection to ask on just now; without retry, no more. */
export class NotConnected extends TickwireError {
  override name = 'NotConnected';
}

/** Why a request, or one symbol of it, failed, as it came. */
export interface WireError {
  id?: number | null;
  code: number;
  /** Begins with the name of the code. */
  text: string;
  retry: boolean;
}

/** A node refused a request, or one symbol or pattern of it. */
export class RequestError extends TickwireError {
  override name = 'RequestError';

  constructor({ code, text, retry }: WireError, symbol?: string) {
    super(text, retry, code, symbol);
  }
}

/** A node will not have this client back: connecting again as it is cannot help. */
export class FinalError extends TickwireError {
  override name = 'FinalError';
  override message = `refused with ${this.code}${this.text && `: ${this.text}`}`;
}

/** What a receiver refuses: the classes of PROTOCOL.md and testdata/invalid.json. */
export type ErrorClass = 'truncated' | 'trailing' | 'type' | 'range' | 'count' | 'syntax' | 'version';

/**
 * A message that is wrong, or, of class order, a promise of the protocol that was
 * broken: a seq that goes back, another scale than the one held. The connection is given
 * up for it, and comes back.
 */
export class ProtocolError extends TickwireError {
  override name = 'ProtocolError';

  constructor(readonly kind: ErrorClass | 'order', text: string) {
    super(`${kind}: ${text}`, true);
  }
}

/** Refuses what is wrong. */
export function refuse(kind: ProtocolError['kind'], text: string): never {
  throw new ProtocolError(kind, text);
}
