// OpenID Connect, by clients in their strictest settings.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import * as client from 'openid-client';
import { importCode, readCode } from './guide.mjs';
import { Person } from './person.mjs';
import { ADMIN_TOKEN, Worker } from './worker.mjs';

const CALLBACK = 'http://127.0.0.1:9999/callback';
const GOODBYE = 'http://127.0.0.1:9999/goodbye';

/** @type {Worker} */
let worker;

before(async () => {
  worker = await Worker.start();
});

after(() => worker.stop());

/** @param {string} id @param {client.ClientAuth} authentication @param {Record<string, unknown>} [metadata] */
const discover = (id, authentication, metadata) =>
  client.discovery(new URL(worker.issuer), id, metadata, authentication, { execute: [client.allowInsecureRequests] });

/** What the browser of somebody who allows everything is sent back to. @param {Person} person @param {URL} url */
async function allow(person, url) {
  let page = await person.send(url.pathname + url.search);
  if (page.text.includes('id="login-submit"')) page = await person.signIn(page);
  if (page.status !== 303 && page.text.includes('id="consent-all"')) page = await person.decide(page);
  return page;
}

/** @param {string} path @param {object} body @param {string} [method] */
async function administer(path, body, method = 'POST') {
  const headers = { authorization: `Bearer ${ADMIN_TOKEN}`, 'content-type': 'application/json' };
  const answer = await fetch(`${worker.issuer}${path}`, { method, headers, body: JSON.stringify(body) });
  assert(answer.ok, await answer.clone().text());
  return answer.json();
}

test('openid-client in its strictest settings signs a person in, asks userinfo, refreshes, signs them out', async () => {
  await administer('/admin/clients/demo-web', { post_logout_redirect_uris: [GOODBYE] }, 'PATCH');
  const configuration = await discover('demo-web', client.ClientSecretBasic('demo-web-secret'), {
    id_token_signed_response_alg: 'ES256',
    require_auth_time: true,
  });
  client.enableNonRepudiationChecks(configuration);
  const [verifier, nonce, state] = [client.randomPKCECodeVerifier(), client.randomNonce(), client.randomState()];
  const url = client.buildAuthorizationUrl(configuration, {
    redirect_uri: CALLBACK,
    scope: 'openid profile email offline_access orders.read',
    nonce,
    state,
    max_age: '3600',
    code_challenge: await client.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
  });
  const browser = new Person(worker);
  const { location } = await allow(browser, url);
  const tokens = await client.authorizationCodeGrant(configuration, location, {
    pkceCodeVerifier: verifier,
    expectedNonce: nonce,
    expectedState: state,
    maxAge: 3600,
    idTokenExpected: true,
  });
  const claims = tokens.claims();
  assert.equal(claims.iss, worker.issuer);
  assert.equal(claims.aud, 'demo-web');
  assert.deepEqual(claims.amr, ['pwd']);
  const person = await client.fetchUserInfo(configuration, tokens.access_token, claims.sub);
  assert.equal(person.email, 'alice@looking-glass.example');
  assert.equal(person.given_name, 'Alice');
  const refreshed = await client.refreshTokenGrant(configuration, tokens.refresh_token);
  assert.equal(refreshed.claims().sub, claims.sub);
  assert.equal(refreshed.claims().auth_time, claims.auth_time);
  const goodbye = client.randomState();
  const end = client.buildEndSessionUrl(configuration, {
    id_token_hint: refreshed.id_token,
    post_logout_redirect_uri: GOODBYE,
    state: goodbye,
  });
  const left = await browser.send(end.pathname + end.search);
  assert.deepEqual([left.status, String(left.location)], [303, `${GOODBYE}?state=${goodbye}`]);
  url.searchParams.set('prompt', 'none');
  const nobody = await allow(browser, url);
  assert.equal(nobody.location.searchParams.get('error'), 'login_required');
});

