// Makes every seeded defect of `tests/defects/table.mjs` in a copy of the project, and sees its test go red.

import { cpSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
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

/** Whether a test stands in `tests/native`, and so needs nothing of `src` compiled for its own tests. @param {string} root @param {Defect} defect */
function isNative(root, { test }) {
  const name = test.split('::').at(-1);
  const files = readdirSync(join(root, 'tests/native'), { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.rs'));
  return name !== '' && files.some((file) => readFileSync(join(root, 'tests/native', file), 'utf8').includes(`fn ${name}(`));
}

/**
 * @param {Machine} machine
 * @param {object} [options]
 * @param {(line: string) => void} [options.tell] what becomes of each
 * @param {Defect[]} [options.todo] those that nobody has begun; several may take from one list
 * @param {string} [options.hand] which of several this is; the first sees that the tests of all defects hold without any
 * @returns {Promise<{ noticed: number, unnoticed: string[] }>}
 */
export async function seedDefects(machine, { tell = console.log, todo = [...DEFECTS], hand = '' } = {}) {
  const scratch = mkdtempSync(join(tmpdir(), 'edgemint-defects-'));
  const copy = join(scratch, 'project');
  let noticed = 0;
  // Kept between runs: what does not change is compiled once.
  const target = join(machine.root, 'target', `defects${hand}`);
  mkdirSync(target, { recursive: true });
  /** @type {string[]} */
  const unnoticed = [];
  try {
    cpSync(machine.root, copy, { recursive: true, filter: (path) => path === machine.root || !LEFT_OUT.has(basename(path)) });
    const env = { ...machine.env, CARGO_TARGET_DIR: target, CARGO_PROFILE_DEV_DEBUG: '0' };
    const test = (/** @type {string[]} */ args) => run(machine, 'cargo', ['test', '--quiet', ...args], { cwd: copy, env, limit: PATIENCE });
    if (hand === '') {
      const sound = await test(['--lib', '--test', 'native', '--', ...new Set(DEFECTS.map((defect) => defect.test))]);
      if (sound.code !== 0) {
        sound.tail.forEach(tell);
        return { noticed: 0, unnoticed: ['the tests fail without any defect'] };
      }
    }
    for (let defect = todo.shift(); defect; defect = todo.shift()) {
      const started = Date.now();
      const where = isNative(copy, defect) ? ['--test', 'native'] : ['--lib', '--test', 'native'];
      const verdict = await judge(copy, defect, (args) => test([...where, ...args]));
      tell(`${verdict ?? 'noticed'}: ${defect.what} (${formatDuration(Date.now() - started)})`);
      if (verdict) unnoticed.push(`${defect.what}: ${verdict}`);
      else noticed += 1;
    }
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
  return { noticed, unnoticed };
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
