// The npm packages of package-lock.json, and a Node that is new enough for wrangler.

import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join, sep } from 'node:path';
import { SetupError } from './failure.mjs';
import { addToPath, findPrograms, isExecutable } from './machine.mjs';
import { run } from './process.mjs';

/** What wrangler demands. */
const NODE_MINIMUM = [22, 12];
const UNREACHABLE = /\b(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|ERR_SOCKET_TIMEOUT)\b/;

/**
 * Installs the packages unless those of this lock file are there.
 * @param {import('./machine.mjs').Machine} machine
 * @param {Pick<import('./process.mjs').Options, 'aside'> & { meanwhile?: () => Promise<void> }} [options] meanwhile: what
 *   else there is to do while they are installed; it must not fail
 */
export async function ensurePackages(machine, { aside = false, meanwhile } = {}) {
  // `npm ls` takes seconds; a hash of the lock file, written after a complete install, takes a millisecond.
  const stamp = join(machine.root, 'node_modules', '.edgemint-lock');
  const wanted = createHash('sha256').update(readFileSync(join(machine.root, 'package-lock.json'))).digest('hex');
  if (readIfPresent(stamp) === wanted) return;

  const env = { ...machine.env };
  // npm is about to replace the node_modules that `npm start` put first on PATH, a Node among it.
  env.PATH = (env.PATH ?? '').split(delimiter).filter((entry) => !entry.endsWith(join(sep, 'node_modules', '.bin'))).join(delimiter);
  const [npm] = findPrograms({ ...machine, env }, 'npm');
  if (!npm) throw new SetupError('npm is not installed: install Node.js with npm from https://nodejs.org, and run this again.');
  const other = meanwhile?.();
  const { code, tail } = await run(machine, npm, ['ci', '--include=dev', '--include=optional', '--no-audit', '--no-fund'], {
    env,
    aside,
    label: 'Installing the npm packages (a few hundred MB)',
    limit: 1200,
  });
  await other;
  if (code !== 0) {
    throw new SetupError(
      tail.some((line) => UNREACHABLE.test(line))
        ? 'The npm packages could not be installed because the npm registry cannot be reached: check the network and run this again.'
        : 'The npm packages could not be installed: `npm ci` failed as shown above; fix that and run this again.',
      tail,
    );
  }
  writeFileSync(stamp, wanted);
}

/**
 * Makes a Node that wrangler accepts the first on the children's PATH.
 * @param {import('./machine.mjs').Machine} machine
 * @param {{ path: string, version: string }} [running]
 * @returns {string} its path
 */
export function ensureNode(machine, running = { path: process.execPath, version: process.versions.node }) {
  const installed = join(machine.root, 'node_modules', 'node', 'bin', 'node');
  const [major, minor] = running.version.split('.').map(Number);
  const isCurrent = major > NODE_MINIMUM[0] || (major === NODE_MINIMUM[0] && minor >= NODE_MINIMUM[1]);
  const node = isCurrent ? running.path : installed;
  if (!isExecutable(node)) {
    throw new SetupError(
      `wrangler needs Node ${NODE_MINIMUM.join('.')} or newer, this is ${running.version}, and npm has no newer one for this machine: install one from https://nodejs.org.`,
    );
  }
  addToPath(machine, dirname(node), 'first');
  return node;
}

/** @param {string} path */
function readIfPresent(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
