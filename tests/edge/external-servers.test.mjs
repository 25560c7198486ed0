// Access tokens of a second Edgemint on loopback, which is asked about them.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import { Response as Elsewhere } from 'miniflare';
import { administer, inspect, makeTokens, post, read, WEB } from './caller.mjs';
import { Worker } from './worker.mjs';

/** @type {Worker} */
let worker;
/** @type {Worker} whose tokens are good at the first, too */
let other;

/** What the runtime would do by itself, were loopback the internet: goes there, and follows nothing. */
async function goThere(/** @type {any} */ request) {
  const { method, url, headers } = request;
  const plain = Object.fromEntries([...headers].filter(([name]) => !['host', 'content-length', 'connection'].includes(name)));
  const answer = await fetch(url, { method, headers: plain, body: await request.arrayBuffer(), redirect: 'manual' });
  return new Elsewhere(await answer.arrayBuffer(), { status: answer.status, headers: { 'content-type': 'application/json' } });
}

before(async () => {
  [worker, other] = await Promise.all([Worker.start({ internet: goThere }), Worker.start()]);
  await administer(worker, 'PATCH', '/admin/scopes/reports', { urls: ['GET /reports'] });
  await administer(worker, 'PATCH', '/admin/scopes/orders.read', { urls: ['GET /orders'], groups: ['orders-staff'] });
  const made = await administer(worker, 'POST', '/admin/external-servers', {
    name: 'other', introspection_endpoint: `${other.issuer}/introspect`, client_id: 'demo-api', client_secret: 'demo-api-secret',
  });
  assert.equal(made.status, 201, made.text);
});

after(() => Promise.all([worker.stop(), other.stop()]));

/** @param {string} token @param {string} path */
async function check(token, path) {
  const headers = { authorization: `Bearer ${token}`, 'x-original-method': 'GET', 'x-original-uri': path };
  return read(await fetch(`${worker.issuer}/check`, { headers }));
}

test('a token in our own form is nobody else\'s to be asked about', async () => {
  assert.equal((await check((await makeTokens(other)).access_token, '/reports')).status, 401);
  assert.deepEqual(worker.failures(), []);
});

test('a token in another form is told to its server, and holds as long as that one says so', async () => {
  // A server of another make in front of the second Edgemint: its tokens have another form.
  const { access_token: token } = await makeTokens(other);
  const front = createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const form = new URLSearchParams(Buffer.concat(chunks).toString());
    form.set('token', form.get('token').replace(/^theirs-/, ''));
    const answer = await fetch(`${other.issuer}/introspect`, { method: 'POST', headers: { authorization: request.headers.authorization }, body: form });
    response.writeHead(answer.status, { 'content-type': 'application/json' }).end(await answer.text());
  });
  front.listen(0, '127.0.0.1');
  await once(front, 'listening');
  const { port } = /** @type {import('node:net').AddressInfo} */ (front.address());
  try {
    const moved = { introspection_endpoint: `http://127.0.0.1:${port}/introspect`, client_secret: 'demo-api-secret' };
    assert.equal((await administer(worker, 'PATCH', '/admin/external-servers/other', moved)).status, 200);
    const passed = await check(`theirs-${token}`, '/reports');
    assert.equal(passed.status, 200, passed.text);
    assert.equal(passed.headers.get('x-auth-client'), 'other:demo-web');
    assert.match(passed.headers.get('x-auth-subject'), /^other:/);
    assert.equal((await check(`theirs-${token}`, '/orders')).status, 403);
    assert.equal((await administer(worker, 'PATCH', '/admin/external-servers/other', { username: 'alice' })).status, 200);
    const mapped = await check(`theirs-${token}`, '/orders');
    assert.deepEqual([mapped.status, mapped.headers.get('x-auth-username')], [200, 'alice']);
    assert.equal(JSON.parse(await inspect(worker, `theirs-${token}`)).username, 'alice');
    await post(other, '/revoke', WEB, { token });
    assert.equal((await check(`theirs-${token}`, '/orders')).status, 401);
    assert.deepEqual(JSON.parse(await inspect(worker, `theirs-${token}`)), { active: false });
  } finally {
    front.closeAllConnections();
    front.close();
  }
  assert.equal((await check(`theirs-${token}`, '/reports')).status, 503);
  assert.deepEqual(worker.failures(), []);
});
