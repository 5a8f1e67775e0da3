// Tokens for a real node, signed with the key that TICKWIRE_SIGN_KEY names. JavaScript,
// for the page's tests sign with it too, and nothing compiles those.
import { createPrivateKey, sign } from 'node:crypto';
import { readFileSync } from 'node:fs';

/**
 * @param {string} sub
 * @param {number} goodS
 * @param {{ symbols?: string[], rate?: number, subs?: number, conns?: number, newest?: boolean }} grant everything, but for what it says
 */
export function jwt(sub, goodS, grant = {}) {
  const now = Math.floor(Date.now() / 1000);
  const text = [{ alg: 'EdDSA', typ: 'JWT' }, { sub, iat: now, exp: now + goodS, tickwire: { symbols: ['*'], ...grant } }]
    .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.');
  return `${text}.${sign(null, Buffer.from(text), createPrivateKey(readFileSync(process.env.TICKWIRE_SIGN_KEY))).toString('base64url')}`;
}
