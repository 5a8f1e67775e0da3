// Tokens for the node under test, signed with the key that TICKWIRE_SIGN_KEY names.
import { createPrivateKey, sign } from 'node:crypto';
import { readFileSync } from 'node:fs';

export function jwt(sub, goodS, grant = {}) {
  const now = Math.floor(Date.now() / 1000);
  const text = [{ alg: 'EdDSA', typ: 'JWT' }, { sub, iat: now, exp: now + goodS, tickwire: { symbols: ['*'], ...grant } }]
    .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.');
  return `${text}.${sign(null, Buffer.from(text), createPrivateKey(readFileSync(process.env.TICKWIRE_SIGN_KEY))).toString('base64url')}`;
}
