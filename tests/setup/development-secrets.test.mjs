// `.dev.vars`: made once, readable by its owner alone.

import assert from 'node:assert/strict';
import { readFileSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { ensureDevelopmentSecrets } from '../../scripts/development-secrets.mjs';
import { Laptop } from './laptop.mjs';

test('the secrets are made in the form that the Worker reads, for the owner alone', (t) => {
  const laptop = Laptop.for(t);
  ensureDevelopmentSecrets(laptop.machine());
  const path = join(laptop.clone, '.dev.vars');
  assert.match(readFileSync(path, 'utf8'), /^MASTER_KEY=k1:[\w-]{43}\nADMIN_TOKEN=[\w-]{43}\nMODE=development\n$/);
  assert.equal(statSync(path).mode & 0o777, 0o600);
  assert.deepEqual(readdirSync(laptop.clone).filter((name) => name.startsWith('.dev.vars')), ['.dev.vars']);
});

test('secrets that are there are never overwritten', (t) => {
  const laptop = Laptop.for(t);
  laptop.write('clone/.dev.vars', 'MASTER_KEY=mine\n');
  ensureDevelopmentSecrets(laptop.machine());
  assert.equal(readFileSync(join(laptop.clone, '.dev.vars'), 'utf8'), 'MASTER_KEY=mine\n');
});

test('each clone has secrets of its own', (t) => {
  const [one, other] = [Laptop.for(t), Laptop.for(t)].map((laptop) => {
    ensureDevelopmentSecrets(laptop.machine());
    return readFileSync(join(laptop.clone, '.dev.vars'), 'utf8');
  });
  assert.notEqual(one, other);
});
