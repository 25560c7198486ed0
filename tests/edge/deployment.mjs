// A deployment that is ended and started again over what it stored.

import { Worker } from './worker.mjs';

/** @typedef {import('./worker.mjs').Vars} Vars */

/** @param {import('node:test').TestContext} t */
export async function deploy(t) {
  let worker = await Worker.start();
  let running = true;
  t.after(async () => {
    if (running) await worker.halt();
    worker.forget();
  });
  return {
    first: worker,
    /** @param {Vars} [vars] */
    async restart(vars) {
      running = false;
      await worker.halt();
      worker = await Worker.start({ vars, state: worker.state, port: worker.port });
      running = true;
      return worker;
    },
  };
}
