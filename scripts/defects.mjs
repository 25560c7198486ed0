// Makes every seeded defect of `tests/defects/table.mjs` in a copy of the project, and sees its test go red.

import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { DEFECTS } from '../tests/defects/table.mjs';
import { run } from './process.mjs';
import { formatDuration } from './progress.mjs';

/** @typedef {import('./machine.mjs').Machine} Machine */
/** @typedef {import('../tests/defects/table.mjs').Defect} Defect */

/** Seconds that a test may take; a defect can make one wait for ever. */
const PATIENCE = 900;

const LEFT_OUT = new Set(['target', 'node_modules', '.git', '.wrangler', 'build', '.dev.vars', 'artifacts', 'corpus']);

/** The source with its defect. @param {string} source @param {Defect} defect @returns {string | undefined} undefined: not there */
export function seed(source, defect) {
  const [before, after, ...more] = source.split(defect.from);
  return after === undefined || more.length > 0 ? undefined : before + defect.to + after;
}

/**
 * @param {Machine} machine
 * @param {(line: string) => void} [tell] what becomes of each
 * @returns {Promise<{ noticed: number, unnoticed: string[] }>}
 */
export async function seedDefects(machine, tell = console.log) {
  const scratch = mkdtempSync(join(tmpdir(), 'edgemint-defects-'));
  const copy = join(scratch, 'project');
  // Kept between runs: what does not change is compiled once.
  const target = join(machine.root, 'target', 'defects');
  mkdirSync(target, { recursive: true });
  /** @type {string[]} */
  const unnoticed = [];
  try {
    cpSync(machine.root, copy, { recursive: true, filter: (path) => path === machine.root || !LEFT_OUT.has(basename(path)) });
    const env = { ...machine.env, CARGO_TARGET_DIR: target, CARGO_PROFILE_DEV_DEBUG: '0' };
    const test = (/** @type {string[]} */ args) => run(machine, 'cargo', ['test', '--quiet', '--lib', '--test', 'native', ...args], { cwd: copy, env, limit: PATIENCE });
    const sound = await test([]);
    if (sound.code !== 0) {
      sound.tail.forEach(tell);
      return { noticed: 0, unnoticed: ['the tests fail without any defect'] };
    }
    for (const defect of DEFECTS) {
      const started = Date.now();
      const verdict = await judge(copy, defect, test);
      tell(`${verdict ?? 'noticed'}: ${defect.what} (${formatDuration(Date.now() - started)})`);
      if (verdict) unnoticed.push(`${defect.what}: ${verdict}`);
    }
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
  return { noticed: DEFECTS.length - unnoticed.length, unnoticed };
}

/**
 * @param {string} copy
 * @param {Defect} defect
 * @param {(args: string[]) => Promise<{ code: number, tail: string[] }>} test
 * @returns {Promise<string | undefined>} what is wrong; undefined: the test noticed
 */
async function judge(copy, defect, test) {
  const path = join(copy, 'src', defect.file);
  const sound = readFileSync(path, 'utf8');
  const bent = seed(sound, defect);
  if (bent === undefined) return 'its line is not in the source once';
  writeFileSync(path, bent);
  try {
    if ((await test(['--no-run'])).code !== 0) return 'it does not compile';
    const { tail } = await test([defect.test]);
    // Another reason to end with an error would notice nothing.
    return tail.some((line) => /test result: FAILED/.test(line)) ? undefined : 'NOT NOTICED';
  } finally {
    writeFileSync(path, sound);
  }
}
