import type { Lost } from './session.js';

const ASK_MS = 5_000;
const BODY_MOST = 4_096; // characters; a node's are few

/**
 * Asks a node by plain HTTP what a WebSocket does not tell in a browser: why it was not
 * opened. It has the same door as the stream. What was known stays when nothing is to be
 * learnt.
 */
export async function askWhy(stream: string, token: string, known: Lost): Promise<Lost> {
  const url = /^ws(s?:.*\/v1\/)stream$/.exec(stream.replace(/[?#].*/, ''));
  try {
    if (!url) return known;
    const headers: Record<string, string> = token ? { Authorization: `Bearer ${token}` } : {};
    const answer = await fetch(`http${url[1]}symbols`, { headers, cache: 'no-store', signal: AbortSignal.timeout(ASK_MS) });
    const { ok, status } = answer, body = await readSome(answer); // of the list itself nothing is wanted
    if (known.code !== 1006 && status !== known.code) return known; // of a status that we know, only its reason
    if (ok) return { ...known, text: 'the node answers, but opens no stream: it may have all the connections that it takes' };
    const { error, reason } = JSON.parse(body) as { error?: unknown; reason?: unknown };
    if (typeof error !== 'string' || status === 426) return known;
    return {
      ...known, code: status === 401 || status === 403 ? status : known.code, text: error.slice(0, 300),
      reason: typeof reason === 'string' ? reason : undefined, afterMs: 1000 * Math.min(60, Math.max(0, Number(answer.headers.get('Retry-After')) || 0)),
    };
  } catch {
    return known; // nobody there, or no node
  }
}

/** The beginning of a body, which may have no end. */
async function readSome({ body }: Response): Promise<string> {
  const reader = body!.getReader(), decoder = new TextDecoder();
  let text = '';
  while (text.length < BODY_MOST) {
    const { done, value } = await reader.read();
    if (done) break;
    text += decoder.decode(value, { stream: true });
  }
  void reader.cancel();
  return text;
}