for (const algorithm of ['ES256', 'RS256', 'PS256', 'EdDSA']) {
  test(`an ID token of ${algorithm} is verified by the keys that are published`, async () => {
    const made = await administer('/admin/clients', {
      redirect_uris: [CALLBACK],
      profile: 'openid',
      scope: 'openid email',
      id_token_signed_response_alg: algorithm,
      userinfo_signed_response_alg: algorithm,
    });
    const configuration = await discover(made.client_id, client.ClientSecretPost(made.client_secret), {
      id_token_signed_response_alg: algorithm,
      userinfo_signed_response_alg: algorithm,
    });
    client.enableNonRepudiationChecks(configuration);
    const url = client.buildAuthorizationUrl(configuration, { redirect_uri: CALLBACK, scope: 'openid email' });
    const { location } = await allow(new Person(worker), url);
    const tokens = await client.authorizationCodeGrant(configuration, location, { idTokenExpected: true });
    const person = await client.fetchUserInfo(configuration, tokens.access_token, tokens.claims().sub);
    assert.equal(person.email, 'alice@looking-glass.example');
  });
}

test('a hybrid answer is verified before its code is exchanged', async () => {
  const made = await administer('/admin/clients', {
    redirect_uris: [CALLBACK],
    profile: 'openid',
    scope: 'openid',
    grant_types: ['authorization_code', 'implicit'],
    response_types: ['code', 'code id_token', 'id_token'],
  });
  const metadata = { id_token_signed_response_alg: 'RS256' };
  const hybrid = await discover(made.client_id, client.ClientSecretBasic(made.client_secret), metadata);
  client.useCodeIdTokenResponseType(hybrid);
  const nonce = client.randomNonce();
  const person = new Person(worker);
  const asked = { redirect_uri: CALLBACK, scope: 'openid', nonce };
  const { location } = await allow(person, client.buildAuthorizationUrl(hybrid, asked));
  const tokens = await client.authorizationCodeGrant(hybrid, location, { expectedNonce: nonce });
  assert.equal(tokens.claims().aud, made.client_id);

  const implicit = await discover(made.client_id, client.ClientSecretBasic(made.client_secret), metadata);
  client.useIdTokenResponseType(implicit);
  const at = await allow(person, client.buildAuthorizationUrl(implicit, asked));
  const claims = await client.implicitAuthentication(implicit, at.location, nonce);
  assert.equal(claims.sub, tokens.claims().sub);
});

test('what was allowed is remembered, and no page is shown where none may be', async () => {
  const configuration = await discover('demo-web', client.ClientSecretBasic('demo-web-secret'));
  const person = new Person(worker);
  const verifier = client.randomPKCECodeVerifier();
  const challenge = await client.calculatePKCECodeChallenge(verifier);
  const url = (more) =>
    client.buildAuthorizationUrl(configuration, {
      redirect_uri: CALLBACK, scope: 'openid', code_challenge: challenge, code_challenge_method: 'S256', ...more,
    });
  const first = await allow(person, url({ prompt: 'none' }));
  assert.equal(first.location.searchParams.get('error'), 'login_required');
  await allow(person, url({}));
  const { location } = await allow(person, url({ prompt: 'none' }));
  const tokens = await client.authorizationCodeGrant(configuration, location, { pkceCodeVerifier: verifier });
  const again = await allow(person, url({ prompt: 'none', id_token_hint: tokens.id_token }));
  assert(again.location.searchParams.get('code'));
});

test('the guide’s client signs a person in, and takes no answer that is not its own', async (t) => {
  const [code, ...others] = readCode('openid-connect.md');
  assert.deepEqual(others, [], 'all of the guide’s code is run here');
  const settings = { ISSUER: worker.issuer, CLIENT_ID: 'demo-web', CLIENT_SECRET: 'demo-web-secret', REDIRECT_URI: CALLBACK };
  Object.assign(process.env, settings);
  t.after(() => Object.keys(settings).forEach((name) => delete process.env[name]));
  const { begin, finish } = await importCode(t, code);

  const [first, second] = [await begin(), await begin()];
  const person = new Person(worker);
  const { location } = await allow(person, first.url);
  const { location: other } = await allow(person, second.url);
  await assert.rejects(finish(location, second.kept), 'of another browser');
  await assert.rejects(finish(location, { ...second.kept, expectedState: first.kept.expectedState }), 'its verifier is another');
  const known = await finish(location, first.kept);
  assert.equal(known.email, 'alice@looking-glass.example');
  assert.equal(known.given_name, 'Alice');
  await assert.rejects(finish(location, first.kept), 'a code works once');
  assert.equal((await finish(other, second.kept)).sub, known.sub);
});
