// What outlives a restart, and what must not be served at all.

import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { test } from 'node:test';
import { inspect, isActive, MACHINE, makeTokens, post, read, redeem, refresh } from './caller.mjs';
import { deploy } from './deployment.mjs';
import { parameter, Person } from './person.mjs';
import { until } from './until.mjs';
import { KEY_A, KEY_B, Worker } from './worker.mjs';

/** @typedef {import('./worker.mjs').Vars} Vars */

/** Requests of every kind: served, mistyped, of another method, from another host. */
const REQUESTS = /** @type {[string, string, RequestInit][]} */ ([
  ['GET', '/healthz', {}],
  ['HEAD', '/healthz', {}],
  ['GET', '/', {}],
  ['GET', '/style.css', {}],
  ['GET', '/.well-known/oauth-authorization-server', {}],
  ['GET', '/authorize?client_id=demo-web', {}],
  ['POST', '/login', { body: new URLSearchParams({ pending: 'x' }) }],
  ['POST', '/consent', { body: new URLSearchParams({ pending: 'x' }) }],
  ['POST', '/token', { body: new URLSearchParams({ client_id: 'demo-machine', client_secret: 'demo-machine-secret', grant_type: 'client_credentials' }) }],
  ['POST', '/revoke', { body: new URLSearchParams({ client_id: 'demo-spa', token: 'x' }) }],
  ['POST', '/introspect', { body: new URLSearchParams({ client_id: 'demo-api', client_secret: 'demo-api-secret', token: 'x' }) }],
  ['GET', '/admin/clients', {}],
  ['GET', '/dev/callback', {}],
  ['GET', '/no/such/address', {}],
  ['GET', '/token', {}],
  ['OPTIONS', '/token', {}],
  ['POST', '/token', { body: 'x'.repeat(70_000) }],
]);

/** Every request is refused, and none says why. @param {Worker} worker */
async function assertServesNothing(worker) {
  const others = [];
  for (const [method, path, init] of REQUESTS) {
    for (const host of ['localhost', '127.0.0.1']) {
      const door = `http://${host}:${worker.port}`;
      const { status, headers, text } = await read(await fetch(`${door}${path}`, { method, redirect: 'manual', ...init }));
      const named = method === 'HEAD' || text.includes('server_error');
      const silent = !/MASTER_KEY|ISSUER|MODE|development/.test(text);
      const refused = status === 503 && named && silent && headers.get('cache-control') === 'no-store';
      if (!refused) others.push(`${method} ${host} ${path}: ${status} ${text.slice(0, 60)}`);
    }
  }
  assert.deepEqual(others, []);
}

test('a code that was given before a restart works after it, once', async (t) => {
  const deployment = await deploy(t);
  const code = await new Person(deployment.first).code();
  const worker = await deployment.restart();
  const { status, text, body } = await redeem(worker, code);
  assert.equal(status, 200, text);
  assert.equal(await isActive(worker, body.access_token), true);
  const again = await redeem(worker, code);
  assert.deepEqual([again.status, again.body.error], [400, 'invalid_grant']);
  const later = await redeem(await deployment.restart(), code);
  assert.deepEqual([later.status, later.body.error], [400, 'invalid_grant']);
});

test('sessions, pages in progress and tokens outlive a restart', async (t) => {
  const deployment = await deploy(t);
  const person = new Person(deployment.first);
  const open = await person.reachConsent();
  const tokens = await makeTokens(deployment.first);
  const ended = await makeTokens(deployment.first);
  await post(deployment.first, '/revoke', 'demo-web:demo-web-secret', { token: ended.refresh_token });

  const worker = await deployment.restart();
  assert.equal((await redeem(worker, parameter(await person.decide(open), 'code'))).status, 200);
  const page = await person.reachConsent();
  assert.match(page.text, /id="consent-username">alice</, 'still signed in');
  assert.equal(await isActive(worker, tokens.access_token), true);
  const refreshed = await refresh(worker, tokens.refresh_token);
  assert.equal(refreshed.status, 200, refreshed.text);
  assert.equal(await inspect(worker, ended.access_token), '{"active":false}');
  assert.equal((await refresh(worker, ended.refresh_token)).body.error, 'invalid_grant');
});

