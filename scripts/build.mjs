// Builds the Worker, `build/index.js` and `build/index_bg.wasm`, unless its sources are those of the last build.

import { createHash } from 'node:crypto';
import { existsSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runScript, SetupError } from './failure.mjs';
import { describeMachine } from './machine.mjs';
import { orderBodies } from './order.mjs';
import { runOrFail } from './process.mjs';
import { setUp } from './setup.mjs';
import { demandSmall, describeSize, measureWorker } from './size.mjs';
import { nameByPlace, readBodies } from './wasm.mjs';

/** Links the library, and is optimized together with it. */
const WORKER_CRATE = 'worker';
/** What the runtime calls. */
const ENTRY = `${WORKER_CRATE}/entry.js`;
/** What the Worker is made of; the lock files name the tools, too. */
const SOURCES = [
  'src',
  'derive',
  WORKER_CRATE,
  'Cargo.toml',
  'Cargo.lock',
  'askama.toml',
  'wrangler.toml',
  'rust-toolchain.toml',
  '.cargo/config.toml',
  'package-lock.json',
  'scripts/build.mjs',
  'scripts/order.mjs',
  'scripts/tools.mjs',
  'scripts/wasm.mjs',
];
/** What the compiler takes for granted in WebAssembly, and workerd has; nothing newer may come in. */
const FEATURES = [
  'mutable-globals',
  'sign-ext',
  'nontrapping-float-to-int',
  'bulk-memory',
  'multivalue',
  'reference-types',
  'exception-handling',
].map((feature) => `--enable-${feature}`);
/** In this order. Nothing lies in the lowest kilobyte: there ends the stack, and whoever needs that much of it has none. */
export const PASSES = [
  '--no-inline=*',
  '--low-memory-unused',
  '-O2',
  '--code-folding',
  '--optimize-added-constants',
];
/** Once each function's name says where it belongs. The names are an eighth of the file, and nobody but a debugger reads them. */
const LAST_PASSES = ['--reorder-functions-by-name', '--strip-debug'];
const OUTPUTS = ['build/index.js', 'build/index_bg.wasm'];

/**
 * @param {import('./machine.mjs').Machine} machine after set-up
 */
export async function build(machine) {
  const stamp = join(machine.root, 'build', '.sources');
  const sources = hashSources(machine.root);
  const outputs = OUTPUTS.map((file) => join(machine.root, file));
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === sources && outputs.every((file) => existsSync(file))) {
    console.log('The Worker is up to date.');
  } else {
    console.log('Building the Worker: a minute or two the first time.');
    rmSync(stamp, { force: true });
    await runOrFail(machine, machine.env.WORKER_BUILD_BIN ?? 'worker-build', ['--release', '--no-opt', WORKER_CRATE, '--out-dir', '../build'], {
      output: 'show',
      failure: 'The Worker could not be built: worker-build failed as shown above.',
    });
    const missing = OUTPUTS.find((file) => !existsSync(join(machine.root, file)));
    if (missing) throw new SetupError(`worker-build made no ${missing}: remove build/ and run this again.`);
    enter(machine.root, outputs[0]);
    // Once: worker-build would have done it before, with more. What is small by itself is smaller compressed than what has
    // been put into its only caller. `docs/decisions/028-size.md`
    const wasm = outputs[1];
    await optimize(machine, wasm, PASSES, 'The Worker could not be made small: wasm-opt failed as shown above.');
    const optimized = readFileSync(wasm);
    writeFileSync(wasm, nameByPlace(optimized, orderBodies(readBodies(optimized))));
    await optimize(machine, wasm, LAST_PASSES, 'The Worker could not be stripped of its names: wasm-opt failed as shown above.');
    writeFileSync(stamp, sources);
  }
  const size = measureWorker(outputs[0]);
  console.log(describeSize(size));
  demandSmall(size);
}

/** Completes what worker-build wrote. @param {string} root @param {string} file the glue */
export function enter(root, file) {
  const text = readFileSync(join(root, 'wrangler.toml'), 'utf8');
  const classes = [...text.matchAll(/^class_name = "(\w+)"$/gm)].map(([, name]) => name);
  const entry = readFileSync(join(root, ENTRY), 'utf8');
  writeFileSync(file, withEntry(readFileSync(file, 'utf8'), entry, classes));
}

/**
 * The glue with an entrance of our own. Objects are classes that derive from `DurableObject`: of others the runtime lets
 * nobody call a method from afar, and wasm-bindgen lets no class of Rust derive from one of the runtime's.
 * @param {string} glue an ES module, whose last statement lists what it exports
 * @param {string} entry `worker/entry.js`
 * @param {string[]} classes those of the objects
 */
export function withEntry(glue, entry, classes) {
  const [statement, list] = /export\s*\{([^{}]*)\};?\s*$/.exec(glue) ?? ['', ''];
  const exported = new Map(list.split(',').map((item) => item.trim().split(/\s+as\s+/)).map(([own, name = own]) => [name, own]));
  const missing = ['Entrance', ...classes].filter((name) => !exported.has(name));
  if (missing.length > 0) throw new SetupError(`worker-build exports no ${missing.join(', ')}: remove build/ and run this again.`);
  const members = ['Entrance', ...classes].map((name) => `${name}:${exported.get(name)}`);
  const objects = classes.map((name) => `export const ${name}=derive(glue.${name});`);
  const own = entry.replace(/^\s*(\/\/|\/\*).*\n/gm, '').replace(/^\s+/gm, '');
  return `${glue.slice(0, glue.length - statement.length)}const glue={${members}};\n${own}${objects.join('')}\n`;
}

/**
 * @param {import('./machine.mjs').Machine} machine
 * @param {string} wasm the file, which is replaced
 * @param {string[]} passes
 * @param {string} failure
 */
export async function optimize(machine, wasm, passes, failure) {
  const args = [wasm, ...FEATURES, ...passes, '--output', wasm];
  await runOrFail(machine, machine.env.WASM_OPT_BIN ?? 'wasm-opt', args, { output: 'show', failure });
}

/**
 * Of names and contents, not of times: a checkout changes every time and perhaps no file.
 * @param {string} root
 */
export function hashSources(root) {
  const hash = createHash('sha256');
  for (const file of SOURCES.flatMap((source) => listFiles(root, source))) {
    const content = readFileSync(join(root, file));
    hash.update(`${file}\0${content.length}\0`).update(content);
  }
  return hash.digest('hex');
}

/** @param {string} root @param {string} path @returns {string[]} sorted, relative to the root; none if it isn't there */
function listFiles(root, path) {
  const entry = statSync(join(root, path), { throwIfNoEntry: false });
  if (!entry) return [];
  if (!entry.isDirectory()) return [path];
  return readdirSync(join(root, path)).sort().flatMap((name) => listFiles(root, `${path}/${name}`));
}

await runScript(import.meta.url, async () => {
  const machine = describeMachine();
  await setUp(machine);
  await build(machine);
});
