// Rust, the npm packages and Node: what set-up says when one is missing, and what it leaves alone.

import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { SetupError } from '../../scripts/failure.mjs';
import { ensureNode } from '../../scripts/packages.mjs';
import { Laptop, lastLine } from './laptop.mjs';

const COMPILING = 'cargo build --package edgemint-worker --lib --release --target wasm32-unknown-unknown';
const TOOL_CALLS = [
  'cargo install worker-build --version =0.8.7',
  'cargo install wasm-bindgen-cli --version =0.2.999',
];

test('without Rust one sentence says where to get it', async (t) => {
  const { code, output } = await Laptop.for(t).run('setup.mjs');
  assert.equal(code, 1);
  assert.match(output.trim(), /^Rust is not installed .*https:\/\/rustup\.rs.*$/);
});

test('cargo in ~/.cargo/bin is found though PATH does not name it', async (t) => {
  const laptop = Laptop.withToolchains(t);
  laptop.env.CARGO_HOME = join(laptop.home, 'bin');
  laptop.program('.cargo/bin/cargo', `exec "$HOME/bin/cargo" "$@"`);
  laptop.program('.cargo/bin/rustc', `exec "$HOME/bin/rustc" "$@"`);
  laptop.program('elsewhere/npm', `exec "$HOME/bin/npm" "$@"`);
  const { code, output } = await laptop.run('setup.mjs', { PATH: join(laptop.home, 'elsewhere'), CARGO_HOME: '' });
  assert.equal(code, 0, output);
});

test('without the wasm target and without rustup one sentence says so', async (t) => {
  const laptop = Laptop.for(t);
  laptop.installRust({ wasm: false });
  const { code, output } = await laptop.run('setup.mjs');
  assert.equal(code, 1);
  assert.match(output.trim(), /^The Rust toolchain in .* lacks the target wasm32-unknown-unknown, and there is no rustup.*$/);
});

test('rustup adds the wasm target when it is missing', async (t) => {
  const laptop = Laptop.withToolchains(t);
  laptop.installRust({ wasm: false });
  laptop.program('rustup', 'echo "rustup $*" >> "$HOME/calls"; mkdir -p "$HOME/sysroot/lib/rustlib/$3/lib"');
  const { code, output } = await laptop.run('setup.mjs');
  assert.equal(code, 0, output);
  assert.equal(laptop.calls()[0], 'rustup target add wasm32-unknown-unknown');
});

test('a rustup that fails is a sentence under its last lines', async (t) => {
  const laptop = Laptop.for(t);
  laptop.installRust({ wasm: false });
  laptop.program('rustup', 'echo "no route to host" >&2; exit 1');
  const { code, output } = await laptop.run('setup.mjs');
  assert.equal(code, 1);
  assert.match(output, / {2}\| no route to host\n.*rustup could not add it: check the network.*\n$/);
});

test('a toolchain that does not run is a sentence', async (t) => {
  const laptop = Laptop.for(t);
  laptop.installRust();
  laptop.program('rustc', 'echo "error: no default toolchain" >&2; exit 1');
  const { code, output } = await laptop.run('setup.mjs');
  assert.equal(code, 1);
  assert.match(lastLine(output), /^rustc does not run: try `rustup default stable`/);
  assert.doesNotMatch(output, /at .*\.mjs:\d+/);
});

test('a second set-up calls neither npm nor cargo', async (t) => {
  const laptop = Laptop.withToolchains(t);
  for (const round of ['first', 'second']) {
    const { code, output } = await laptop.run('setup.mjs');
    assert.equal(code, 0, `${round}: ${output}`);
  }
  // The first two run side by side.
  const [one, other, ...tools] = laptop.calls();
  assert.deepEqual([one, other].sort(), [COMPILING, 'npm ci --include=dev --include=optional --no-audit --no-fund']);
  assert.deepEqual(tools, TOOL_CALLS);
});

test('the Worker is compiled while the packages are being installed', { timeout: 20_000 }, async (t) => {
  const laptop = Laptop.withToolchains(t);
  // Whichever came first alone would wait for the other for ever.
  const meet = 'mkfifo "$HOME/meeting" 2>/dev/null';
  laptop.program('npm', `${meet}; read -r word < "$HOME/meeting"; mkdir -p node_modules; echo "$word" > "$HOME/met"`);
  laptop.program('elsewhere/cargo', `[ "$1" = build ] && { ${meet}; echo cargo > "$HOME/meeting"; }; exec "$HOME/bin/cargo" "$@"`);
  const { code, output } = await laptop.run('setup.mjs', { PATH: `${join(laptop.home, 'elsewhere')}:${laptop.env.PATH}` });
  assert.equal(code, 0, output);
  assert.equal(readFileSync(join(laptop.home, 'met'), 'utf8'), 'cargo\n');
});

test('a Worker that does not compile is told by the build, not by the set-up', async (t) => {
  const laptop = Laptop.withToolchains(t);
  laptop.program('elsewhere/cargo', '[ "$1" = build ] && exit 101; exec "$HOME/bin/cargo" "$@"');
  const { code, output } = await laptop.run('setup.mjs', { PATH: `${join(laptop.home, 'elsewhere')}:${laptop.env.PATH}` });
  assert.equal(code, 0, output);
});

test('another lock file has the packages installed again', async (t) => {
  const laptop = Laptop.withToolchains(t);
  await laptop.run('setup.mjs');
  laptop.write('clone/package-lock.json', '{"packages":{"": {}}}');
  await laptop.run('setup.mjs');
  assert.equal(laptop.calls().filter((call) => call.startsWith('npm ci')).length, 2);
});

test('without a network npm is a sentence, and what it left is not taken for an install', async (t) => {
  const laptop = Laptop.for(t);
  laptop.installRust();
  laptop.program('npm', 'mkdir -p node_modules; echo "npm error code ENOTFOUND" >&2; exit 1');
  const { code, output } = await laptop.run('setup.mjs');
  assert.equal(code, 1);
  assert.match(lastLine(output), /^The npm packages could not be installed because the npm registry cannot be reached/);
  assert.equal(existsSync(join(laptop.clone, 'node_modules', '.edgemint-lock')), false);
});

test('npm runs without the node_modules that it replaces on its PATH', async (t) => {
  const laptop = Laptop.for(t);
  laptop.installRust();
  laptop.program('npm', 'echo "$STARTED_WITH" > "$HOME/npm-path"; mkdir -p node_modules');
  const bin = join(laptop.clone, 'node_modules', '.bin');
  const { code, output } = await laptop.run('setup.mjs', { PATH: `${bin}:${laptop.env.PATH}` });
  assert.equal(code, 0, output);
  assert.equal(readFileSync(join(laptop.home, 'npm-path'), 'utf8').includes(bin), false);
});

test('an old Node is replaced by the one from npm, and its absence is a sentence', (t) => {
  const laptop = Laptop.for(t);
  const machine = laptop.machine();
  const old = { path: '/old/node', version: '20.20.2' };
  assert.throws(() => ensureNode(machine, old), (error) => error instanceof SetupError && /Node 22\.12 or newer/.test(error.message));
  laptop.program('clone/node_modules/node/bin/node', '');
  assert.equal(ensureNode(machine, old), join(laptop.clone, 'node_modules/node/bin/node'));
  assert.equal(machine.env.PATH?.split(':')[0], join(laptop.clone, 'node_modules/node/bin'));
  assert.equal(ensureNode(machine, { path: process.execPath, version: '22.12.0' }), process.execPath);
});
