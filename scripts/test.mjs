// `npm test`: installs what is missing and runs everything that judges the project; `npm run test:native` and
// `npm run test:edge` run one part, `npm run test:interop` what needs somebody else's software. The last line is `N passed, N failed`; above it stands what failed.

import { build } from './build.mjs';
import { printFailure, runScript } from './failure.mjs';
import { ensureProxies, ensurePython } from './interop.mjs';
import { lint } from './lint.mjs';
import { describeMachine } from './machine.mjs';
import { formatDuration } from './progress.mjs';
import { ensureRust } from './rust.mjs';
import { setUp } from './setup.mjs';
import { runCargoTests, runNodeTests } from './suites.mjs';
import { addUp } from './tally.mjs';

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
  native: { title: 'Native tests', run: (machine, args) => runCargoTests(machine, args) },
  setup: { title: 'Set-up tests', run: (machine, args) => runNodeTests(machine, 'tests/setup', args) },
  build: { title: 'Build', run: build, indispensable: true },
  proxies: { title: 'Proxies', run: (machine) => ensureProxies(machine), indispensable: true },
  python: { title: 'Python', run: (machine) => ensurePython(machine), indispensable: true },
  interop: { title: 'Interoperation tests', run: (machine, args) => runNodeTests(machine, 'tests/interop', args) },
  edge: { title: 'Edge tests', run: (machine, args) => runNodeTests(machine, 'tests/edge', args) },
};

/** @type {Record<string, Phase[]>} */
const PARTS = {
  all: [PHASES.setUp, PHASES.lint, PHASES.native, PHASES.setup, PHASES.build, PHASES.edge],
  native: [PHASES.setUpRust, PHASES.native],
  edge: [PHASES.setUp, PHASES.build, PHASES.edge],
  interop: [PHASES.setUp, PHASES.proxies, PHASES.python, PHASES.build, PHASES.interop],
};

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
