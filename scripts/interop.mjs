// Somebody else's software for the tests that need it: found, else installed.

import { installWithApt } from './apt.mjs';
import { SetupError } from './failure.mjs';
import { findPrograms } from './machine.mjs';

/** Where Debian keeps what only administrators start. */
const FURTHER = ['/usr/sbin', '/usr/local/sbin', '/opt/homebrew/bin'];

/** Programs, which are packages of that name, and how the children are told where they are. */
const PROGRAMS = { nginx: 'EDGEMINT_NGINX', caddy: 'EDGEMINT_CADDY' };

/**
 * Sees to it that the proxies are there, and names them to the children.
 * @param {import('./machine.mjs').Machine} machine
 * @param {{ isRoot?: boolean, further?: string[] }} [circumstances]
 */
export async function ensureProxies(machine, { isRoot, further = FURTHER } = {}) {
  for (const [name, variable] of Object.entries(PROGRAMS)) {
    const find = () => findPrograms(machine, name, further)[0];
    if (!find()) await installWithApt(machine, name, `Installing ${name} with apt-get`, isRoot);
    const program = find();
    if (!program) {
      throw new SetupError(`${name} is not installed: install it with what your system installs programs with, and run this again.`);
    }
    machine.env[variable] = program;
  }
}
