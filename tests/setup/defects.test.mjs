// The table of seeded defects, as far as it can be judged without making them.

import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'node:test';
import { seed } from '../../scripts/defects.mjs';
import { DEFECTS } from '../defects/table.mjs';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

test('every seeded defect finds its line, once, and changes it', () => {
  for (const defect of DEFECTS) {
    const source = readFileSync(join(ROOT, 'src', defect.file), 'utf8');
    const bent = seed(source, defect);
    assert(bent !== undefined && bent !== source, `${defect.what}: not once in ${defect.file}`);
  }
});

test('every test that a seeded defect names exists', () => {
  const files = ['src', 'tests/native'].flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' }).map((name) => join(ROOT, folder, name)),
  );
  const sources = files.filter((name) => name.endsWith('.rs')).map((name) => readFileSync(name, 'utf8')).join('\n');
  for (const { what, test: name } of DEFECTS) {
    const last = name.split('::').at(-1);
    assert(last === '' || sources.includes(`fn ${last}(`), `${what}: no test ${name}`);
  }
});

test('there are defects enough, and each is described once', () => {
  assert(DEFECTS.length >= 15);
  assert.equal(new Set(DEFECTS.map(({ what }) => what)).size, DEFECTS.length);
});
