// Proxies from Debian in front of a small service, under the configurations of docs/protecting-an-api.md.

import assert from 'node:assert/strict';
import { request } from 'node:http';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import test from 'node:test';
import { MACHINE, WEB, askToken, post, redeem } from '../edge/caller.mjs';
import { Person } from '../edge/person.mjs';
import { ADMIN_TOKEN, Worker } from '../edge/worker.mjs';
import { Proxy, configuration } from './proxy.mjs';
import { startService } from './service.mjs';

const PROXIES = [
  {
    name: 'nginx',
    source: 'nginx',
    start: (ports) =>
      Proxy.start(({ own }, scratch) => ({
        file: 'nginx.conf',
        // Around the block stands what a package's own file has.
        text: `daemon off; pid ${scratch}/nginx.pid; error_log stderr; events {}
http { access_log off; client_body_temp_path ${scratch}/body; proxy_temp_path ${scratch}/proxy;
fastcgi_temp_path ${scratch}/fastcgi; uwsgi_temp_path ${scratch}/uwsgi; scgi_temp_path ${scratch}/scgi;
${configuration('nginx', { ...ports, own })} }`,
        command: process.env.EDGEMINT_NGINX ?? 'nginx',
        args: ['-p', scratch, '-c', `${scratch}/nginx.conf`, '-e', 'stderr'],
      })),
  },
  {
    name: 'Caddy',
    source: 'caddy',
    start: (ports) =>
      Proxy.start(({ own }, scratch) => ({
        file: 'Caddyfile',
        text: `{\nadmin off\n}\n${configuration('caddyfile', { ...ports, own })}`,
        command: process.env.EDGEMINT_CADDY ?? 'caddy',
        args: ['run', '--config', `${scratch}/Caddyfile`, '--adapter', 'caddyfile'],
      })),
  },
];

/** What stands in the address goes out as it is: `fetch` would tidy it. */
async function ask(origin, target, token, { method = 'GET', headers = {} } = {}) {
  const { hostname, port } = new URL(origin);
  const authorization = token === undefined ? {} : { authorization: `Bearer ${token}` };
  const sent = request({ host: hostname, port, path: target, method, headers: { ...authorization, ...headers } }).end();
  const [response] = await once(sent, 'response');
  const body = await text(response);
  const json = /json/.test(response.headers['content-type'] ?? '');
  return { status: response.statusCode, headers: response.headers, body: json ? JSON.parse(body) : body };
}

/** @param {Worker} worker @param {string} username @param {string} password @param {string} scope */
async function tokenOf(worker, username, password, scope) {
  const person = new Person(worker);
  const page = await person.signIn(await person.authorize('demo-web', { scope }), username, password);
  const answer = await redeem(worker, (await person.decide(page, 'all')).location.searchParams.get('code'));
  assert.equal(answer.status, 200, answer.text);
  return answer.body.access_token;
}

for (const { name, source, start } of PROXIES) {
  test(`${name} passes on what /check allows, with who is asking, and nothing else`, async (t) => {
    const worker = await Worker.start();
    t.after(() => worker.stop());
    const service = await startService();
    t.after(() => service.stop());
    const changed = await fetch(`${worker.issuer}/admin/settings`, {
      method: 'PATCH',
      headers: { authorization: `Bearer ${ADMIN_TOKEN}`, 'content-type': 'application/json' },
      body: JSON.stringify({ 'check.source': source }),
    });
    assert.equal(changed.status, 200, await changed.text());
    const proxy = await start({ edgemint: worker.port, service: service.port });
    t.after(() => proxy.stop());

    const missing = await ask(proxy.origin, '/orders');
    assert.equal(missing.status, 401);
    assert.equal(missing.headers['www-authenticate'], 'Bearer realm="edgemint"');

    const reports = await tokenOf(worker, 'alice', 'wonderland', 'reports');
    const beyond = await ask(proxy.origin, '/orders', reports);
    assert.equal(beyond.status, 403);
    assert.equal(beyond.headers['www-authenticate'], 'Bearer realm="edgemint", error="insufficient_scope", scope="orders.read"');

    const alice = await tokenOf(worker, 'alice', 'wonderland', 'orders.read');
    const both = await tokenOf(worker, 'alice', 'wonderland', 'orders.read reports');
    const forged = {
      'x-auth-groups': 'root', 'x-auth-username': 'mallory', 'X_Auth_Groups': 'root', connection: 'close, X-Auth-Username',
      'X-Original-URI': '/reports', 'X-Forwarded-Uri': '/reports', 'X-Original-Method': 'POST', 'X-Forwarded-Method': 'POST',
    };
    const passed = await ask(proxy.origin, '/orders/7?x=1', alice, { headers: forged });
    assert.equal(passed.status, 200);
    assert.equal(passed.body.url, '/orders/7?x=1');
    const told = passed.body.headers;
    assert.equal(told['x-auth-username'], 'alice');
    assert.equal(told['x-auth-client'], 'demo-web');
    assert.equal(told['x-auth-scope'], 'orders.read');
    assert.equal(told['x-auth-groups'], 'orders-staff');
    assert.match(told['x-auth-subject'], /^[\w-]{22}$/);
    assert.equal(told.authorization, undefined, 'the service never sees the token');
    assert.equal(told.x_auth_groups, undefined, 'some services take an underscore for a hyphen');

    const bob = await tokenOf(worker, 'bob', 'builder', 'orders.read');
    const outside = await ask(proxy.origin, '/orders', bob, { headers: { 'x-auth-groups': 'orders-staff' } });
    assert.equal(outside.status, 403);
    assert.equal(outside.headers['www-authenticate'], 'Bearer realm="edgemint", error="insufficient_scope"');

    const own = await askToken(worker, MACHINE, { grant_type: 'client_credentials', scope: 'orders.read' });
    const machine = await ask(proxy.origin, '/orders', own.body.access_token, { headers: { 'x-auth-username': 'alice' } });
    assert.equal(machine.status, 200);
    assert.equal(machine.body.headers['x-auth-username'] ?? '', '', 'a header that is empty leaves none of the caller');

    assert.equal((await ask(proxy.origin, '/orders', alice, { method: 'POST' })).status, 403);
    for (const bent of ['/reports/../reports', '//reports', '/reports/%2e%2e/reports', '/reports%2F7', '/reports/..%2fsecret', '/reports/..;/orders', '/reports/;x']) {
      const answer = await ask(proxy.origin, bent, both);
      assert.ok([400, 403].includes(answer.status), `${bent}: ${answer.status}`);
    }

    assert.equal((await post(worker, '/revoke', WEB, { token: alice })).status, 200);
    const revoked = await ask(proxy.origin, '/orders', alice);
    assert.equal(revoked.status, 401);
    assert.equal(revoked.headers['www-authenticate'], 'Bearer realm="edgemint", error="invalid_token"');
    assert.deepEqual(worker.failures(), []);
  });
}
