// The code of the guides, run as it stands there.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** @param {string} name of a document @returns {string[]} its blocks of JavaScript */
export function readCode(name) {
  const guide = readFileSync(join(ROOT, 'docs', name), 'utf8');
  return [...guide.matchAll(/^```js\n(.+?)^```$/gms)].map(([, code]) => code);
}

/**
 * A block as a module. It lies in this project, where it finds the packages that it names.
 * @param {import('node:test').TestContext} t
 * @param {string} code
 */
export async function importCode(t, code) {
  const folder = mkdtempSync(join(ROOT, 'build', 'guide-'));
  t.after(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, 'guide.mjs'), code);
  return import(pathToFileURL(join(folder, 'guide.mjs')).href);
}
