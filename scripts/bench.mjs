// `npm run bench`: how fast, beside what it could be and what others are. Installs what is missing, builds, and measures on this
// machine; `npm run bench -- --help` says how to measure less.

import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PASSES, build, enter, optimize } from './build.mjs';
import { SetupError, runScript } from './failure.mjs';
import { describeMachine } from './machine.mjs';
import { run, runOrFail } from './process.mjs';
import { setUp } from './setup.mjs';

const FLOOR = 'bench/floor';
/** Where its Worker goes; the tool takes it relative to the crate. */
const BUILT = 'target/floor';
/** What it is made of. */
const SOURCES = [`${FLOOR}/src/lib.rs`, `${FLOOR}/Cargo.toml`, 'Cargo.lock', 'scripts/bench.mjs'];

/** @typedef {import('./machine.mjs').Machine} Machine */

/** @param {Machine} machine @param {string[]} files from the root */
function hash(machine, files) {
  const sum = createHash('sha256');
  for (const file of files) sum.update(readFileSync(join(machine.root, file)));
  return sum.digest('hex');
}

/** @param {string} stamp @param {string} wanted */
const isStamped = (stamp, wanted) => existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted;

/** The peers, with the Node that they run on: packages of the benchmark's own lock file. @param {Machine} machine */
async function installPeers(machine) {
  const directory = join(machine.root, 'bench');
  const stamp = join(directory, 'node_modules', '.edgemint-lock');
  const wanted = hash(machine, ['bench/package-lock.json']);
  if (isStamped(stamp, wanted)) return;
  await runOrFail(machine, 'npm', ['ci', '--no-audit', '--no-fund'], {
    cwd: directory,
    label: 'Installing the peers',
    limit: 1200,
    failure: 'The peers could not be installed: `npm ci` in bench/ failed as shown above.',
  });
  writeFileSync(stamp, wanted);
}

/** The floors, by the tool that builds the Worker, and the program that runs its code outside the runtime. @param {Machine} machine */
async function buildBeside(machine) {
  const stamp = join(machine.root, BUILT, '.sources');
  const wanted = hash(machine, SOURCES);
  if (!isStamped(stamp, wanted)) {
    await runOrFail(machine, machine.env.WORKER_BUILD_BIN ?? 'worker-build', ['--release', FLOOR, '--out-dir', `../../${BUILT}`], {
      label: 'Building the floors',
      env: { ...machine.env, RUN_TO_COMPLETION: '1' },
      failure: 'The floors could not be built: worker-build failed as shown above.',
    });
    writeFileSync(stamp, wanted);
  }
  await runOrFail(machine, 'cargo', ['build', '--release', '--package', 'edgemint-bench'], {
    output: 'show',
    failure: 'bench/native could not be compiled: cargo failed as shown above.',
  });
}

/** The Worker once more, with the names of its functions. @param {Machine} machine */
async function buildWithNames(machine) {
  await runOrFail(machine, machine.env.WORKER_BUILD_BIN ?? 'worker-build', ['--release', '--no-opt', 'worker', '--out-dir', '../target/profile'], {
    label: 'Building the Worker with names',
    failure: 'The Worker could not be built: worker-build failed as shown above.',
  });
  const wasm = join(machine.root, 'target', 'profile', 'index_bg.wasm');
  enter(machine.root, join(machine.root, 'target', 'profile', 'index.js'));
  await optimize(machine, wasm, ['--debuginfo', ...PASSES], 'wasm-opt failed as shown above.');
}

await runScript(import.meta.url, async () => {
  const machine = describeMachine();
  const args = process.argv.slice(2);
  if (process.platform !== 'linux') throw new SetupError('The benchmark needs Linux: it reads processor time and memory from /proc.');
  await setUp(machine);
  if (!args.includes('--help')) {
    await build(machine);
    await installPeers(machine);
    await buildBeside(machine);
  }
  if (args.includes('--profile')) await buildWithNames(machine);
  // That SQLite is new in Node is no news to whoever measures.
  const { code } = await run(machine, 'node', ['--disable-warning=ExperimentalWarning', 'bench/run.mjs', ...args], { output: 'show' });
  return code;
});
