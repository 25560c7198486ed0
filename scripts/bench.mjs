// `npm run bench`: how fast. Installs what is missing, builds the Worker, and measures it on this machine.

import { build } from './build.mjs';
import { runScript } from './failure.mjs';
import { describeMachine } from './machine.mjs';
import { runOrFail } from './process.mjs';
import { setUp } from './setup.mjs';

await runScript(import.meta.url, async () => {
  const machine = describeMachine();
  await setUp(machine);
  await build(machine);
  await runOrFail(machine, 'node', ['bench/administration.mjs'], {
    output: 'show',
    env: machine.env,
    failure: 'The benchmark stopped as shown above.',
  });
});
