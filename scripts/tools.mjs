// The tools that must be compiled, in a cache that all clones share: `<cache>/<crate>-<version>/bin/<program>`. The
// build needs worker-build and wasm-bindgen; only fuzzing needs cargo-fuzz.

import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { SetupError } from './failure.mjs';
import { findPrograms, isExecutable } from './machine.mjs';
import { run } from './process.mjs';

const WORKER_BUILD_VERSION = '0.8.7';
/** An install that has not ended after a day never will. */
const ABANDONED = 24 * 60 * 60 * 1000;

/**
 * @typedef {object} Tool
 * @property {string} crate
 * @property {string} program
 * @property {string} version
 */

/** @type {Tool} asked for by `scripts/fuzz.mjs`, not by set-up */
export const CARGO_FUZZ = { crate: 'cargo-fuzz', program: 'cargo-fuzz', version: '0.13.2' };

/**
 * What the build needs.
 * @param {import('./machine.mjs').Machine} machine
 * @returns {Tool[]}
 */
export function listTools(machine) {
  return [
    { crate: 'worker-build', program: 'worker-build', version: WORKER_BUILD_VERSION },
    // The library that the Worker links and the program that reads its output must be of one version.
    { crate: 'wasm-bindgen-cli', program: 'wasm-bindgen', version: readLockedVersion(machine, 'wasm-bindgen') },
  ];
}

/**
 * Sees to it that the tools are there.
 * @param {import('./machine.mjs').Machine} machine
 * @param {Tool[]} [tools]
 * @returns {Promise<Record<string, string>>} program → path
 */
export async function ensureTools(machine, tools = listTools(machine)) {
  /** @type {Record<string, string>} */
  const paths = {};
  const missing = [];
  for (const tool of tools) {
    const path = await findTool(machine, tool);
    if (path) paths[tool.program] = path;
    else missing.push(tool);
  }
  if (missing.length > 0) {
    const names = missing.map((tool) => `${tool.crate} ${tool.version}`).join(' and ');
    console.log(`Compiling ${names}: once for this machine, some minutes each.`);
  }
  // One after another: cargo uses every core by itself.
  for (const tool of missing) paths[tool.program] = await installTool(machine, tool);
  return paths;
}

/** @param {import('./machine.mjs').Machine} machine @param {Tool} tool */
function cachedPath(machine, tool) {
  return join(machine.cache, `${tool.crate}-${tool.version}`, 'bin', tool.program);
}

/** @param {import('./machine.mjs').Machine} machine @param {Tool} tool @returns {Promise<string | undefined>} */
async function findTool(machine, tool) {
  const cached = cachedPath(machine, tool);
  if (isExecutable(cached)) return cached;
  for (const path of findPrograms(machine, tool.program, [join(machine.cargoHome, 'bin')])) {
    let answer = '';
    const { code } = await run(machine, path, ['--version'], {
      limit: 10,
      read: (line) => {
        answer ||= line.trim();
      },
    });
    // `worker-build --version` answers `0.8.7`, wasm-bindgen `wasm-bindgen 0.2.130`.
    if (code === 0 && answer.split(' ').at(-1) === tool.version) return path;
  }
  return undefined;
}

/**
 * Compiles into a directory of its own and renames it into place when it is complete: an interrupted install is
 * never mistaken for a tool, and of two at once the first to finish wins.
 * @param {import('./machine.mjs').Machine} machine
 * @param {Tool} tool
 * @returns {Promise<string>} the program's path
 */
async function installTool(machine, tool) {
  const name = `${tool.crate}-${tool.version}`;
  const unfinished = join(machine.cache, `.installing-${name}-${randomBytes(6).toString('hex')}`);
  const target = join(unfinished, 'target');
  mkdirSync(target, { recursive: true });
  removeAbandoned(machine);
  // After a signal or a failure, too; once it is renamed there is nothing to remove.
  process.once('exit', () => rmSync(unfinished, { recursive: true, force: true }));

  const env = {
    ...machine.env,
    CARGO_TERM_PROGRESS_WHEN: 'always',
    CARGO_TERM_PROGRESS_WIDTH: '100',
    // Cargo's own choice, a directory under /tmp, would stay there after an interruption.
    CARGO_TARGET_DIR: target,
  };
  // These are meant for the project, not for a program that runs on this machine.
  for (const variable of ['RUSTFLAGS', 'CARGO_ENCODED_RUSTFLAGS', 'CARGO_BUILD_TARGET']) delete env[variable];
  // Not --locked: a version that the tool was locked to may have been withdrawn since.
  const args = ['install', tool.crate, '--version', `=${tool.version}`, '--root', unfinished];
  const { code, tail } = await run(machine, 'cargo', args, {
    cwd: unfinished,
    env,
    label: `Compiling ${name}`,
    read: readCargoProgress,
  });
  if (code !== 0 || !isExecutable(join(unfinished, 'bin', tool.program))) {
    rmSync(unfinished, { recursive: true, force: true });
    throw new SetupError(
      `${name} could not be compiled: check the network and the messages above, then run \`cargo install ${tool.crate} --version ${tool.version}\`.`,
      tail.filter((line) => !/^\s*Building \[/.test(line)),
    );
  }
  rmSync(target, { recursive: true, force: true });
  moveIntoPlace(machine, tool, unfinished);
  return cachedPath(machine, tool);
}

/** @param {import('./machine.mjs').Machine} machine @param {Tool} tool @param {string} finished */
function moveIntoPlace(machine, tool, finished) {
  const place = join(machine.cache, `${tool.crate}-${tool.version}`);
  for (let attempt = 0; ; attempt += 1) {
    try {
      renameSync(finished, place);
      return;
    } catch (error) {
      // The place is taken: by a complete tool that another set-up just put there, or by a remnant.
      if (isExecutable(cachedPath(machine, tool))) {
        rmSync(finished, { recursive: true, force: true });
        return;
      }
      if (attempt > 0) throw error;
      rmSync(place, { recursive: true, force: true });
    }
  }
}

/** @param {import('./machine.mjs').Machine} machine */
function removeAbandoned(machine) {
  for (const entry of readdirSync(machine.cache)) {
    if (!entry.startsWith('.installing-')) continue;
    const path = join(machine.cache, entry);
    const modified = statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? Date.now();
    if (Date.now() - modified > ABANDONED) rmSync(path, { recursive: true, force: true });
  }
}

/** @param {string} line */
function readCargoProgress(line) {
  const crates = /\b(\d+)\/(\d+)\b/.exec(line);
  if (/\bBuilding\b/.test(line) && crates) return `${crates[1]} of ${crates[2]} crates`;
  if (/^\s*(Updating|Downloading|Downloaded)\b/.test(line)) return 'downloading';
  return undefined;
}

/** @param {import('./machine.mjs').Machine} machine @param {string} crate */
export function readLockedVersion(machine, crate) {
  let lock;
  try {
    lock = readFileSync(join(machine.root, 'Cargo.lock'), 'utf8');
  } catch {
    throw new SetupError('Cargo.lock is missing: restore it with `git checkout Cargo.lock`.');
  }
  const version = new RegExp(`name = "${crate}"\\r?\\nversion = "([^"]+)"`).exec(lock)?.[1];
  if (!version) throw new SetupError(`Cargo.lock names no version of ${crate}: restore it with \`git checkout Cargo.lock\`.`);
  return version;
}
