// Clients that register themselves, by standard libraries; and clients that are a document, somewhere on an internet that
// answers as these tests say.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Response } from 'miniflare';
import * as oauth from 'oauth4webapi';
import * as client from 'openid-client';
import { administer, isActive, read } from './caller.mjs';
import { Person } from './person.mjs';
import { Worker } from './worker.mjs';

const CALLBACK = 'http://127.0.0.1:9999/callback';
const APPLICATION = {
  client_name: 'An application',
  redirect_uris: [CALLBACK],
  grant_types: ['authorization_code', 'refresh_token'],
  token_endpoint_auth_method: 'none',
};
const ID = 'https://app.test/client.json';

/** @typedef {import('./worker.mjs').Outgoing} Outgoing */

/** What servers elsewhere answer, by address. @type {Map<string, () => Response | Promise<Response>>} */
const internet = new Map();
/** @type {Outgoing[]} */
const asked = [];

/** @type {Worker} */
let worker;

before(async () => {
  worker = await Worker.start({
    isolates: 2,
    internet: (request) => {
      asked.push(request);
      return internet.get(request.url)?.() ?? new Response('nothing here', { status: 404 });
    },
  });
  const settings = { 'registration.open': 2, 'registration.documents': true };
  const answer = await administer(worker, 'PATCH', '/admin/settings', settings);
  assert.equal(answer.status, 200, answer.text);
});

after(() => worker.stop());

/** What a person's browser is sent back to, after they allowed all. @param {URL} url of the authorization request */
async function allow(url) {
  const person = new Person(worker);
  const { status, location, text } = await person.decide(await person.signIn(await person.send(url.pathname + url.search)));
  assert.equal(status, 303, text);
  return location;
}

/** A whole flow of a client. @param {client.Configuration} configuration */
async function flow(configuration) {
  const verifier = client.randomPKCECodeVerifier();
  const url = client.buildAuthorizationUrl(configuration, {
    redirect_uri: CALLBACK,
    scope: 'reports',
    state: 'mine',
    code_challenge: await client.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
  });
  const checks = { pkceCodeVerifier: verifier, expectedState: 'mine' };
  const tokens = await client.authorizationCodeGrant(configuration, await allow(url), checks);
  assert.equal(await isActive(worker, tokens.access_token), true);
  const refreshed = await client.refreshTokenGrant(configuration, tokens.refresh_token);
  await client.tokenRevocation(configuration, refreshed.refresh_token);
  assert.equal(await isActive(worker, refreshed.access_token), false);
}

describe('registration', () => {
  for (const [name, method] of [
    ['a client', 'none'],
    ['a client with a secret', 'client_secret_basic'],
  ]) {
    test(`openid-client registers ${name}, signs a person in, refreshes and revokes`, async () => {
      const metadata = { ...APPLICATION, token_endpoint_auth_method: method };
      const options = { algorithm: /** @type {const} */ ('oauth2'), execute: [client.allowInsecureRequests] };
      const authentication = method === 'none' ? client.None() : undefined;
      const configuration = await client.dynamicClientRegistration(new URL(worker.issuer), metadata, authentication, options);
      assert.equal(configuration.clientMetadata().client_name, 'An application');
      await flow(configuration);
    });
  }

  test('oauth4webapi registers a client, and reads what was refused', async () => {
    const issuer = new URL(worker.issuer);
    const insecure = { [oauth.allowInsecureRequests]: true };
    const found = await oauth.discoveryRequest(issuer, { algorithm: 'oauth2', ...insecure });
    const as = await oauth.processDiscoveryResponse(issuer, found);
    assert.equal(as.registration_endpoint, `${worker.issuer}/register`);
    const response = await oauth.dynamicClientRegistrationRequest(as, APPLICATION, insecure);
    const registered = await oauth.processDynamicClientRegistrationResponse(response);
    assert.equal(registered.redirect_uris[0], CALLBACK);
    const bad = { ...APPLICATION, redirect_uris: ['http://app.test/cb'] };
    const refused = await oauth.dynamicClientRegistrationRequest(as, bad, insecure);
    await assert.rejects(oauth.processDynamicClientRegistrationResponse(refused), (error) => {
      assert(error instanceof oauth.ResponseBodyError, String(error));
      assert.deepEqual([error.status, error.error], [400, 'invalid_redirect_uri']);
      return true;
    });
  });

  test('an initial access token registers one client, of whoever is first', async () => {
    await administer(worker, 'PATCH', '/admin/settings', { 'registration.open': 1, 'registration.perHour': 1000 });
    const { token } = (await administer(worker, 'POST', '/admin/registration-tokens', {})).body;
    const ask = async (/** @type {string} */ door) => {
      const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
      return read(await fetch(`${door}/register`, { method: 'POST', headers, body: JSON.stringify(APPLICATION) }));
    };
    const answers = await Promise.all(Array.from({ length: 10 }, (_, at) => ask(worker.doors[at % 2])));
    const statuses = answers.map(({ status }) => status).sort();
    assert.deepEqual(statuses, [201, ...Array.from({ length: 9 }, () => 401)]);
    await administer(worker, 'PATCH', '/admin/settings', { 'registration.open': 2 });
  });

  test('a client reads, replaces and ends its registration', async () => {
    const headers = { 'content-type': 'application/json' };
    const made = await read(await fetch(`${worker.issuer}/register`, { method: 'POST', headers, body: JSON.stringify(APPLICATION) }));
    assert.equal(made.status, 201, made.text);
    const uri = made.body.registration_client_uri;
    let token = made.body.registration_access_token;
    const ask = async (/** @type {string} */ method, /** @type {object} */ body = undefined) => {
      const authorized = { ...headers, authorization: `Bearer ${token}` };
      const answer = await read(await fetch(uri, { method, headers: authorized, body: body && JSON.stringify(body) }));
      token = answer.body?.registration_access_token ?? token;
      return answer;
    };
    const first = token;
    assert.equal((await ask('GET')).body.client_name, 'An application');
    const said = { ...APPLICATION, client_id: made.body.client_id, client_name: 'Another' };
    assert.equal((await ask('PUT', said)).body.client_name, 'Another');
    const old = await fetch(uri, { headers: { authorization: `Bearer ${first}` } });
    assert.equal(old.status, 401);
    assert.equal(old.headers.get('www-authenticate'), 'Bearer realm="edgemint", error="invalid_token"');
    assert.equal((await ask('DELETE')).status, 204);
    assert.equal((await ask('GET')).status, 401);
  });

  test('a script of any origin may register', async () => {
    const origin = { origin: 'https://app.test', 'access-control-request-method': 'POST' };
    const preflight = await fetch(`${worker.issuer}/register`, { method: 'OPTIONS', headers: origin });
    assert.equal(preflight.status, 204);
    assert.equal(preflight.headers.get('access-control-allow-origin'), '*');
  });

  test('a client that nobody has used is told to administrators with its end', async () => {
    await administer(worker, 'PATCH', '/admin/settings', { 'registration.unusedSeconds': 60 });
    const headers = { 'content-type': 'application/json' };
    const made = await read(await fetch(`${worker.issuer}/register`, { method: 'POST', headers, body: JSON.stringify(APPLICATION) }));
    await administer(worker, 'PATCH', '/admin/settings', { 'registration.unusedSeconds': null });
    const { body } = await administer(worker, 'GET', `/admin/clients/${made.body.client_id}`);
    assert.equal(body.expires_at, made.body.client_id_issued_at + 60);
  });
});

