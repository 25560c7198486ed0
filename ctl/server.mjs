// Which server is meant, and who asks.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { EXIT, Failure } from './failure.mjs';

/** @typedef {import('./api.mjs').Server} Server */

/** @param {string} root of the project @param {Record<string, string | undefined>} env @returns {() => Server} */
export function readServer(root, env) {
  return () => {
    const issuer = (env.EDGEMINT_ISSUER ?? 'http://localhost:8787').replace(/\/$/, '');
    // The token opens everything: whoever is on the way would have it.
    if (!/^https:\/\/|^http:\/\/(localhost|127\.0\.0\.1|\[::1\])(:\d+)?$/.test(issuer)) {
      throw new Failure(EXIT.usage, `${issuer} is neither https nor loopback: the token is not sent there.`);
    }
    const token = env.ADMIN_TOKEN ?? ofDevelopment(root);
    if (!token) throw new Failure(EXIT.usage, 'ADMIN_TOKEN is not set, and there is no .dev.vars with one here.');
    return { issuer, token };
  };
}

/** @param {string} root */
function ofDevelopment(root) {
  try {
    return /^ADMIN_TOKEN=(.*)$/m.exec(readFileSync(join(root, '.dev.vars'), 'utf8'))?.[1];
  } catch {
    return undefined;
  }
}
