// Tokens for a real node, signed with the key that the test's environment names.
import { createPrivateKey, sign } from 'node:crypto';
import { readFileSync } from 'node:fs';

export interface Grant { symbols: string[]; rate?: number; subs?: number; conns?: number; newest?: boolean }

export function jwt(keyFile: string, sub: string, goodS: number, grant: Grant): string {
  const now = Math.floor(Date.now() / 1000);
  const text = [{ alg: 'EdDSA', typ: 'JWT' }, { sub, iat: now, exp: now + goodS, tickwire: grant }]
    .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.');
  return `${text}.${sign(null, Buffer.from(text), createPrivateKey(readFileSync(keyFile))).toString('base64url')}`;
}
