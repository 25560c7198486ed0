// The compiled tools: what is reused, what is compiled, and what an interruption leaves.

import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { ensureTools } from '../../scripts/tools.mjs';
import { Laptop, lastLine } from './laptop.mjs';

const WORKER_BUILD = { crate: 'worker-build', program: 'worker-build', version: '0.8.7' };

test('a second clone on the machine compiles nothing', async (t) => {
  const laptop = Laptop.withToolchains(t);
  const paths = await ensureTools(laptop.machine());
  assert.deepEqual(paths, {
    'worker-build': join(laptop.cache, 'worker-build-0.8.7/bin/worker-build'),
    'wasm-bindgen': join(laptop.cache, 'wasm-bindgen-cli-0.2.999/bin/wasm-bindgen'),
  });
  const compiled = laptop.calls();
  assert.equal(compiled.length, 2);
  assert.deepEqual(await ensureTools(laptop.machine()), paths);
  assert.deepEqual(laptop.calls(), compiled);
});

test('a tool of exactly the version is used where it is', async (t) => {
  const laptop = Laptop.withToolchains(t);
  laptop.program('.cargo/bin/worker-build', 'echo 0.8.7');
  const paths = await ensureTools(laptop.machine(), [WORKER_BUILD]);
  assert.equal(paths['worker-build'], join(laptop.home, '.cargo/bin/worker-build'));
  assert.deepEqual(laptop.calls(), []);
});

for (const [what, body] of [
  ['another version', 'echo 0.8.6'],
  ['a longer version', 'echo 0.8.70'],
  ['a version that does not run', 'echo 0.8.7; exit 1'],
]) {
  test(`${what} on PATH is not used`, async (t) => {
    const laptop = Laptop.withToolchains(t);
    laptop.program('worker-build', body);
    const paths = await ensureTools(laptop.machine(), [WORKER_BUILD]);
    assert.equal(paths['worker-build'], join(laptop.cache, 'worker-build-0.8.7/bin/worker-build'));
  });
}

test('an interrupted install is not taken for a tool', async (t) => {
  const laptop = Laptop.withToolchains(t);
  // The program is there already when the signal comes to the set-up; cargo would go on.
  laptop.installRust({ afterInstall: 'kill -TERM "$PPID"; exec sleep 30' });
  const { code } = await laptop.run('setup.mjs');
  assert.equal(code, 143);
  assert.deepEqual(readdirSync(laptop.cache), []);

  laptop.installRust();
  const again = await laptop.run('setup.mjs');
  assert.equal(again.code, 0, again.output);
  assert.ok(existsSync(join(laptop.cache, 'worker-build-0.8.7/bin/worker-build')));
});

test('a remnant where the tool belongs is replaced', async (t) => {
  const laptop = Laptop.withToolchains(t);
  laptop.write('cache/edgemint/worker-build-0.8.7/.crates.toml', '');
  mkdirSync(join(laptop.cache, 'worker-build-0.8.7/bin'));
  await ensureTools(laptop.machine(), [WORKER_BUILD]);
  assert.deepEqual(readdirSync(join(laptop.cache, 'worker-build-0.8.7')), ['bin']);
  assert.ok(existsSync(join(laptop.cache, 'worker-build-0.8.7/bin/worker-build')));
});

test('two set-ups at once leave one complete tool each', async (t) => {
  const laptop = Laptop.withToolchains(t);
  const endings = await Promise.all([ensureTools(laptop.machine()), ensureTools(laptop.machine())]);
  assert.deepEqual(endings[0], endings[1]);
  assert.deepEqual(readdirSync(laptop.cache).sort(), ['wasm-bindgen-cli-0.2.999', 'worker-build-0.8.7']);
});

test('a compilation that fails is a sentence under the compiler\'s last lines, and leaves nothing', async (t) => {
  const laptop = Laptop.withToolchains(t);
  laptop.installRust({ afterInstall: 'echo "error: linker cc not found" >&2; exit 101' });
  const { code, output } = await laptop.run('setup.mjs');
  assert.equal(code, 1);
  assert.match(output, /Compiling worker-build 0\.8\.7 and wasm-bindgen-cli 0\.2\.999: once for this machine/);
  assert.match(output, / {2}\| error: linker cc not found\n/);
  assert.match(lastLine(output), /^worker-build-0\.8\.7 could not be compiled: .*`cargo install worker-build --version 0\.8\.7`\.$/);
  assert.deepEqual(readdirSync(laptop.cache), []);
});
