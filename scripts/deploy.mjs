// `npm run deploy`: builds the Worker and puts it into the operator's own Cloudflare account.

import { join } from 'node:path';
import { build } from './build.mjs';
import { runScript, SetupError } from './failure.mjs';
import { describeMachine } from './machine.mjs';
import { runOrFail } from './process.mjs';
import { setUp } from './setup.mjs';

/** @param {NodeJS.ProcessEnv} env @returns {string} the address that clients will know the server by (RFC 8414 §2) */
export function readIssuer(env) {
  const text = env.ISSUER ?? '';
  const url = URL.canParse(text) ? new URL(text) : undefined;
  // Its origin: written in any other way, no client and no browser would find it equal to what they compute.
  if (url?.protocol !== 'https:' || url.origin !== text) {
    throw new SetupError(
      'ISSUER must be the https address of the server: host and port only, in lower case and without a slash at its end, ' +
        'for example `ISSUER=https://login.example.com npm run deploy`.',
    );
  }
  return text;
}

await runScript(import.meta.url, async () => {
  const machine = describeMachine();
  const issuer = readIssuer(machine.env);
  await setUp(machine);
  await build(machine);
  // `.dev.vars` holds a laptop's secrets and MODE=development; `wrangler deploy` reads neither it nor .env for the Worker.
  const wrangler = join(machine.root, 'node_modules', 'wrangler', 'bin', 'wrangler.js');
  await runOrFail(machine, 'node', [wrangler, 'deploy', '--var', `ISSUER:${issuer}`], {
    output: 'show',
    // It may ask who you are.
    interactive: true,
    failure: 'The Worker was not deployed: wrangler failed as shown above.',
  });
  console.log(`
The Worker is deployed as ${issuer}. It needs two secrets; set each once:

  MASTER_KEY="k1:$(openssl rand -base64 32 | tr '+/' '-_' | tr -d '=')"
  ADMIN_TOKEN=$(openssl rand -base64 32 | tr '+/' '-_' | tr -d '=')
  echo "$MASTER_KEY" "$ADMIN_TOKEN"
  printf %s "$MASTER_KEY" | npx wrangler secret put MASTER_KEY
  printf %s "$ADMIN_TOKEN" | npx wrangler secret put ADMIN_TOKEN

Without MASTER_KEY every request is answered 503; without ADMIN_TOKEN nobody is an administrator, and the rest is served.

Put what echo prints where you keep secrets: Cloudflare shows a secret to nobody, and without the master key
every token, session and code that was handed out is worth nothing. What comes next is in README.md, "Deploying".
`);
});
