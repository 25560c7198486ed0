// Fuzzing: cargo-fuzz over the targets of tests/native/hostile.rs, one after the other. What is fuzzed and what it takes
// stands in fuzz/README.md.
//
//   node scripts/fuzz.mjs [--seconds N | --runs N] [target…]     every target, or these
//   node scripts/fuzz.mjs --input FILE target                    one input again

import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { isAbsolute, join, relative } from 'node:path';
import { parseArgs } from 'node:util';
import { SetupError, runScript } from './failure.mjs';
import { describeMachine } from './machine.mjs';
import { run, runOrFail } from './process.mjs';
import { ensureRust } from './rust.mjs';
import { CARGO_FUZZ, ensureTools } from './tools.mjs';

/** Seconds a target gets where nobody says how many. */
const SECONDS = 20;
/** Seconds that one input may take before it is a finding. */
const PATIENCE = 20;
/** The longest input, in bytes. Larger ones are sent to the Worker itself (tests/edge/fuzz.test.mjs). */
const LONGEST = 8192;

/**
 * @typedef {import('./machine.mjs').Machine} Machine
 *
 * @typedef {object} Outcome of one target
 * @property {number} executions
 * @property {string} [artifact] the input that it failed on
 * @property {string[]} [why] what was said then
 */

/**
 * Fuzzes every target, or those named.
 * @param {Machine} machine after the set-up of Rust
 * @param {object} [options]
 * @param {number} [options.seconds] for each target
 * @param {number} [options.runs] instead of seconds: inputs for each target
 * @param {string[]} [options.targets]
 * @returns {Promise<import('./tally.mjs').Tally & { failures: string[], executions: number }>} a target counts as one
 */
export async function fuzz(machine, { seconds = SECONDS, runs, targets = listTargets(machine) } = {}) {
  const cargoFuzz = await prepare(machine, targets);
  const limit = runs === undefined ? [`-max_total_time=${seconds}`] : [`-runs=${runs}`];
  const failures = [];
  let executions = 0;
  for (const target of targets) {
    const outcome = await fuzzOne(machine, cargoFuzz, target, limit);
    executions += outcome.executions;
    console.log(`${target}: ${outcome.executions} inputs, ${outcome.why ? 'a failure' : 'no failure'}`);
    if (outcome.why) {
      failures.push(target);
      describe(machine, target, outcome);
    }
  }
  console.log(`proof: inputs fuzzed: ${executions}`);
  return { passed: targets.length - failures.length, failed: failures.length, failures, executions };
}

/** @param {Machine} machine @returns {string[]} */
function listTargets(machine) {
  const files = readdirSync(join(machine.root, 'fuzz', 'fuzz_targets'));
  return files.filter((file) => file.endsWith('.rs')).map((file) => file.slice(0, -3)).sort();
}

/** Builds the targets. @param {Machine} machine @param {string[]} targets @returns {Promise<string>} the path of cargo-fuzz */
async function prepare(machine, targets) {
  const known = listTargets(machine);
  const unknown = targets.find((target) => !known.includes(target));
  if (unknown !== undefined) throw new SetupError(`There is no fuzz target ${unknown}, only ${known.join(', ')}.`);
  const { [CARGO_FUZZ.program]: cargoFuzz } = await ensureTools(machine, [CARGO_FUZZ]);
  await runOrFail(machine, cargoFuzz, command(machine, 'build'), {
    label: 'Building the fuzz targets',
    failure: 'The fuzz targets could not be built: libFuzzer needs a C++ compiler (Debian: apt install g++; macOS: xcode-select --install).',
  });
  return cargoFuzz;
}

/**
 * A command of cargo-fuzz. Coverage works on stable Rust; sanitizers would need nightly, and find what safe Rust has not.
 * @param {Machine} machine @param {string} name @param {string[]} [rest]
 */
function command(machine, name, rest = []) {
  return ['fuzz', name, '--fuzz-dir', join(machine.root, 'fuzz'), '--sanitizer', 'none', ...rest];
}