describe('a document', () => {
  const document = { ...APPLICATION, client_id: ID, client_name: 'A document' };
  const json = (/** @type {object} */ body, /** @type {object} */ more = {}) => () =>
    new Response(JSON.stringify(body), { headers: { 'content-type': 'application/json', 'cache-control': 'max-age=60', ...more } });

  /** The page for a client. @param {string} id @param {string} [door] */
  async function page(id, door = worker.issuer) {
    const url = new URL('/authorize', door);
    const challenge = 'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM';
    url.search = String(
      new URLSearchParams({ client_id: id, redirect_uri: CALLBACK, response_type: 'code', code_challenge: challenge, code_challenge_method: 'S256' }),
    );
    const headers = { host: new URL(worker.issuer).host };
    return read(await fetch(url, { redirect: 'manual', headers }));
  }

  test('a client that is a document signs a person in and refreshes', async () => {
    internet.set(ID, json(document));
    const server = { issuer: worker.issuer, authorization_endpoint: `${worker.issuer}/authorize`, token_endpoint: `${worker.issuer}/token`, revocation_endpoint: `${worker.issuer}/revoke` };
    const configuration = new client.Configuration(server, ID, undefined, client.None());
    client.allowInsecureRequests(configuration);
    asked.length = 0;
    await flow(configuration);
    assert.equal(asked.length, 1, 'once, and kept');
    const [{ method, headers }] = asked;
    assert.deepEqual([method, headers.get('accept')], ['GET', 'application/json']);
    assert.equal(headers.get('cookie'), null);
  });

  test('a document at a loopback address, a redirect, 6 KB and another client id are refused', async () => {
    const good = await page(ID);
    assert.equal(good.status, 200, good.text);
    asked.length = 0;
    for (const id of ['https://127.0.0.1/client.json', 'https://localhost/client.json', 'https://[::1]/client.json', `${worker.issuer}/client.json`]) {
      internet.set(id, json({ ...document, client_id: id }));
      const refused = await page(id);
      assert.equal(refused.status, 400, id);
      assert.match(refused.text, /invalid_client/);
    }
    assert.deepEqual(asked, [], 'nobody was asked');
    const at = (/** @type {string} */ name) => `https://app.test/${name}.json`;
    internet.set(at('redirect'), () => new Response(null, { status: 302, headers: { location: ID } }));
    internet.set(at('large'), json({ ...document, client_id: at('large'), padding: 'x'.repeat(6 * 1024) }));
    internet.set(at('other'), json(document));
    internet.set(at('page'), () => new Response(JSON.stringify({ ...document, client_id: at('page') }), { headers: { 'content-type': 'text/html' } }));
    for (const name of ['redirect', 'large', 'other', 'page', 'missing']) {
      const refused = await page(at(name));
      assert.equal(refused.status, 400, name);
      assert.match(refused.text, /invalid_client/, name);
    }
    assert.deepEqual(asked.map(({ url }) => url), ['redirect', 'large', 'other', 'page', 'missing'].map(at), 'no redirect was followed');
  });

  test('a server that never ends its answer is given up', async () => {
    const id = 'https://slow.test/client.json';
    internet.set(id, () => {
      const stream = new ReadableStream({ start: (controller) => controller.enqueue(new TextEncoder().encode('{"client_id":')) });
      return new Response(stream, { headers: { 'content-type': 'application/json' } });
    });
    const start = Date.now();
    const refused = await page(id);
    assert.equal(refused.status, 503, refused.text);
    assert(Date.now() - start < 8000);
  });

  test('nothing of all that made the Worker fail', () => {
    assert.deepEqual(worker.failures(), []);
  });
});
