// The build: what is built again, what is deployed, and how large it may be.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { deriveObjects } from '../../scripts/build.mjs';
import { demandSmall, describeSize, measureWorker } from '../../scripts/size.mjs';
import { Laptop, lastLine } from './laptop.mjs';

const SIZE_LINE = /^Worker size: (\d+) bytes gzipped \(wasm (\d+), js (\d+)\)$/;

/** @param {Laptop} laptop */
function countBuilds(laptop) {
  return laptop.calls().filter((call) => call === 'worker-build --release --no-opt worker --out-dir ../build').length;
}

test('unchanged sources are built once, and the size is told every time', async (t) => {
  const laptop = Laptop.withToolchains(t);
  for (const round of [1, 2]) {
    const { code, output } = await laptop.run('build.mjs');
    assert.equal(code, 0, output);
    const [, bytes, wasm, js] = SIZE_LINE.exec(lastLine(output)) ?? assert.fail(`round ${round}: ${output}`);
    assert.equal(Number(bytes), Number(wasm) + Number(js));
  }
  assert.equal(countBuilds(laptop), 1);
});

test('the classes of objects derive from the one whose methods can be called from afar', async () => {
  const glue = 'var a=class{turn(){return 7}},b=new Proxy(class{},{});export{a as Shard,b as Registry,a as default};';
  // `cloudflare:workers` is the runtime's.
  const derived = deriveObjects(glue, ['Shard', 'Registry']).replace('import{DurableObject as $Base}from"cloudflare:workers"', 'const $Base=class{}');
  const { Shard, Registry } = await import(`data:text/javascript,${encodeURIComponent(derived)}`);
  assert.equal(Object.getPrototypeOf(Shard), Object.getPrototypeOf(Registry));
  assert.ok(new Registry() instanceof Object.getPrototypeOf(Shard));
  assert.equal(new Shard().turn(), 7);
  assert.throws(() => deriveObjects(glue, ['Account']), /exports no Account/);
});

test('a changed, a new and a removed source each have the Worker built again', async (t) => {
  const laptop = Laptop.withToolchains(t);
  await laptop.run('build.mjs');
  laptop.write('clone/src/lib.rs', '// the Worker, changed');
  await laptop.run('build.mjs');
  laptop.write('clone/src/pages/login.html', '<form>');
  await laptop.run('build.mjs');
  assert.equal(countBuilds(laptop), 3);
});

test('a build that fails is a sentence, and the next one is not skipped', async (t) => {
  const laptop = Laptop.withToolchains(t);
  await laptop.run('build.mjs');
  laptop.write('clone/src/lib.rs', 'does not compile');
  laptop.program('cache/edgemint/worker-build-0.8.7/bin/worker-build', 'echo "worker-build $*" >> "$HOME/calls"; exit 1');
  for (const round of [1, 2]) {
    const { code, output } = await laptop.run('build.mjs');
    assert.equal(code, 1, `round ${round}`);
    assert.equal(lastLine(output), 'The Worker could not be built: worker-build failed as shown above.');
  }
  assert.equal(countBuilds(laptop), 3);
});

test('the Worker that is measured has no names of functions in it', async (t) => {
  const laptop = Laptop.withToolchains(t);
  await laptop.run('build.mjs');
  const wasm = join(laptop.clone, 'build/index_bg.wasm');
  const [first, last] = laptop.calls().filter((one) => one.startsWith(`wasm-opt ${wasm} `));
  assert.ok(first.endsWith(` --optimize-added-constants --output ${wasm}`), first);
  assert.ok(last.endsWith(` --reorder-functions-by-name --strip-debug --output ${wasm}`), last);
  assert.match(readFileSync(wasm, 'latin1'), /^\0asm.*stripped\n$/s);
});

test('a Worker that could not be stripped is a sentence, and is built again', async (t) => {
  const laptop = Laptop.withToolchains(t);
  laptop.program('made/wasm-opt', 'case "$*" in *--strip-debug*) exit 1 ;; esac');
  for (const round of [1, 2]) {
    const { code, output } = await laptop.run('build.mjs');
    assert.equal(code, 1, `round ${round}`);
    assert.equal(lastLine(output), 'The Worker could not be stripped of its names: wasm-opt failed as shown above.');
  }
  assert.equal(countBuilds(laptop), 2);
});

test('what is not a module of WebAssembly is a sentence, and is built again', async (t) => {
  const laptop = Laptop.withToolchains(t);
  laptop.program('made/wasm-opt', 'echo text > "$1"');
  for (const round of [1, 2]) {
    const { code, output } = await laptop.run('build.mjs');
    assert.equal(code, 1, `round ${round}`);
    assert.match(lastLine(output), /^What was built is not the WebAssembly that was expected: it does not begin as one\./);
  }
  assert.equal(countBuilds(laptop), 2);
});

test('every module that the Worker imports counts, and nothing else', (t) => {
  const laptop = Laptop.for(t);
  laptop.write('out/index.js', 'import{a}from"./part.js";import w from"./index_bg.wasm";import"cloudflare:workers";');
  laptop.write('out/part.js', 'export const a = 1;');
  laptop.write('out/index_bg.wasm', 'wasm');
  laptop.write('out/unused.js', 'x'.repeat(100));
  const before = measureWorker(join(laptop.home, 'out/index.js'));
  laptop.write('out/unused.js', '');
  assert.deepEqual(measureWorker(join(laptop.home, 'out/index.js')), before);
  laptop.write('out/part.js', 'export const a = "something longer, which does not compress: qwfpbjluy";');
  assert.ok(measureWorker(join(laptop.home, 'out/index.js')).js > before.js);
});

test('a Worker of more than 500,000 bytes is refused', async (t) => {
  assert.equal(describeSize({ wasm: 400_000, js: 100_000 }), 'Worker size: 500000 bytes gzipped (wasm 400000, js 100000)');
  assert.doesNotThrow(() => demandSmall({ wasm: 400_000, js: 100_000 }));

  const laptop = Laptop.withToolchains(t);
  await laptop.run('build.mjs');
  writeFileSync(join(laptop.clone, 'build/index_bg.wasm'), randomBytes(500_000));
  const { code, output } = await laptop.run('build.mjs');
  assert.equal(code, 1);
  assert.match(lastLine(output), /^The Worker is larger than 500000 bytes gzipped/);
});
