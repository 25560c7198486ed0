// Somebody else's software for the tests that need it: found, else installed.

import { createHash } from 'node:crypto';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { installWithApt } from './apt.mjs';
import { SetupError } from './failure.mjs';
import { findPrograms } from './machine.mjs';
import { run } from './process.mjs';

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

/** The libraries of Python that the tests use, and their versions. */
const REQUIREMENTS = 'tests/interop/requirements.txt';

/**
 * Sees to it that the client libraries of Python are there, in an environment of their own that all clones share, and names
 * its interpreter to the children.
 * @param {import('./machine.mjs').Machine} machine
 * @param {string[]} [further]
 */
export async function ensurePython(machine, further = FURTHER) {
  const requirements = join(machine.root, REQUIREMENTS);
  const digest = createHash('sha256').update(readFileSync(requirements)).digest('hex').slice(0, 12);
  const place = join(machine.cache, `python-${digest}`);
  const finished = join(place, 'finished');
  machine.env.EDGEMINT_PYTHON = join(place, 'bin/python3');
  if (existsSync(finished)) return;
  const python = () => findPrograms(machine, 'python3', further)[0];
  const make = async () => {
    rmSync(place, { recursive: true, force: true });
    const program = python();
    return program !== undefined && (await run(machine, program, ['-m', 'venv', place], { label: 'Making an environment for Python' })).code === 0;
  };
  if (!(await make())) {
    // Debian's Python comes without what makes environments.
    await installWithApt(machine, 'python3-venv', 'Installing python3-venv with apt-get');
    if (!(await make())) throw new SetupError('Python is not installed, or cannot make environments: install python3 with its venv, and run this again.');
  }
  const pip = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--requirement', requirements];
  const { code, tail } = await run(machine, machine.env.EDGEMINT_PYTHON, pip, { label: 'Installing client libraries of Python', limit: 300 });
  if (code !== 0) {
    for (const line of tail) console.error(`  | ${line}`);
    throw new SetupError(`The libraries of ${REQUIREMENTS} could not be installed with pip: see above.`);
  }
  writeFileSync(finished, '');
}
