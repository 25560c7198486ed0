// `/check` in the real runtime: what a proxy sends arrives as it was sent, and is decided about.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request } from 'node:http';
import { text } from 'node:stream/consumers';
import test from 'node:test';
import { MACHINE, WEB, administer, askToken, makeTokens, post } from './caller.mjs';
import { ADMIN_TOKEN, Worker } from './worker.mjs';

/** Not `fetch`, which tidies addresses. @param {Worker} worker @param {string} method @param {string} target @param {Record<string, string>} headers */
async function send(worker, method, target, headers, body = '') {
  const sent = request({ host: '127.0.0.1', port: worker.port, method, path: target, headers: { host: new URL(worker.issuer).host, ...headers } });
  sent.end(body);
  const [response] = await once(sent, 'response');
  return { status: response.statusCode, headers: response.headers, text: await text(response) };
}

/** As nginx asks. @param {Worker} worker @param {string} token @param {string} method @param {string} address */
const check = (worker, token, method, address) =>
  send(worker, 'GET', '/check', { authorization: `Bearer ${token}`, 'x-original-method': method, 'x-original-uri': address });

/** @param {Worker} worker @param {string} source */
async function listenTo(worker, source) {
  const { status } = await administer(worker, 'PATCH', '/admin/settings', { 'check.source': source });
  assert.equal(status, 200);
}

test('what a proxy asks about is decided by the original request, whatever the proxy', async (t) => {
  const worker = await Worker.start();
  t.after(() => worker.stop());
  const { access_token: token } = await makeTokens(worker);
  const bearer = { authorization: `Bearer ${token}` };

  const passed = await check(worker, token, 'GET', '/orders/7?x=//..');
  assert.equal(passed.status, 200, passed.text);
  assert.equal(passed.headers['x-auth-username'], 'alice');
  assert.equal(passed.headers['x-auth-groups'], 'orders-staff');
  assert.equal(passed.text, '');
  assert.equal((await check(worker, token, 'DELETE', '/orders/7')).status, 403);
  for (const address of ['/orders/../orders', '//orders', '/orders/%2e%2e', '/orders/%2F', '/reports/..;/x']) {
    assert.equal((await check(worker, token, 'GET', address)).status, 403, address);
  }

  for (const source of ['traefik', 'caddy']) {
    await listenTo(worker, source);
    const headers = { ...bearer, 'x-forwarded-method': 'GET', 'x-forwarded-uri': '/orders' };
    assert.equal((await send(worker, 'GET', '/check', headers)).status, 200, source);
    assert.equal((await check(worker, token, 'GET', '/orders')).status, 403, source);
  }

  await listenTo(worker, 'envoy');
  assert.equal((await send(worker, 'GET', '/check/orders/7?x=1', bearer)).status, 200);
  assert.equal((await send(worker, 'POST', '/check/orders', bearer, 'a body')).status, 200);
  assert.equal((await send(worker, 'DELETE', '/check/orders', bearer)).status, 403);
  assert.equal((await send(worker, 'HEAD', '/check/orders', bearer)).status, 200);
  assert.equal((await send(worker, 'OPTIONS', '/check/orders', bearer)).status, 403);
  // Dot segments of an address are gone before anybody here sees it: the guide has Envoy take them away itself.
  assert.equal((await send(worker, 'GET', '/check/elsewhere/../orders', bearer)).status, 200);
  assert.equal((await send(worker, 'GET', '/check/orders/../elsewhere', bearer)).status, 403);
  for (const address of ['/check//orders', '/check/orders%2F7', '/check/orders/..;/7', '/check/orders/%252e%252e', '/check/orders/%zz']) {
    assert.equal((await send(worker, 'GET', address, bearer)).status, 403, address);
  }
  assert.deepEqual(worker.failures(), []);
});

test('a token that is revoked, or whose person loses the group, opens nothing at the next request', async (t) => {
  const worker = await Worker.start({ isolates: 2 });
  t.after(() => worker.stop());
  const { access_token: token } = await makeTokens(worker);
  const at = (door, own) =>
    fetch(`${door}/check`, { headers: { authorization: `Bearer ${own}`, 'x-original-method': 'GET', 'x-original-uri': '/orders' } });
  const statuses = async (own) => Promise.all(worker.doors.map(async (door) => (await at(door, own)).status));
  assert.deepEqual(await statuses(token), [200, 200]);
  await administer(worker, 'PATCH', '/admin/users/alice', { groups: [] });
  assert.deepEqual(await statuses(token), [403, 403]);
  await administer(worker, 'PATCH', '/admin/users/alice', { groups: ['orders-staff'] });
  assert.deepEqual(await statuses(token), [200, 200]);
  await administer(worker, 'PATCH', '/admin/scopes/orders.read', { urls: ['GET /elsewhere'] });
  assert.deepEqual(await statuses(token), [403, 403]);
  await administer(worker, 'PATCH', '/admin/scopes/orders.read', { urls: ['GET /orders'] });
  assert.deepEqual(await statuses(token), [200, 200]);
  assert.equal((await post(worker, '/revoke', WEB, { token })).status, 200);
  assert.deepEqual(await statuses(token), [401, 401]);

  const own = (await askToken(worker, MACHINE, { grant_type: 'client_credentials', scope: 'orders.read' })).body.access_token;
  assert.deepEqual(await statuses(own), [200, 200]);
  await administer(worker, 'PATCH', '/admin/scopes/orders.read', { client_groups: ['robots'] });
  assert.deepEqual(await statuses(own), [403, 403]);
  assert.deepEqual(await statuses(ADMIN_TOKEN), [401, 401]);
  assert.deepEqual(worker.failures(), []);
});
