// Waiting for what another process does: asked again and again, up to a deadline.

import { setTimeout as pause } from 'node:timers/promises';

const DEADLINE = 10_000;

/**
 * @param {string} what must come true
 * @param {() => unknown} condition
 * @param {number} [deadline] milliseconds
 */
export async function until(what, condition, deadline = DEADLINE) {
  const end = Date.now() + deadline;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`within ${deadline / 1000} s it did not come true that ${what}`);
    await pause(50);
  }
}
