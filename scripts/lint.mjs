// `npm run lint`: formatting, clippy on both targets, eslint. A warning fails. Of the fuzz crate the formatting alone: to
// look further clippy would compile libFuzzer, and what it fuzzes is compiled with the tests.

import { join } from 'node:path';
import { runScript } from './failure.mjs';
import { describeMachine } from './machine.mjs';
import { run } from './process.mjs';
import { WASM_TARGET } from './rust.mjs';
import { setUpToolchains } from './setup.mjs';

const ESLINT = join('node_modules', 'eslint', 'bin', 'eslint.js');

/** @type {[string, ...string[]][]} */
const STEPS = [
  ['cargo', 'fmt', '--check'],
  ['cargo', 'fmt', '--check', '--package', 'edgemint-floor', '--package', 'edgemint-bench'],
  ['cargo', 'fmt', '--check', '--manifest-path', 'fuzz/Cargo.toml'],
  ['cargo', 'clippy', '--all-targets', '--', '-D', 'warnings'],
  ['cargo', 'clippy', '--target', WASM_TARGET, '--', '-D', 'warnings'],
  ['cargo', 'clippy', '--package', 'edgemint-bench', '--', '-D', 'warnings'],
  ['cargo', 'clippy', '--package', 'edgemint-floor', '--target', WASM_TARGET, '--', '-D', 'warnings'],
  ['node', ESLINT, '--max-warnings', '0', '.'],
];

/**
 * @param {import('./machine.mjs').Machine} machine after set-up
 * @returns {Promise<import('./tally.mjs').Tally & { failures: string[] }>} a step counts as one
 */
export async function lint(machine) {
  /** @type {string[]} */
  const failures = [];
  let passed = 0;
  for (const [command, ...args] of STEPS) {
    const step = [command, ...args].join(' ').replace(`node ${ESLINT}`, 'eslint');
    console.log(`$ ${step}`);
    const { code } = await run(machine, command, args, { output: 'show' });
    if (code === 0) passed += 1;
    else failures.push(step);
  }
  return { passed, failed: failures.length, failures };
}

await runScript(import.meta.url, async () => {
  const machine = describeMachine();
  await setUpToolchains(machine);
  const { passed, failed } = await lint(machine);
  console.log(`lint: ${passed} passed, ${failed} failed`);
  return failed === 0 ? 0 : 1;
});
