// What `docs/verifying-tokens.md` has in JavaScript does what the guide says: it is taken from there, and run.

import assert from 'node:assert/strict';
import test from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { createRemoteJWKSet, decodeProtectedHeader, jwtVerify } from 'jose';
import { Miniflare } from 'miniflare';
import { MACHINE, SHORT, administer, askToken, isActive, post } from './caller.mjs';
import { importCode, readCode } from './guide.mjs';
import { Worker } from './worker.mjs';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const ORDERS = 'https://api.example.com/orders';

/** @param {string} issuer @returns {string[]} the guide's blocks of JavaScript, for this issuer */
function readGuide(issuer) {
  return readCode('verifying-tokens.md').map((code) => code.replaceAll('https://as.example', issuer));
}

/** A server whose orders want JWTs. @param {import('node:test').TestContext} t */
async function start(t) {
  const worker = await Worker.start();
  t.after(() => worker.stop());
  for (const [target, patch] of [
    ['/admin/scopes/orders.read', { resource: ORDERS }],
    ['/admin/scopes/orders.write', { resource: ORDERS }],
    ['/admin/settings', { 'token.jwtResources': ORDERS }],
  ]) {
    assert.equal((await administer(worker, 'PATCH', target, patch)).status, 200);
  }
  return worker;
}

/** @param {Worker} worker @param {string} scope @returns {Promise<string>} */
async function askOwn(worker, scope, client = MACHINE) {
  const { body } = await askToken(worker, client, { grant_type: 'client_credentials', scope });
  return body.access_token;
}

test('the guide in Node takes access tokens of its resource and nothing else', async (t) => {
  const worker = await start(t);
  const [code] = readGuide(worker.issuer);
  const { verify } = await importCode(t, code);

  const token = await askOwn(worker, 'orders.read');
  assert.equal(decodeProtectedHeader(token).typ, 'at+jwt');
  const claims = await verify(token);
  assert.deepEqual([claims.client_id, claims.scope, claims.aud], ['demo-machine', 'orders.read', ORDERS]);

  const signed = await fetch(`${worker.issuer}/introspect`, {
    method: 'POST',
    headers: { authorization: `Basic ${btoa('demo-api:demo-api-secret')}`, accept: 'application/token-introspection+jwt' },
    body: new URLSearchParams({ token }),
  });
  assert.equal(signed.headers.get('content-type'), 'application/token-introspection+jwt');
  const answer = await signed.text();
  const keys = createRemoteJWKSet(new URL(`${worker.issuer}/jwks`));
  const about = await jwtVerify(answer, keys, { typ: 'token-introspection+jwt', issuer: worker.issuer, audience: 'demo-api' });
  assert.equal(about.payload.token_introspection.active, true);
  const [header, claimed, signature] = token.split('.');
  for (const other of [
    answer,
    await askOwn(worker, 'reports'),
    `${header}.${claimed}.${signature.startsWith('A') ? 'B' : 'A'}${signature.slice(1)}`,
    `${header}.${claimed}.`,
    'nonsense',
  ]) {
    await assert.rejects(verify(other), other);
  }

  // Two seconds, and then it is over, though nobody was asked.
  const short = await askOwn(worker, 'orders.read', SHORT);
  await verify(short);
  await setTimeout(3000);
  await assert.rejects(verify(short), { code: 'ERR_JWT_EXPIRED' });
});

test('the guide’s Worker serves who has a token for it, and revocation reaches introspection at once', async (t) => {
  const worker = await start(t);
  const [, code] = readGuide(worker.issuer);
  const { outputFiles } = await build({
    stdin: { contents: code, resolveDir: ROOT },
    bundle: true,
    format: 'esm',
    write: false,
    conditions: ['workerd', 'worker', 'browser'],
  });
  const modules = { 'index.js': { type: 'esm', contents: outputFiles[0].text } };
  const config = { name: 'resource', compatibilityDate: '2026-01-01', manifest: { mainModule: 'index.js', modules } };
  const resource = new Miniflare({ cf: false, workers: [{ config }] });
  t.after(() => resource.dispose());
  /** @param {string} [token] */
  const ask = (token) =>
    resource.dispatchFetch('https://api.example.com/orders/7', { headers: token ? { authorization: `Bearer ${token}` } : {} });

  const token = await askOwn(worker, 'orders.read');
  const served = await ask(token);
  assert.equal(served.status, 200);
  assert.deepEqual(await served.json(), { caller: 'demo-machine' });
  const beyond = await ask(await askOwn(worker, 'orders.write'));
  assert.equal(beyond.status, 403);
  for (const other of [undefined, 'nonsense', await askOwn(worker, 'reports')]) {
    assert.equal((await ask(other)).status, 401);
  }

  assert.equal(await isActive(worker, token), true);
  assert.equal((await post(worker, '/revoke', MACHINE, { token })).status, 200);
  assert.equal(await isActive(worker, token), false);
  assert.equal((await ask(token)).status, 200, 'a signature does not know');
});
