// Somebody else's software: what is used where it is, what is installed, and what is said where neither works.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import test from 'node:test';
import { SetupError } from '../../scripts/failure.mjs';
import { ensureProxies, ensurePython } from '../../scripts/interop.mjs';
import { Laptop } from './laptop.mjs';

const ROOT = { isRoot: true, further: [] };

test('proxies that are there are used, and nothing is installed', async (t) => {
  const laptop = Laptop.for(t);
  for (const name of ['nginx', 'caddy']) laptop.program(name, '');
  laptop.program('apt-get', 'echo "apt-get $*" >> "$HOME/calls"');
  const machine = laptop.machine();
  await ensureProxies(machine, ROOT);
  assert.deepEqual([machine.env.EDGEMINT_NGINX, machine.env.EDGEMINT_CADDY], [join(laptop.home, 'bin/nginx'), join(laptop.home, 'bin/caddy')]);
  assert.deepEqual(laptop.calls(), []);
});

test('proxies that are missing are installed by root with apt-get', async (t) => {
  const laptop = Laptop.for(t);
  laptop.program('apt-get', 'for name; do :; done; case "$*" in *install*) cp "$HOME/bin/apt-get" "$HOME/bin/$name";; esac');
  const machine = laptop.machine();
  await ensureProxies(machine, ROOT);
  assert.equal(machine.env.EDGEMINT_CADDY, join(laptop.home, 'bin/caddy'));
});

test('a proxy that cannot be installed is a sentence', async (t) => {
  const laptop = Laptop.for(t);
  await assert.rejects(ensureProxies(laptop.machine(), { ...ROOT, isRoot: false }), (error) => error instanceof SetupError && /^nginx is not installed/.test(error.message));
});

test('a Python that cannot be had is a sentence', async (t) => {
  const laptop = Laptop.for(t);
  const machine = { ...laptop.machine(), root: new URL('../..', import.meta.url).pathname };
  machine.env.PATH = '/nowhere';
  await assert.rejects(ensurePython(machine, []), (error) => error instanceof SetupError && /^Python is not installed/.test(error.message));
});
