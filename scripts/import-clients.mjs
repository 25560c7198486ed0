// `npm run import-clients -- FILE`: clients of another server, from JSON or CSV. What it needs is installed first.

import { fileURLToPath } from 'node:url';
import { runScript } from './failure.mjs';
import { describeMachine } from './machine.mjs';
import { ensurePackages } from './packages.mjs';

await runScript(import.meta.url, async () => {
  await ensurePackages(describeMachine(), { aside: true });
  const { main } = await import('../ctl/import-clients.mjs');
  return await main(fileURLToPath(new URL('..', import.meta.url)), process.argv.slice(2));
});
