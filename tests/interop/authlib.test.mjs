// A client library of another language and other authors signs a person in.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import test from 'node:test';
import { fileURLToPath } from 'node:url';
import { administer } from '../edge/caller.mjs';
import { Person } from '../edge/person.mjs';
import { Worker } from '../edge/worker.mjs';

const CLIENT = fileURLToPath(new URL('authlib_client.py', import.meta.url));

test('Authlib discovers, signs a person in, verifies, asks userinfo, refreshes, signs them out and revokes', async (t) => {
  const worker = await Worker.start();
  t.after(() => worker.stop());
  const goodbye = 'http://127.0.0.1:9999/goodbye';
  const changed = await administer(worker, 'PATCH', '/admin/clients/demo-web', { post_logout_redirect_uris: [goodbye] });
  assert.equal(changed.status, 200);
  const args = [CLIENT, worker.issuer, 'demo-web', 'demo-web-secret', 'http://127.0.0.1:9999/callback', goodbye];
  // Over http, since it is this computer.
  const env = { ...process.env, AUTHLIB_INSECURE_TRANSPORT: '1' };
  const child = spawn(process.env.EDGEMINT_PYTHON ?? 'python3', args, { env, stdio: ['pipe', 'pipe', 'inherit'] });
  t.after(() => child.kill());
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const url = new URL((await lines.next()).value);
  const person = new Person(worker);
  const { location } = await person.decide(await person.signIn(await person.send(url.pathname + url.search)));
  child.stdin.write(`${location}\n`);
  const end = new URL((await lines.next()).value);
  const left = await person.send(end.pathname + end.search);
  assert.equal(left.status, 303);
  child.stdin.end(`${left.location}\n`);
  const { value } = await lines.next();
  const [code] = await once(child, 'exit');
  assert.equal(code, 0);
  const learned = JSON.parse(value);
  assert.equal(learned.claims.iss, worker.issuer);
  assert.deepEqual(learned.claims.amr, ['pwd']);
  assert.equal(learned.person.sub, learned.claims.sub);
  assert.equal(learned.person.email, 'alice@looking-glass.example');
  assert.equal(learned.refreshed.sub, learned.claims.sub);
  assert.equal(learned.refreshed.auth_time, learned.claims.auth_time);
  assert.equal(learned.left, true);
  assert.equal(learned.after, 401);
  url.searchParams.set('prompt', 'none');
  const nobody = await person.send(url.pathname + url.search);
  assert.equal(nobody.location.searchParams.get('error'), 'login_required');
});
