// `npm start`: installs what is missing, builds, and serves the Worker until a signal comes.

import { get } from 'node:http';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { build } from './build.mjs';
import { runScript, SetupError } from './failure.mjs';
import { describeMachine } from './machine.mjs';
import { demandFreePort, readPort } from './port.mjs';
import { exitAfterSignalWith, run, stopAll, stopChildrenOnSignal } from './process.mjs';
import { setUp } from './setup.mjs';

/** Development data is seeded by the first request, password hashes among it. */
const SEED_LIMIT = 60_000;

/**
 * @param {import('./machine.mjs').Machine} machine
 * @param {number} port
 * @returns {Promise<never>} a server that ends by itself has failed
 */
async function serve(machine, port) {
  Object.assign(machine.env, {
    // Wrangler would ask the network for these: a sample of request properties, telemetry, its newest version.
    CLOUDFLARE_CF_FETCH_ENABLED: 'false',
    WRANGLER_SEND_METRICS: 'false',
    WRANGLER_HIDE_BANNER: 'true',
    // Pages of wrangler's own beside ours, under /cdn-cgi/.
    X_LOCAL_EXPLORER: 'false',
    X_LOCAL_OBSERVABILITY: 'false',
  });
  const wrangler = [
    join(machine.root, 'node_modules', 'wrangler', 'bin', 'wrangler.js'),
    'dev',
    ...['--port', String(port), '--ip', '127.0.0.1'],
    ...['--var', `ISSUER:http://localhost:${port}`],
    ...['--persist-to', join('.wrangler', 'state')],
    // Its key bindings want a terminal, and a process group that is not in the foreground has none.
    '--show-interactive-dev-session=false',
  ];
  const serving = new AbortController();
  const ended = run(machine, 'node', wrangler, { output: 'show' }).then(({ code }) => {
    serving.abort();
    throw new SetupError(`The server ended by itself (wrangler dev, code ${code}): the lines above say why.`);
  });
  await Promise.race([ended, waitUntilSeeded(port, serving.signal)]);
  printWhatToTry(port);
  return await ended;
}

/** @param {number} port @param {AbortSignal} signal nobody waits any more */
async function waitUntilSeeded(port, signal) {
  const deadline = Date.now() + SEED_LIMIT;
  let answer = 'no answer';
  while (Date.now() < deadline && !signal.aborted) {
    answer = await askHealth(port);
    if (answer === '200') return;
    await sleep(200);
  }
  throw new SetupError(
    `The Worker did not become ready within ${SEED_LIMIT / 1000} s (GET /healthz: ${answer}): the lines above say why. ` +
      'If the development data is from an older version, remove .wrangler/state and run this again.',
  );
}

/** @param {number} port @returns {Promise<string>} the status, or why there is none */
function askHealth(port) {
  return new Promise((resolve) => {
    const request = get({ host: '127.0.0.1', port, path: '/healthz', headers: { host: `localhost:${port}` }, timeout: 10_000 });
    request.once('response', (response) => {
      response.resume();
      resolve(String(response.statusCode));
    });
    request.once('timeout', () => request.destroy(new Error('no answer')));
    request.once('error', (error) => resolve(error.message));
  });
}

/** @param {number} port */
function printWhatToTry(port) {
  const issuer = `http://localhost:${port}`;
  console.log(`
Edgemint serves ${issuer}

  Open ${issuer} and sign in as alice (password wonderland) or bob (password builder).
  A token for a machine:
    curl -u demo-machine:demo-machine-secret -d grant_type=client_credentials ${issuer}/token
  What the server offers:
    curl ${issuer}/.well-known/oauth-authorization-server
  Administration takes the ADMIN_TOKEN of the file .dev.vars:
    curl -H "Authorization: Bearer $(sed -n 's/^ADMIN_TOKEN=//p' .dev.vars)" ${issuer}/admin/clients

Ctrl-C stops it; its data stays in .wrangler/state.
`);
}

await runScript(import.meta.url, async () => {
  // A signal is the ordinary end of a server.
  exitAfterSignalWith(0);
  stopChildrenOnSignal();
  const machine = describeMachine();
  const port = readPort(machine.env);
  await demandFreePort(port);
  await setUp(machine);
  await build(machine);
  try {
    await serve(machine, port);
  } finally {
    await stopAll();
  }
});
