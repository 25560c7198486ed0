// `.dev.vars`: the secrets of the Worker on a laptop, made once.

import { randomBytes } from 'node:crypto';
import { existsSync, linkSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** @returns {string} 32 random bytes, base64url */
export function makeKey() {
  return randomBytes(32).toString('base64url');
}

/**
 * Makes `.dev.vars` unless it is there.
 * @param {import('./machine.mjs').Machine} machine
 */
export function ensureDevelopmentSecrets(machine) {
  const path = join(machine.root, '.dev.vars');
  if (existsSync(path)) return;
  const draft = `${path}.${randomBytes(6).toString('hex')}`;
  writeFileSync(draft, `MASTER_KEY=k1:${makeKey()}\nADMIN_TOKEN=${makeKey()}\nMODE=development\n`, { mode: 0o600, flag: 'wx' });
  try {
    // A link, unlike a rename, never replaces: what the keys in the file have encrypted would be lost.
    linkSync(draft, path);
  } catch (error) {
    if (/** @type {NodeJS.ErrnoException} */ (error).code !== 'EEXIST') throw error;
  } finally {
    rmSync(draft, { force: true });
  }
}
