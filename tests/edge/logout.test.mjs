// Signing out: by openid-client, in a real Chromium, and by clients that are told and verify it with jose.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { text } from 'node:stream/consumers';
import { after, before, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { createRemoteJWKSet, jwtVerify } from 'jose';
import * as client from 'openid-client';
import { Callback, launchBrowser } from './browser.mjs';
import { Person, authorization } from './person.mjs';
import { until } from './until.mjs';
import { ADMIN_TOKEN, Worker } from './worker.mjs';

/** A client that is told of the end of sessions, and answers with these statuses; then with 200. */
class Receiver {
  /** @type {string[]} */
  tokens = [];
  /** @type {number[]} */
  statuses = [];
  /** @type {string[]} */
  kinds = [];
  uri = '';
  #server = createServer(async (request, response) => {
    this.kinds.push(`${request.method} ${request.headers['content-type']}`);
    this.tokens.push(new URLSearchParams(await text(request)).get('logout_token') ?? '');
    response.writeHead(this.statuses.shift() ?? 200).end();
  });

  static async listen() {
    const receiver = new Receiver();
    receiver.#server.listen(0, '127.0.0.1');
    await once(receiver.#server, 'listening');
    const { port } = /** @type {import('node:net').AddressInfo} */ (receiver.#server.address());
    receiver.uri = `http://127.0.0.1:${port}/out`;
    return receiver;
  }

  close() {
    this.#server.closeAllConnections();
    this.#server.close();
  }
}

/** @type {Worker} */
let worker;
/** @type {import('playwright-core').Browser} */
let browser;
/** @type {Callback} */
let callback;
/** @type {Receiver[]} */
const receivers = [];

before(async () => {
  [worker, browser, callback] = await Promise.all([Worker.start({ internet: null }), launchBrowser(), Callback.listen()]);
});

after(async () => {
  for (const receiver of receivers) receiver.close();
  await Promise.allSettled([browser?.close(), callback?.close(), worker?.stop()]);
});

/** A client of the profile openid that is told. @param {string} [algorithm] @param {number[]} [statuses] */
async function register(algorithm = 'RS256', statuses = []) {
  const receiver = await Receiver.listen();
  receiver.statuses = statuses;
  receivers.push(receiver);
  const headers = { authorization: `Bearer ${ADMIN_TOKEN}`, 'content-type': 'application/json' };
  const body = JSON.stringify({
    client_name: `The shop ${receivers.length}`,
    redirect_uris: [callback.uri],
    post_logout_redirect_uris: [callback.uri],
    backchannel_logout_uri: receiver.uri,
    backchannel_logout_session_required: true,
    profile: 'openid',
    scope: 'openid',
    id_token_signed_response_alg: algorithm,
  });
  const answer = await fetch(`${worker.issuer}/admin/clients`, { method: 'POST', headers, body });
  assert.equal(answer.status, 201, await answer.clone().text());
  const made = await answer.json();
  const configuration = await client.discovery(
    new URL(worker.issuer),
    made.client_id,
    { id_token_signed_response_alg: algorithm },
    client.ClientSecretPost(made.client_secret),
    { execute: [client.allowInsecureRequests] },
  );
  return { id: made.client_id, configuration, receiver };
}

/** Signs alice in to it. @param {Person} person @param {client.Configuration} configuration */
async function signIn(person, configuration) {
  const url = client.buildAuthorizationUrl(configuration, { redirect_uri: callback.uri, scope: 'openid' });
  let page = await person.send(url.pathname + url.search);
  if (page.text.includes('id="login-submit"')) page = await person.signIn(page);
  if (page.status !== 303) page = await person.decide(page);
  return client.authorizationCodeGrant(configuration, page.location, { idTokenExpected: true });
}

test('openid-client sends a person to sign out, and they come back', async () => {
  const { configuration } = await register();
  const person = new Person(worker);
  const tokens = await signIn(person, configuration);
  const url = client.buildEndSessionUrl(configuration, {
    id_token_hint: tokens.id_token,
    post_logout_redirect_uri: callback.uri,
    state: 'a state',
  });
  const answer = await person.send(url.pathname + url.search);
  assert.equal(answer.status, 303);
  assert.equal(String(answer.location), `${callback.uri}?state=a%20state`);
  assert.match((await person.send('/account')).text, /id="login-submit"|name="password"/);
});

for (const algorithm of ['ES256', 'RS256', 'EdDSA']) {
  test(`a client that is told verifies it with jose: ${algorithm}`, async () => {
    const { id, configuration, receiver } = await register(algorithm);
    const person = new Person(worker);
    const tokens = await signIn(person, configuration);
    const url = client.buildEndSessionUrl(configuration, { id_token_hint: tokens.id_token });
    assert.equal((await person.send(url.pathname + url.search)).status, 303);
    await until('the client is told', () => receiver.tokens.length > 0);
    const keys = createRemoteJWKSet(new URL(configuration.serverMetadata().jwks_uri));
    const { payload, protectedHeader } = await jwtVerify(receiver.tokens[0], keys, {
      issuer: worker.issuer,
      audience: id,
      typ: 'logout+jwt',
      algorithms: [algorithm],
      maxTokenAge: '2 minutes',
      requiredClaims: ['iat', 'exp', 'jti', 'sub', 'sid', 'events'],
    });
    assert.equal(protectedHeader.alg, algorithm);
    assert.deepEqual(payload.events, { 'http://schemas.openid.net/event/backchannel-logout': {} });
    assert.equal(payload.sid, tokens.claims().sid);
    assert.equal(payload.sub, tokens.claims().sub);
    assert.equal(payload.exp - payload.iat, 120);
    assert.equal(payload.nonce, undefined);
    assert.deepEqual(receiver.kinds, ['POST application/x-www-form-urlencoded']);
  });
}

test('a client that fails twice is told the third time', async () => {
  const { configuration, receiver } = await register('RS256', [503, 500]);
  const person = new Person(worker);
  const tokens = await signIn(person, configuration);
  const url = client.buildEndSessionUrl(configuration, { id_token_hint: tokens.id_token });
  await person.send(url.pathname + url.search);
  await until('the client is told', () => receiver.tokens.length === 3, 20_000);
  assert.equal(new Set(receiver.tokens).size, 1);
  await pause(9000);
  assert.equal(receiver.tokens.length, 3);
});

test('a person is asked, and signs out, without JavaScript', async () => {
  const { id, receiver } = await register();
  const context = await browser.newContext({ javaScriptEnabled: false });
  const page = await context.newPage();
  page.setDefaultTimeout(10_000);
  const asked = authorization(id, { redirect_uri: callback.uri, scope: 'openid' });
  await page.goto(`${worker.issuer}/authorize?${new URLSearchParams(asked)}`);
  await page.fill('#username', 'alice');
  await page.fill('#password', 'wonderland');
  await page.click('#login-submit');
  await page.click('#consent-all');
  await page.waitForURL(`${callback.uri}**`);
  const wanted = new URLSearchParams({ client_id: id, post_logout_redirect_uri: callback.uri, state: 's' });
  await page.goto(`${worker.issuer}/logout?${wanted}`);
  assert.equal(await page.textContent('#logout-names'), 'alice');
  assert.match(await page.textContent('main'), /The shop/);
  assert.equal(receiver.tokens.length, 0);
  await page.click('#logout-confirm');
  await page.waitForURL(`${callback.uri}?state=s`);
  await until('the client is told', () => receiver.tokens.length === 1);
  await page.goto(`${worker.issuer}/logout`);
  assert.match(await page.textContent('#logout-done'), /Nobody is signed in/);
  await context.close();
});

test('another site cannot sign a person out by a form, and a client can', async () => {
  const { configuration } = await register();
  const context = await browser.newContext();
  const page = await context.newPage();
  page.setDefaultTimeout(10_000);
  const url = client.buildAuthorizationUrl(configuration, { redirect_uri: callback.uri, scope: 'openid' });
  await page.goto(String(url));
  await page.fill('#username', 'alice');
  await page.fill('#password', 'wonderland');
  await page.click('#login-submit');
  await page.click('#consent-all');
  await page.waitForURL(`${callback.uri}**`);
  const back = callback.answers.at(-1);
  const tokens = await client.authorizationCodeGrant(configuration, back, { idTokenExpected: true });
  /** @param {Record<string, string>} fields */
  const post = async (fields) => {
    const inputs = Object.entries(fields).map(([name, value]) => `<input name="${name}" value="${value}">`);
    // The callback's address is another site than the issuer's to a browser: 127.0.0.1 and localhost.
    await page.goto(callback.uri);
    await page.setContent(`<form method="post" action="${worker.issuer}/logout">${inputs.join('')}<button id="go">Go</button></form>`);
    await page.click('#go');
  };
  await post({});
  await page.waitForSelector('#logout-confirm');
  await post({ id_token_hint: tokens.id_token, post_logout_redirect_uri: callback.uri, state: 'posted' });
  await page.waitForURL(`${callback.uri}?state=posted`);
  await page.goto(`${worker.issuer}/logout`);
  await page.waitForSelector('#logout-done');
  await context.close();
});
