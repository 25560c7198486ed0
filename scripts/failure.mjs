// What stops a script: a sentence for a person, never a stack trace.

import { realpathSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** A failure that the person at the terminal can do something about. */
export class SetupError extends Error {
  /**
   * @param {string} sentence what failed and what to do about it
   * @param {string[]} [tail] the last lines of the child that failed
   */
  constructor(sentence, tail = []) {
    super(sentence);
    this.tail = tail;
  }
}

/** @param {unknown} error */
export function printFailure(error) {
  if (!(error instanceof SetupError)) {
    console.error(error);
    return;
  }
  console.error('');
  for (const line of error.tail) console.error(`  | ${line}`);
  console.error(error.message);
}

/**
 * Runs a script's body if the module is what Node was started with; its number is the exit code.
 * @param {string} url `import.meta.url` of the script
 * @param {() => Promise<number | void>} body
 */
export async function runScript(url, body) {
  if (!process.argv[1] || realpathSync(process.argv[1]) !== fileURLToPath(url)) return;
  let code = 1;
  try {
    code = (await body()) ?? 0;
  } catch (error) {
    printFailure(error);
  }
  // Not process.exit(): what is still being written to a pipe would be cut off.
  process.exitCode = code;
}
