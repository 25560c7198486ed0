// The build: what is built again, what is deployed, and how large it may be.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { withEntry } from '../../scripts/build.mjs';
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

/** What worker-build makes of a crate: proxies of classes, one of which panics where it is told to. */
const GLUE = `
const kept = globalThis.__worker_init_state = { criticalError: false, instanceId: 0 };
const proxied = (own) => new Proxy(own, { construct(target, values) {
  if (kept.criticalError) { kept.criticalError = false; kept.instanceId += 1 }
  return Reflect.construct(target, values);
} });
const panic = (kind) => { throw kind === 'stack' ? new RangeError('stack') : new WebAssembly.RuntimeError('unreachable') };
var a = proxied(class {
  static headers() { return ['accept', 'origin'] }
  static fetch(request, env, context, head, body) {
    env.asked = [...env.asked ?? [], body];
    if (env.body && body === undefined) return undefined;
    if (env.promise) return Promise.resolve().then(env.promise === 'panic' ? panic : () => head);
    return env.panic ? panic(env.panic) : head;
  }
});
var b = proxied(class {
  constructor(state, env) { this.values = [state, env] }
  turn(name, message) { return message === 'panic' ? panic() : [name, message, ...this.values] }
  alarm() { return 'rings' }
});
export { a as Entrance, b as Shard, a as default };`;

/** The glue with its entrance, and with another runtime below it. @param {string[]} classes */
function enter(classes) {
  const entry = readFileSync(new URL('../../worker/entry.js', import.meta.url), 'utf8');
  const written = withEntry(GLUE, entry, classes);
  const runtime = 'const addEventListener = (kind, act) => { globalThis.listening = [kind, act] }; class DurableObject { constructor(ctx, env) { Object.assign(this, { ctx, env }) } }';
  const below = written.replace("import { DurableObject } from 'cloudflare:workers';", runtime);
  assert.notEqual(below, written);
  return import(`data:text/javascript,${encodeURIComponent(below)}`);
}

test('the entrance brings what is read of a request in one text, and answers at once or later', async () => {
  const { default: entry } = await enter([]);
  const request = new Request('https://a.example/token', { method: 'POST', headers: { accept: 'x', cookie: 'y' } });
  const head = 'POST https://a.example/token\naccept:x';
  assert.equal(entry.fetch(request, {}, {}), head);
  assert.equal(await entry.fetch(request, { promise: true }, {}), head);
});

test('a body that is wanted is awaited before the request is asked again, and one that broke off is said', async () => {
  const { default: entry } = await enter([]);
  const env = { body: true };
  const request = new Request('https://a.example/token', { method: 'POST', body: 'a=b' });
  assert.equal(await entry.fetch(request, env, {}), 'POST https://a.example/token');
  assert.deepEqual(env.asked.map((body) => body && Buffer.from(body).toString()), [undefined, 'a=b']);
  const broken = { method: 'POST', url: '', headers: new Headers(), arrayBuffer: () => Promise.reject(new Error('gone')) };
  await entry.fetch(broken, env, {});
  assert.deepEqual(env.asked.slice(2), [undefined, null]);
});

test('what came to an end in the entrance, an object or a task begins anew at once', async (t) => {
  t.mock.method(console, 'error', () => {});
  const { default: entry, Shard } = await enter(['Shard']);
  const life = globalThis.__worker_init_state;
  const request = new Request('https://a.example/');
  const shard = new Shard('state', 'env');
  const trials = [
    () => entry.fetch(request, { panic: true }, {}),
    () => entry.fetch(request, { panic: 'stack' }, {}),
    () => entry.fetch(request, { promise: 'panic' }, {}),
    () => entry.fetch(new Request(request, { method: 'POST', body: 'a' }), { body: true, panic: true }, {}),
    () => shard.turn('name', 'panic'),
  ];
  for (const [at, trial] of trials.entries()) {
    await assert.rejects(async () => trial(), /unreachable|stack/);
    assert.deepEqual([life.criticalError, life.instanceId], [false, at + 1]);
    assert.deepEqual(shard.turn('name', 'message'), ['name', 'message', 'state', 'env']);
  }
  const [kind, act] = globalThis.listening;
  act();
  assert.deepEqual([kind, life.criticalError, life.instanceId], ['error', false, trials.length + 1]);
  assert.equal(shard.alarm(), 'rings');
});

test('the classes of objects derive from the one whose methods can be called from afar, and show no others', async () => {
  const { Shard } = await enter(['Shard']);
  assert.equal(Object.getPrototypeOf(Shard).name, 'DurableObject');
  assert.deepEqual(Object.getOwnPropertyNames(Shard.prototype), ['constructor', 'turn', 'alarm']);
  assert.throws(() => withEntry(GLUE, '', ['Account']), /exports no Account/);
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
