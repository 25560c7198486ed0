// Suites of tests: run to their end, and counted.

import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { run } from './process.mjs';
import { addUp, readCargoResult, withExitCode } from './tally.mjs';

/**
 * @typedef {import('./machine.mjs').Machine} Machine
 * @typedef {import('./process.mjs').Options} Options
 * @typedef {import('./tally.mjs').Tally} Tally
 */

/**
 * @param {Machine} machine
 * @param {string[]} args of `cargo test`
 * @param {Options} [options]
 * @returns {Promise<Tally>}
 */
export async function runCargoTests(machine, args, options = {}) {
  /** @type {Tally[]} */
  const results = [];
  // Through a pipe cargo would think that nobody sees colours.
  const colour = process.stdout.isTTY && !options.output ? { CARGO_TERM_COLOR: 'always' } : {};
  const { code } = await run(machine, 'cargo', ['test', '--no-fail-fast', ...args], {
    ...options,
    env: { ...colour, ...(options.env ?? machine.env) },
    output: options.output ?? 'echo',
    read: (line) => {
      const result = readCargoResult(line);
      if (result) results.push(result);
      return options.read?.(line);
    },
  });
  return withExitCode(addUp(results), code);
}

/**
 * @param {Machine} machine
 * @param {string} directory
 * @param {string[]} args the files to run, else all of the directory
 * @param {Options} [options]
 * @returns {Promise<Tally>}
 */
export async function runNodeTests(machine, directory, args, options = {}) {
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
    { output: 'show', ...options },
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
