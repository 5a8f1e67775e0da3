import { ConfigError } from './error.js';
import type { Terms } from './terms.js';
import type { TokenSource } from './token.js';

/** Of what comes; requests are JSON. */
export type Encoding = 'msgpack' | 'json';

export interface Options extends Terms {
  /** ws:// or wss://; without a path /v1/stream is meant. */
  url: string;
  /** A JWT, or a function that gets one, and the next in time; offered as the subprotocol bearer.<token>, since browsers can set no header. */
  token?: TokenSource | undefined;
  encoding?: Encoding | undefined;
  /** In place of the global one, or, where there is none (Node 20), the `ws` package's. */
  WebSocket?: unknown;
}

/** Completes options, and refuses those that no node could serve. */
export function checkOptions(options: Options): Options {
  const { encoding, token } = options;
  if (!/^(msgpack|json)$/.test(encoding ?? 'json')) refuse(`encoding ${encoding}: msgpack or json`);
  if (typeof token === 'string') checkToken(token);
  return { ...options, url: checkURL(options.url) };
}

/** Refuses text that is no token, and could not be offered as one. */
export function checkToken(token: string): void {
  if (!/^[!-~]*$/.test(token)) refuse('token: it has a blank, a newline or the like');
}

/** Refuses what is no stream's, and what would be shown with the URL and is a secret. */
function checkURL(text: string): string {
  const advice = 'a stream is at ws://HOST:PORT/v1/stream, or wss://';
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    return refuse(`the URL cannot be read: ${advice}`);
  }
  if (url.username || url.password) refuse('URL: leave name and password out: a node asks for a token');
  if (url.searchParams.has('token')) refuse('URL: leave the token out, others would log it: it goes apart, as { token }');
  if (/^http/.test(url.protocol)) refuse(`URL ${text}: take ${url.protocol.replace('http', 'ws')}//, ${advice}`);
  if (!/^wss?:$/.test(url.protocol)) refuse(`URL ${text}: ${advice}`);
  if (url.pathname === '/') url.pathname = '/v1/stream';
  url.hash = ''; // a WebSocket takes none
  return url.href;
}

function refuse(text: string): never {
  throw new ConfigError(text);
}
