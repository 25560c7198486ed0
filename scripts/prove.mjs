// `npm run prove`: the long proofs. Every order of requests, hundreds of kills, millions of bent inputs, and defects that
// must be noticed. The last line is `violations: N`; above it a table of what was done, and what failed.
//
// Two chains go on at the same time, each on a core of its own.

import { appendFileSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { DEFECTS } from '../tests/defects/table.mjs';
import { build } from './build.mjs';
import { seedDefects } from './defects.mjs';
import { runScript } from './failure.mjs';
import { fuzz } from './fuzz.mjs';
import { describeMachine } from './machine.mjs';
import { formatDuration } from './progress.mjs';
import { setUp } from './setup.mjs';
import { runCargoTests, runNodeTests } from './suites.mjs';

/**
 * @typedef {import('./machine.mjs').Machine} Machine
 *
 * @typedef {object} Proof
 * @property {string} title
 * @property {(machine: Machine, read: (line: string) => void) => Promise<string[]>} run gives what was violated
 */

/** Native tests that do more when they are asked to. */
const NATIVE = ['model::', 'orders::', 'seeds::'];
/** Edge tests that do more when they are asked to. */
const EDGE = ['crash', 'fuzz'].map((name) => `tests/edge/${name}.test.mjs`);
/** Seconds for each parser. */
const FUZZING = 4;

/** @type {Proof[][]} */
const CHAINS = [
  [
    { title: 'Orders and histories', run: proveNatively },
    { title: 'Seeded defects', run: proveThatDefectsAreNoticed('') },
  ],
  [
    { title: 'Kills and bent requests', run: proveAtTheEdge },
    { title: 'Parsers', run: proveParsers },
    { title: 'Seeded defects, the second hand', run: proveThatDefectsAreNoticed('-second') },
  ],
];

/** Defects that nobody has begun. */
const todo = [...DEFECTS];

/** What the proofs have done, by name. @type {Map<string, number>} */
const done = new Map();

/** @param {string} line with `proof: <name>: <number>` in it */
export function readProof(line) {
  const [, name, number] = /proof: ([a-z ]+): (\d+)/.exec(line) ?? [];
  return name === undefined ? undefined : { name, number: Number(number) };
}

/** @param {string} name @param {number} number */
function count(name, number) {
  done.set(name, (done.get(name) ?? 0) + number);
}

/** What must have been done at all. */
const EXPECTED = ['interleavings explored', 'histories checked', 'kills survived', 'tokens reconciled', 'inputs fuzzed', 'seeded defects noticed'];

/** @param {string} what @param {import('./tally.mjs').Tally} tally of a suite; one without a test has failed */
function failures(what, { passed, failed }) {
  if (passed + failed === 0) return [`${what}: none was run`];
  return Array.from({ length: failed }, (_, at) => `${what}: failure ${at + 1} of ${failed}`);
}

/** @type {Proof['run']} */
async function proveNatively(machine, read) {
  const env = { ...machine.env, EDGEMINT_PROVE: 'long' };
  const args = ['--profile', 'prove', '--test', 'native', '--', '--nocapture', '--test-threads=1', ...NATIVE];
  return failures('native tests', await runCargoTests(machine, args, { output: 'hide', env, read }));
}

/** One of two that take from one list. @param {string} hand @returns {Proof['run']} */
function proveThatDefectsAreNoticed(hand) {
  return async (machine, tell) => {
    const { noticed, unnoticed } = await seedDefects(machine, { tell, todo, hand });
    count('seeded defects noticed', noticed);
    return unnoticed;
  };
}

/** @type {Proof['run']} */
async function proveParsers(machine) {
  const { passed, failures: targets, executions } = await fuzz(machine, { seconds: FUZZING });
  count('inputs fuzzed', executions);
  return passed + targets.length === 0 ? ['no parser was fuzzed'] : targets.map((target) => `the fuzz target ${target} fails`);
}

/** @type {Proof['run']} */
async function proveAtTheEdge(machine, read) {
  const env = { ...machine.env, EDGEMINT_PROVE: 'long' };
  return failures('edge tests', await runNodeTests(machine, 'tests/edge', EDGE, { output: 'hide', env, read }));
}

/**
 * @param {Machine} machine
 * @param {Proof} proof
 * @returns {Promise<string[]>}
 */
async function judge(machine, { title, run }) {
  const started = Date.now();
  const log = join(machine.root, 'target', 'proofs', `${title.toLowerCase().replaceAll(' ', '-')}.log`);
  console.log(`${title}: begun; what it says goes to ${log}`);
  /** @type {string[]} */
  let violations;
  try {
    violations = await run(machine, (line) => {
      appendFileSync(log, `${line}\n`);
      const proof = readProof(line);
      if (proof) count(proof.name, proof.number);
    });
  } catch (error) {
    violations = [`${title}: ${error instanceof Error ? error.message : error}`];
  }
  console.log(`${title}: ${violations.length === 0 ? 'holds' : 'VIOLATED'} after ${formatDuration(Date.now() - started)}`);
  return violations;
}

await runScript(import.meta.url, async () => {
  const started = Date.now();
  const machine = describeMachine();
  await setUp(machine);
  await build(machine);
  const logs = join(machine.root, 'target', 'proofs');
  rmSync(logs, { recursive: true, force: true });
  mkdirSync(logs, { recursive: true });
  const chains = CHAINS.map(async (chain) => {
    const violations = [];
    for (const proof of chain) violations.push(...(await judge(machine, proof)));
    return violations;
  });
  const violations = (await Promise.all(chains)).flat();
  violations.push(...EXPECTED.filter((name) => !done.get(name)).map((name) => `nothing was done of this: ${name}`));
  const rows = [...done].map(([name, number]) => `| ${name.padEnd(24)} | ${number.toLocaleString('en').padStart(14)} |`);
  console.log(['', ...rows, '', ...violations, `after ${formatDuration(Date.now() - started)}`, `violations: ${violations.length}`].join('\n'));
  return violations.length === 0 ? 0 : 1;
});
