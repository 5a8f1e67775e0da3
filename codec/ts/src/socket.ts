import { ConfigError } from './error.js';

export type WebSocketClass = new (url: string | URL, protocols?: string | string[], options?: object) => WebSocket;

/** The global WebSocket, or, where there is none (Node 20), that of the `ws` package. */
export async function findWebSocket(): Promise<WebSocketClass> {
  if (globalThis.WebSocket) return globalThis.WebSocket;
  const peer = 'ws'; // not a literal below: bundlers for browsers would look for it
  try {
    return ((await import(/* @vite-ignore */ /* webpackIgnore: true */ peer)) as { default: WebSocketClass }).default;
  } catch {
    throw new ConfigError('no WebSocket here: install the ws package, or pass { WebSocket }');
  }
}
