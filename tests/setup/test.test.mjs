// `npm test`: what it says when something failed.

import assert from 'node:assert/strict';
import test from 'node:test';
import { describeFailures } from '../../scripts/test.mjs';
import { Laptop, lastLine } from './laptop.mjs';

test('each phase that failed is named above the summary, which is the last line', async (t) => {
  const laptop = Laptop.withToolchains(t);
  laptop.program('chromium', '');
  laptop.write('clone/node_modules/eslint/bin/eslint.js', 'process.exitCode = 1;');
  const [passing, failing] = ['', "throw new Error('no');"].map((body) => `import test from 'node:test'; test('one', () => { ${body} });`);
  laptop.write('clone/tests/setup/one.test.mjs', passing);
  laptop.write('clone/tests/edge/one.test.mjs', failing);
  laptop.write('clone/tests/edge/other.test.mjs', failing);
  const { code, output } = await laptop.run('test.mjs');
  assert.equal(code, 1);
  // Seven steps of linting and one test passed; an eighth step and two tests did not.
  assert.match(output, /\n\nFailed: Lint \(.+\)\nFailed: Edge tests \(2\)\n8 passed, 3 failed\n/);
  assert.equal(lastLine(output), '8 passed, 3 failed');
});

test('where set-up fails that is all that is named, and nothing else is run', async (t) => {
  const { code, output } = await Laptop.for(t).run('test.mjs');
  assert.equal(code, 1);
  assert.match(output, /^Rust is not installed/m);
  assert.match(output, /\n\nFailed: Set-up\n0 passed, 1 failed\n/);
});

test('what failed has its name where the phase gives names, else it is counted', () => {
  const failures = ['cargo fmt --check', 'eslint .'];
  assert.deepEqual(
    describeFailures([
      { title: 'Lint', tally: { passed: 2, failed: 2, failures } },
      { title: 'Native tests', tally: { passed: 9, failed: 0 } },
      { title: 'Edge tests', tally: { passed: 5, failed: 3 } },
      { title: 'Build', tally: { passed: 0, failed: 1 }, crashed: true },
    ]),
    ['Failed: Lint (cargo fmt --check, eslint .)', 'Failed: Edge tests (3)', 'Failed: Build'],
  );
});
