// `npm test`: installs what is missing and runs everything that judges the project; `npm run test:native` and
// `npm run test:edge` run one part. The last line is `N passed, N failed`; above it stands what failed.

import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { build } from './build.mjs';
import { printFailure, runScript } from './failure.mjs';
import { lint } from './lint.mjs';
import { describeMachine } from './machine.mjs';
import { run } from './process.mjs';
import { formatDuration } from './progress.mjs';
import { ensureRust } from './rust.mjs';
import { setUp } from './setup.mjs';
import { addUp, readCargoResult, withExitCode } from './tally.mjs';

/**
 * @typedef {import('./machine.mjs').Machine} Machine
 * @typedef {import('./tally.mjs').Tally} Tally
 *
 * @typedef {object} Phase
 * @property {string} title
 * @property {(machine: Machine, args: string[]) => Promise<Tally | void>} run without a tally it only prepares
 * @property {boolean} [indispensable] what follows is pointless if it fails
 *
 * @typedef {object} Outcome
 * @property {string} title of the phase
 * @property {Tally & { failures?: string[] }} tally failures: names of what failed, where they are few
 * @property {boolean} [crashed] the phase ended without a tally
 */

/** @type {Record<string, Phase>} */
const PHASES = {
  setUp: { title: 'Set-up', run: (machine) => setUp(machine, { browser: true }), indispensable: true },
  setUpRust: { title: 'Set-up', run: ensureRust, indispensable: true },
  lint: { title: 'Lint', run: lint },
  native: { title: 'Native tests', run: runCargoTests },
  setup: { title: 'Set-up tests', run: (machine, args) => runNodeTests(machine, 'tests/setup', args) },
  build: { title: 'Build', run: build, indispensable: true },
  edge: { title: 'Edge tests', run: (machine, args) => runNodeTests(machine, 'tests/edge', args) },
};

/** @type {Record<string, Phase[]>} */
const PARTS = {
  all: [PHASES.setUp, PHASES.lint, PHASES.native, PHASES.setup, PHASES.build, PHASES.edge],
  native: [PHASES.setUpRust, PHASES.native],
  edge: [PHASES.setUp, PHASES.build, PHASES.edge],
};

/**
 * @param {Machine} machine
 * @param {string[]} args of `cargo test`
 * @returns {Promise<Tally>}
 */
async function runCargoTests(machine, args) {
  /** @type {Tally[]} */
  const results = [];
  // Through a pipe cargo would think that nobody sees colours.
  const env = process.stdout.isTTY ? { CARGO_TERM_COLOR: 'always', ...machine.env } : machine.env;
  const { code } = await run(machine, 'cargo', ['test', '--no-fail-fast', ...args], {
    env,
    output: 'echo',
    read: (line) => {
      const result = readCargoResult(line);
      if (result) results.push(result);
    },
  });
  return withExitCode(addUp(results), code);
}

/**
 * @param {Machine} machine
 * @param {string} directory
 * @param {string[]} args the files to run, else all of the directory
 * @returns {Promise<Tally>}
 */
async function runNodeTests(machine, directory, args) {
  const files = args.length > 0 ? args : listTestFiles(join(machine.root, directory)).map((name) => `${directory}/${name}`);
  if (files.length === 0) {
    console.error(`There is no test in ${directory}.`);
    return { passed: 0, failed: 1 };
  }
  const scratch = mkdtempSync(join(tmpdir(), 'edgemint-tally-'));
  const counts = join(scratch, 'counts.json');
  const reporter = pathToFileURL(join(machine.root, 'scripts', 'tally-reporter.mjs')).href;
  const { code } = await run(
    machine,
    'node',
    [
      '--test',
      // The runtime under test needs a core, too.
      '--test-concurrency=2',
      ...['--test-reporter=spec', '--test-reporter-destination=stdout'],
      ...[`--test-reporter=${reporter}`, `--test-reporter-destination=${counts}`],
      ...files,
    ],
    { output: 'show' },
  );
  const tally = readCounts(counts);
  rmSync(scratch, { recursive: true, force: true });
  return withExitCode(tally, code);
}

/** @param {string} directory @returns {string[]} */
function listTestFiles(directory) {
  try {
    return readdirSync(directory).filter((name) => name.endsWith('.test.mjs')).sort();
  } catch {
    return [];
  }
}

/** @param {string} path @returns {Tally} without a summary the run was cut short */
function readCounts(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    return { passed: 0, failed: 1 };
  }
}

/**
 * @param {Machine} machine
 * @param {Phase[]} phases
 * @param {string[]} args
 * @returns {Promise<Outcome[]>}
 */
async function runPhases(machine, phases, args) {
  /** @type {Outcome[]} */
  const outcomes = [];
  for (const phase of phases) {
    console.log(`\n=== ${phase.title}`);
    const started = Date.now();
    let crashed = false;
    try {
      const tally = await phase.run(machine, args);
      if (tally) outcomes.push({ title: phase.title, tally });
    } catch (error) {
      printFailure(error);
      outcomes.push({ title: phase.title, tally: { passed: 0, failed: 1 }, crashed: true });
      crashed = true;
    }
    console.log(`=== ${phase.title}: ${crashed ? 'failed after ' : ''}${formatDuration(Date.now() - started)}`);
    if (crashed && phase.indispensable) break;
  }
  return outcomes;
}

/**
 * A line for each phase that failed: what went wrong may stand hundreds of lines above.
 * @param {Outcome[]} outcomes
 * @returns {string[]}
 */
export function describeFailures(outcomes) {
  return outcomes
    .filter(({ tally }) => tally.failed > 0)
    .map(({ title, tally, crashed }) => `Failed: ${title}${crashed ? '' : ` (${tally.failures?.join(', ') ?? tally.failed})`}`);
}

await runScript(import.meta.url, async () => {
  const [part = 'all', ...args] = process.argv.slice(2);
  const phases = PARTS[part];
  if (!phases) {
    console.error(`There is no part ${part} of the tests, only ${Object.keys(PARTS).join(', ')}.`);
    return 1;
  }
  // Arguments name tests of one part; with all of them they would mean something else to each.
  const outcomes = await runPhases(describeMachine(), phases, part === 'all' ? [] : args);
  const { passed, failed } = addUp(outcomes.map(({ tally }) => tally));
  console.log(['', ...describeFailures(outcomes), `${passed} passed, ${failed} failed`].join('\n'));
  return failed === 0 ? 0 : 1;
});