test('a second master key verifies what it made until it is taken from the list', async (t) => {
  const deployment = await deploy(t);
  const person = new Person(deployment.first);
  const code = await person.code();
  const [unused, tokens] = [await person.code(), await makeTokens(deployment.first)];

  const both = await deployment.restart({ MASTER_KEY: `${KEY_B},${KEY_A}` });
  assert.equal((await redeem(both, code)).status, 200);
  assert.equal(await isActive(both, tokens.access_token), true);
  assert.match((await person.reachConsent()).text, /id="consent-username">alice</);
  const renewed = (await refresh(both, tokens.refresh_token)).body;
  const machine = await post(both, '/token', MACHINE, { grant_type: 'client_credentials' });

  const alone = await deployment.restart({ MASTER_KEY: KEY_B });
  assert.equal(await inspect(alone, tokens.access_token), '{"active":false}');
  assert.equal((await refresh(alone, tokens.refresh_token)).body.error, 'invalid_grant');
  assert.equal((await redeem(alone, unused)).body.error, 'invalid_grant');
  assert.match((await person.authorize('demo-web')).text, /id="login-submit"/);
  // What the first of the list made is good as long as it is on it.
  assert.equal(await isActive(alone, renewed.access_token), true);
  assert.equal(await isActive(alone, machine.body.access_token), true);
  assert.equal((await refresh(alone, renewed.refresh_token)).status, 200);
});

test('production over development data serves nothing', async (t) => {
  const deployment = await deploy(t);
  await makeTokens(deployment.first);
  const issuer = `https://localhost:${deployment.first.port}`;
  const worker = await deployment.restart({ MODE: undefined, ISSUER: issuer });
  await assertServesNothing(worker);
  await until('the log says why', () => worker.log.some(({ message }) => message.includes('development data')));
});

for (const [what, vars] of /** @type {[string, Vars][]} */ ([
  ['in development for an issuer that is not loopback', { ISSUER: 'https://login.example.com' }],
  ['without an issuer', { ISSUER: undefined }],
  ['without a master key', { MASTER_KEY: undefined }],
  ['with a short master key', { MASTER_KEY: 'a:AAAAAAAAAAAAAAAAAAAAAA' }],
  ['with one short master key among good ones', { MASTER_KEY: `${KEY_A},b:AAAA` }],
  ['with two master keys of one name', { MASTER_KEY: `${KEY_A},${KEY_B.replace('b:', 'a:')}` }],
  ['with a short administrator’s token', { ADMIN_TOKEN: 'short' }],
  ['in production for an issuer that is not https', { MODE: undefined }],
])) {
  test(`a Worker ${what} serves nothing, says why in its log, and stores nothing`, async (t) => {
    const worker = await Worker.start({ vars });
    t.after(() => worker.stop());
    await assertServesNothing(worker);
    await until('the log says why', () => worker.log.some(({ message }) => message.includes('"event":"misconfigured"')));
    const log = JSON.stringify(worker.log);
    assert(!log.includes(KEY_A.slice(2)) && !log.includes(KEY_B.slice(2)), 'the log shows no key');
    const stored = readdirSync(worker.state, { recursive: true }).filter((path) => /^do\/edgemint-/.test(path));
    assert.deepEqual(stored.filter((path) => path.endsWith('.sqlite') && !path.endsWith('metadata.sqlite')), []);
  });
}

test('production without development data serves, and has none', async (t) => {
  const worker = await Worker.start({ vars: { MODE: undefined, ISSUER: 'https://login.example.com' } });
  t.after(() => worker.stop());
  const health = await read(await fetch(`${worker.issuer}/healthz`));
  assert.deepEqual([health.status, health.body], [200, { status: 'ok' }]);
  assert.match(health.headers.get('strict-transport-security'), /max-age=\d{8}/);
  const answer = await post(worker, '/token', MACHINE, { grant_type: 'client_credentials' });
  assert.deepEqual([answer.status, answer.body.error], [401, 'invalid_client']);
  const metadata = await read(await fetch(`${worker.issuer}/.well-known/oauth-authorization-server`));
  assert.equal(metadata.body.issuer, 'https://login.example.com');
});
