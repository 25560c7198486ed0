// How large the Worker is: what is deployed, gzipped.

import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { SetupError } from './failure.mjs';

export const SIZE_LIMIT = 500_000;

/** @typedef {{ wasm: number, js: number }} Size bytes, each file gzipped at level 9 */

/**
 * @param {string} entry the Worker's main module
 * @returns {Size} of it and of everything that it imports
 */
export function measureWorker(entry) {
  const size = { wasm: 0, js: 0 };
  const files = [entry];
  // The array grows while it is walked.
  for (const file of files) {
    const content = readFileSync(file);
    const isWasm = file.endsWith('.wasm');
    size[isWasm ? 'wasm' : 'js'] += gzipSync(content, { level: 9 }).length;
    if (isWasm) continue;
    for (const [, specifier] of content.toString('utf8').matchAll(/\b(?:from|import)\s*\(?\s*["'](\.[^"']+)["']/g)) {
      const imported = join(dirname(file), specifier);
      if (!files.includes(imported)) files.push(imported);
    }
  }
  return size;
}

/** @param {Size} size */
export function describeSize({ wasm, js }) {
  return `Worker size: ${wasm + js} bytes gzipped (wasm ${wasm}, js ${js})`;
}

/** @param {Size} size */
export function demandSmall({ wasm, js }) {
  if (wasm + js > SIZE_LIMIT) {
    throw new SetupError(`The Worker is larger than ${SIZE_LIMIT} bytes gzipped: remove code or a dependency (\`cargo tree\` shows them).`);
  }
}
