// This server as a client of another: a second Edgemint on loopback gives the tokens, and servers that misbehave give none.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import { Response as Elsewhere } from 'miniflare';
import { WEB, administer, inspect, read } from './caller.mjs';
import { CALLBACK, Person, VERIFIER } from './person.mjs';
import { ADMIN_TOKEN, Worker, findFreePort } from './worker.mjs';

/** @type {Worker} the client */
let worker;
/** @type {Worker} */
let provider;
/** @type {import('node:http').Server} */
let odd;
let oddPort = 0;
/** What the odd server was asked. @type {string[]} */
const asked = [];

/** What the runtime would do by itself, were loopback the internet: goes there, and follows nothing. */
async function goThere(/** @type {any} */ request) {
  const { method, url, headers } = request;
  const body = method === 'GET' ? undefined : await request.arrayBuffer();
  const plain = Object.fromEntries([...headers].filter(([name]) => !['host', 'content-length', 'connection'].includes(name)));
  const answer = await fetch(url, { method, headers: plain, body, redirect: 'manual' });
  const kept = [...answer.headers].filter(([name]) => !['content-encoding', 'transfer-encoding', 'content-length'].includes(name));
  return new Elsewhere(answer.body, { status: answer.status, headers: kept });
}

before(async () => {
  [worker, provider] = await Promise.all([Worker.start({ internet: goThere }), Worker.start()]);
  oddPort = await findFreePort();
  odd = createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`);
    request.resume();
    if (request.url === '/redirect') response.writeHead(307, { location: `${provider.issuer}/token` }).end();
    else if (request.url === '/large') response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ access_token: 'x'.repeat(2_000_000) }));
    else if (request.url === '/page') response.writeHead(500, { 'content-type': 'text/html' }).end('<p>down</p>');
    // Anything else is never answered.
  });
  odd.listen(oddPort, '127.0.0.1');
  await once(odd, 'listening');
});

after(async () => {
  odd.closeAllConnections();
  odd.close();
  await Promise.all([worker.stop(), provider.stop()]);
});

/** @param {Record<string, string>} wish @param {string} [path] @param {string} [bearer] */
async function ask(wish, path = '/admin/external/token', bearer = ADMIN_TOKEN) {
  const headers = { authorization: `Bearer ${bearer}`, 'content-type': 'application/json' };
  return read(await fetch(`${worker.issuer}${path}`, { method: 'POST', headers, body: JSON.stringify(wish) }));
}

const client = { client_id: 'demo-web', client_secret: 'demo-web-secret' };

test('a code is exchanged and a refresh token used at another server, by both addresses of the vendor and by ours', async () => {
  for (const path of ['/invoke/pub.client.oauth/getExternalAccessToken', '/invoke/pub.client.oauth:getExternalAccessToken', '/admin/external/token']) {
    const code = await new Person(provider).code();
    const wish = { ...client, token_endpoint: `${provider.issuer}/token`, redirect_uri: CALLBACK };
    const first = await ask({ ...wish, grant_type: 'authorization_code', code, code_verifier: VERIFIER }, path);
    assert.equal(first.status, 200, first.text);
    assert.equal(first.body.token_type, 'Bearer');
    assert.equal(first.body.expires_in, 3600);
    assert.equal(JSON.parse(await inspect(provider, first.body.access_token)).active, true);
    const second = await ask({ ...wish, grant_type: 'refresh_token', refresh_token: first.body.refresh_token, scope: 'reports' }, path);
    assert.equal(second.status, 200, second.text);
    assert.equal(second.body.scope, 'reports');
    const again = await ask({ ...wish, grant_type: 'authorization_code', code, code_verifier: VERIFIER }, path);
    assert.equal(again.status, 502);
    assert.equal(again.body.error, 'external_error');
    assert.equal(again.body.external_status, 400);
    assert.equal(again.body.external.error, 'invalid_grant');
  }
  const wrong = await ask({ ...client, client_secret: 'wrong', grant_type: 'refresh_token', refresh_token: 'x', token_endpoint: `${provider.issuer}/token` });
  assert.deepEqual([wrong.status, wrong.body.external_status, wrong.body.external.error], [502, 401, 'invalid_client']);
});

test('targets that are refused, redirect, are large or never answer', async () => {
  const wish = { ...client, grant_type: 'refresh_token', refresh_token: 'x' };
  for (const address of ['http://10.0.0.1/token', 'https://169.254.169.254/token', `${worker.issuer}/token`, `http://127.0.0.1:${worker.port}/token`, 'http://as.example/token']) {
    const refused = await ask({ ...wish, token_endpoint: address });
    assert.deepEqual([refused.status, refused.body.error], [400, 'invalid_target'], address);
  }
  const at = (path) => ask({ ...wish, token_endpoint: `http://127.0.0.1:${oddPort}${path}` });
  const redirected = await at('/redirect');
  assert.deepEqual([redirected.status, redirected.body.external_status, redirected.body.external], [502, 307, null]);
  const large = await at('/large');
  assert.deepEqual([large.status, large.body.external_status, large.body.external], [502, 200, null]);
  const page = await at('/page');
  assert.deepEqual([page.status, page.body.external_status, page.body.external], [502, 500, null]);
  assert.deepEqual(asked, ['POST /redirect', 'POST /large', 'POST /page'], 'each was asked once, and nobody else');
  const never = await at('/never');
  assert.deepEqual([never.status, never.body.error], [504, 'external_timeout']);
  assert.deepEqual(worker.failures(), []);
});

test('only who has the scope for it may have others asked, and nothing of it is logged', async () => {
  const wish = { ...client, client_secret: 'hush-hush', grant_type: 'refresh_token', refresh_token: 'their-own', token_endpoint: `${provider.issuer}/token` };
  assert.equal((await ask(wish, '/admin/external/token', 'ema_x')).status, 401);
  const changed = await administer(worker, 'PATCH', '/admin/clients/demo-machine', { scope: 'external' });
  assert.equal(changed.status, 200, changed.text);
  const form = new URLSearchParams({ grant_type: 'client_credentials', scope: 'external' });
  const headers = { authorization: `Basic ${btoa('demo-machine:demo-machine-secret')}` };
  const own = await (await fetch(`${worker.issuer}/token`, { method: 'POST', headers, body: form })).json();
  assert.equal((await ask(wish, '/admin/external/token', own.access_token)).body.external_status, 401);
  const log = worker.log.map(({ message }) => message).join('\n');
  for (const secret of ['hush-hush', 'their-own', WEB.split(':')[1]]) assert(!log.includes(secret), `the log has ${secret}`);
});