/** @param {Machine} machine @param {string} cargoFuzz @param {string} target @param {string[]} limit @returns {Promise<Outcome>} */
async function fuzzOne(machine, cargoFuzz, target, limit) {
  const corpus = plant(machine, target);
  const dictionary = join(machine.root, 'fuzz', 'words.dict');
  const options = [...limit, `-timeout=${PATIENCE}`, `-max_len=${LONGEST}`, `-dict=${dictionary}`, '-print_final_stats=1'];
  /** @type {Outcome} */
  const outcome = { executions: 0 };
  /** @type {string[]} */
  const said = [];
  const { code, tail } = await run(machine, cargoFuzz, command(machine, 'run', [target, corpus, '--', ...options]), {
    label: `Fuzzing ${target}`,
    read: (line) => {
      const count = /^(?:#|stat::number_of_executed_units:\s+)(\d+)/.exec(line)?.[1];
      if (count) outcome.executions = Number(count);
      outcome.artifact ??= /Test unit written to (.+)$/.exec(line)?.[1];
      // The message of a panic stands in the lines behind.
      if (/panicked at|ERROR: libFuzzer/.test(line) || (said.length > 0 && said.length < 8 && !/^#|^==/.test(line))) said.push(line);
      return count && `${count} inputs`;
    },
  });
  if (code !== 0) outcome.why = said.length > 0 ? said : tail;
  else if (outcome.executions === 0) outcome.why = ['no input was read'];
  return outcome;
}

/** Writes the seeds into the corpus, beside what earlier runs found. @param {Machine} machine @param {string} target @returns {string} */
function plant(machine, target) {
  const corpus = join(machine.root, 'fuzz', 'corpus', target);
  mkdirSync(corpus, { recursive: true });
  for (const [number, seed] of readSeeds(machine, target).entries()) writeFileSync(join(corpus, `seed-${number}`), seed);
  return corpus;
}

/**
 * The seeds of a target: texts between lines of `====`, in which `\xff` is a byte.
 * @param {Machine} machine @param {string} target @returns {Buffer[]}
 */
function readSeeds(machine, target) {
  const text = readFileSync(join(machine.root, 'fuzz', 'seeds', `${target}.txt`), 'utf8').replace(/\n+$/, '');
  return text.split('\n====\n').map((seed) => {
    const parts = seed.split(/\\x([0-9a-f]{2})/i);
    return Buffer.concat(parts.map((part, at) => Buffer.from(part, at % 2 ? 'hex' : 'utf8')));
  });
}

/** @param {Machine} machine @param {string} target @param {Outcome} outcome */
function describe(machine, target, { artifact, why = [] }) {
  for (const line of why) console.error(`  | ${line}`);
  if (artifact === undefined) return;
  const path = isAbsolute(artifact) ? artifact : join(machine.root, artifact);
  console.error(`  The input: ${printable(readFileSync(path))}`);
  console.error(`  Again: node scripts/fuzz.mjs --input ${relative(machine.root, path)} ${target}`);
  console.error(`  When it is mended, make the input a seed: fuzz/seeds/${target}.txt`);
}

/** Bytes as a seed is written. @param {Buffer} bytes */
function printable(bytes) {
  const escape = (/** @type {string} */ byte) => `\\x${byte.charCodeAt(0).toString(16).padStart(2, '0')}`;
  return bytes.toString('latin1').replace(/[^\n\x20-\x7e]/g, escape);
}

/** Gives one input to a target. @param {Machine} machine @param {string} target @param {string} input @returns {Promise<number>} */
async function repeat(machine, target, input) {
  const cargoFuzz = await prepare(machine, [target]);
  const { code } = await run(machine, cargoFuzz, command(machine, 'run', [target, input]), { output: 'show' });
  return code;
}

await runScript(import.meta.url, async () => {
  const options = /** @type {const} */ ({ seconds: { type: 'string' }, runs: { type: 'string' }, input: { type: 'string' } });
  const { values, positionals } = parseArgs({ options, allowPositionals: true });
  const machine = describeMachine();
  await ensureRust(machine);
  if (values.input !== undefined) return repeat(machine, positionals[0], values.input);
  const { passed, failed } = await fuzz(machine, {
    seconds: values.seconds === undefined ? undefined : Number(values.seconds),
    runs: values.runs === undefined ? undefined : Number(values.runs),
    targets: positionals.length > 0 ? positionals : undefined,
  });
  console.log(`fuzz: ${passed} passed, ${failed} failed`);
  return failed === 0 ? 0 : 1;
});
