// The master key is replaced while people are signed in and tokens are out: nobody notices, and the keys that sign stay.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLocalJWKSet, decodeProtectedHeader, jwtVerify } from 'jose';
import { administer, inspect, isActive, read, redeem, refresh, WEB } from './caller.mjs';
import { deploy } from './deployment.mjs';
import { CALLBACK, parameter, Person } from './person.mjs';
import { KEY_B, KEY_A } from './worker.mjs';

/** @typedef {import('./worker.mjs').Worker} Worker */

const SCOPE = 'openid offline_access orders.read';

/** @param {Worker} worker */
async function published(worker) {
  const { status, text, body } = await read(await fetch(`${worker.issuer}/jwks`));
  assert.equal(status, 200, text);
  return body;
}

/**
 * What a token says, by another library and the keys that are published now.
 * @param {Worker} worker
 * @param {string} token
 * @param {string} audience
 * @param {string} typ
 */
async function verify(worker, token, audience, typ = 'JWT') {
  const keys = createLocalJWKSet(await published(worker));
  return (await jwtVerify(token, keys, { issuer: worker.issuer, audience, typ })).payload;
}

/** @param {string} token */
const kid = (token) => decodeProtectedHeader(token).kid;

/** The code that a person who is signed in gets without a page. @param {Person} person @param {string} client */
async function askSilently(person, client) {
  return parameter(await person.authorize(client.split(':')[0], { scope: SCOPE, prompt: 'none' }), 'code');
}

test('a new master key signs nobody out and ends nothing that is out, and the keys that sign stay as they are', async (t) => {
  const deployment = await deploy(t);
  const before = deployment.first;
  // One client has opaque tokens and ID tokens of one algorithm, the other JWTs and ID tokens of another: two keys sign.
  const made = await administer(before, 'POST', '/admin/clients', {
    client_id: 'signed',
    redirect_uris: [CALLBACK],
    grant_types: ['authorization_code', 'refresh_token'],
    scope: SCOPE,
    access_token_format: 'jwt',
    id_token_signed_response_alg: 'RS256',
  });
  assert.equal(made.status, 201, made.text);
  const signed = `signed:${made.body.client_secret}`;
  const clients = [WEB, signed];
  const person = new Person(before);
  /** @type {Map<string, any>} what each client has */
  const held = new Map();
  for (const client of clients) {
    const { status, text, body } = await redeem(before, await person.code(client.split(':')[0], { scope: SCOPE }), client);
    assert.equal(status, 200, text);
    held.set(client, body);
  }
  const [opaque, jwt] = [held.get(WEB).access_token, held.get(signed).access_token];
  assert.match(opaque, /^ema_a\./);
  assert.equal(decodeProtectedHeader(jwt).typ, 'at+jwt');
  const unspent = await person.code('demo-web', { scope: SCOPE });
  const first = new Map(clients.map((client) => [client, held.get(client)]));
  const keys = await published(before);
  assert.deepEqual(keys.keys.map(({ alg }) => alg).sort(), ['ES256', 'RS256']);

  /** Everything that came of the first sign-in, at a deployment of later. @param {Worker} worker */
  const check = async (worker) => {
    assert.deepEqual(await published(worker), keys, 'the same keys, as others keep them');
    for (const client of clients) {
      const id = client.split(':')[0];
      const old = await verify(worker, first.get(client).id_token, id);

      // Who is signed in still is.
      const silent = await redeem(worker, await askSilently(person, client), client);
      assert.equal(silent.status, 200, silent.text);
      const claims = await verify(worker, silent.body.id_token, id);
      assert.deepEqual([claims.sub, claims.sid, claims.auth_time], [old.sub, old.sid, old.auth_time]);
      assert.equal(kid(silent.body.id_token), kid(first.get(client).id_token), 'and the same key signs');

      const refreshed = await refresh(worker, held.get(client).refresh_token, client);
      assert.equal(refreshed.status, 200, refreshed.text);
      assert.equal((await verify(worker, refreshed.body.id_token, id)).sub, old.sub);
      held.set(client, refreshed.body);
    }
    const claims = await verify(worker, jwt, worker.issuer, 'at+jwt');
    assert.equal(claims.client_id, 'signed');
    for (const token of [opaque, jwt, held.get(WEB).access_token, held.get(signed).access_token]) {
      assert.equal(await isActive(worker, token), true);
    }
    const next = held.get(signed).access_token;
    assert.equal((await verify(worker, next, worker.issuer, 'at+jwt')).scope, SCOPE.split(' ').sort().join(' '));
    assert.equal(kid(next), kid(jwt));
    assert.deepEqual(worker.failures(), []);
  };

  const rotated = { MASTER_KEY: `${KEY_B},${KEY_A}` };
  const promoted = await deployment.restart(rotated);
  await check(promoted);
  assert.equal((await redeem(promoted, unspent)).status, 200, 'a code of before works');
  assert.match(held.get(WEB).access_token, /^ema_b\./, 'what is new is sealed by the new key');
  assert.match(held.get(WEB).refresh_token, /^emr_b\./);

  await check(await deployment.restart(rotated));

  // The private keys were sealed anew when they signed: without the old master key they sign on.
  const retired = await deployment.restart({ MASTER_KEY: KEY_B });
  assert.deepEqual(await published(retired), keys);
  for (const client of clients) {
    const { status, text, body } = await refresh(retired, held.get(client).refresh_token, client);
    assert.equal(status, 200, text);
    await verify(retired, body.id_token, client.split(':')[0]);
    assert.equal(kid(body.id_token), kid(first.get(client).id_token));
    await verify(retired, first.get(client).id_token, client.split(':')[0]);
  }
  // Others cannot tell, and this server does: what only the old key sealed has ended.
  await verify(retired, jwt, retired.issuer, 'at+jwt');
  for (const token of [opaque, jwt]) assert.equal(await inspect(retired, token), '{"active":false}');
});
