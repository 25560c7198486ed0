// Keys that sign, in the real runtime: made once, the same after a restart, and rotated while others verify by what they keep.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { calculateJwkThumbprint, createLocalJWKSet, decodeProtectedHeader, importJWK, jwtVerify } from 'jose';
import { administer, askToken, inspect, isActive, read, redeem, refresh } from './caller.mjs';
import { CALLBACK, Person } from './person.mjs';
import { Worker } from './worker.mjs';

/** @param {Worker} worker @param {string} [door] @returns {Promise<any[]>} */
async function published(worker, door = worker.issuer) {
  const { status, text, body } = await read(await fetch(`${door}/jwks`));
  assert.equal(status, 200, text);
  return body.keys;
}

test('twenty first requests at four isolates, for keys and for signatures, make one set of keys, and a restart has the same', async () => {
  const worker = await Worker.start({ isolates: 4 });
  let again;
  try {
    const sign = await makeSigned(worker);
    const wishes = Array.from({ length: 20 }, (_, at) => {
      const door = worker.doors[at % 4];
      return at < 10 ? published(worker, door) : sign(door);
    });
    const answers = await Promise.all(wishes);
    const [sets, tokens] = [/** @type {any[][]} */ (answers.slice(0, 10)), /** @type {string[]} */ (answers.slice(10))];
    for (const token of tokens) await jwtVerify(token, createLocalJWKSet({ keys: sets[0] }), { issuer: worker.issuer });
    for (const set of sets) assert.deepEqual(set, sets[0]);
    assert.equal(sets[0].length, 1);
    await worker.halt();
    again = await Worker.start({ state: worker.state, port: worker.port });
    assert.deepEqual(await published(again), sets[0]);
    assert.deepEqual([...worker.failures(), ...again.failures()], []);
  } finally {
    await again?.halt();
    worker.forget();
  }
});

test('keys of four algorithms are made and sign, and another library reads and verifies them', async () => {
  const worker = await Worker.start();
  try {
    for (const algorithm of ['ES256', 'RS256', 'PS256', 'EdDSA']) {
      const { status, text, body } = await administer(worker, 'POST', '/admin/keys', { algorithm });
      assert.deepEqual([status, body.algorithm, body.state], [201, algorithm, 'signing'], text);
    }
    const sign = await makeSigned(worker);
    const keys = await published(worker);
    assert.deepEqual(keys.map((key) => [key.alg, key.kty]), [['ES256', 'EC'], ['RS256', 'RSA'], ['PS256', 'RSA'], ['EdDSA', 'OKP']]);
    for (const key of keys) {
      assert.equal(await calculateJwkThumbprint(key), key.kid);
      const imported = /** @type {CryptoKey} */ (await importJWK(key));
      assert.deepEqual([imported.type, imported.usages], ['public', ['verify']]);
      assert.deepEqual(['d', 'p', 'q', 'dp', 'dq', 'qi', 'ext', 'key_ops'].filter((name) => name in key), []);
    }
    for (const [at, alg] of ['ES256', 'RS256', 'PS256', 'EdDSA'].entries()) {
      await administer(worker, 'PATCH', '/admin/settings', { 'token.jwtAlgorithm': alg });
      const token = await sign(worker.issuer);
      assert.deepEqual(decodeProtectedHeader(token), { alg, kid: keys[at].kid, typ: 'at+jwt' });
      await jwtVerify(token, createLocalJWKSet({ keys }), { issuer: worker.issuer });
      assert.equal(await isActive(worker, token), true, 'by this server, too');
      const [head, payload, signature] = token.split('.');
      for (const length of [0, 1, 63, 64, 65, 256, 257]) {
        const forged = `${head}.${payload}.${Buffer.alloc(length, 7).toString('base64url')}`;
        assert.equal(await inspect(worker, forged), '{"active":false}', `${alg}: ${length} bytes`);
      }
      const flipped = Buffer.from(signature, 'base64url');
      flipped[5] ^= 1;
      assert.equal(await inspect(worker, `${head}.${payload}.${flipped.toString('base64url')}`), '{"active":false}');
    }
    assert.deepEqual(worker.failures(), []);
  } finally {
    await worker.stop();
  }
});

/** What keeps an answer for as long as it was told, and no longer (RFC 9111 §5.2.2.1). @returns {(url: string) => Promise<any>} */
function keeper() {
  /** @type {Map<string, { body: any, until: number }>} */
  const kept = new Map();
  return async (url) => {
    const known = kept.get(url);
    if (known && Date.now() < known.until) return known.body;
    const asked = Date.now();
    const { headers, body } = await read(await fetch(url));
    const age = Number(/max-age=(\d+)/.exec(headers.get('cache-control'))[1]);
    kept.set(url, { body, until: asked + age * 1000 });
    return body;
  };
}

/** A client whose access tokens others verify by themselves. @param {Worker} worker @returns {Promise<(door: string) => Promise<string>>} */
async function makeSigned(worker) {
  const made = await administer(worker, 'POST', '/admin/clients', {
    client_id: 'signed', grant_types: ['client_credentials'], scope: 'reports', access_token_format: 'jwt',
  });
  assert.equal(made.status, 201, made.text);
  return async (door) => {
    const { text, body } = await askToken(worker, `signed:${made.body.client_secret}`, { grant_type: 'client_credentials' }, door);
    assert(body?.access_token, text);
    return body.access_token;
  };
}

/**
 * Somebody who signed in to a client of RS256 at this isolate, which gives another ID token with each refresh.
 * @param {Worker} worker @param {string} door
 */
async function makeSignedIn(worker, door) {
  const { status, text, body } = await administer(worker, 'POST', '/admin/clients', {
    redirect_uris: [CALLBACK], grant_types: ['authorization_code', 'refresh_token'], scope: 'openid offline_access',
    profile: 'openid', id_token_signed_response_alg: 'RS256',
  });
  assert.equal(status, 201, text);
  const who = `${body.client_id}:${body.client_secret}`;
  const code = await new Person(worker, door).code(body.client_id, { scope: 'openid offline_access' });
  let tokens = (await redeem(worker, code, who, door)).body;
  const give = async () => {
    const answer = await refresh(worker, tokens.refresh_token, who, door);
    assert.equal(answer.status, 200, answer.text);
    tokens = answer.body;
    return tokens.id_token;
  };
  return { give, audience: body.client_id };
}

test('through ten rotations of two algorithms under load nobody who keeps the keys as long as they may fails to verify', async () => {
  const worker = await Worker.start({ isolates: 3 });
  try {
    // Others may keep them for two seconds.
    const set = await administer(worker, 'PATCH', '/admin/settings', { 'keys.publishSeconds': 8 });
    assert.equal(set.status, 200, set.text);
    const sign = await makeSigned(worker);
    const readers = await Promise.all(worker.doors.map((door) => makeSignedIn(worker, door)));
    const seen = { ES256: new Map(), RS256: new Map() };
    let [verified, running] = [0, true];
    const failed = [];
    /**
     * One who verifies, by keys from one isolate, what another gives.
     * @param {number} at @param {() => Promise<string>} give @param {import('jose').JWTVerifyOptions} options
     */
    const verify = async (at, give, options) => {
      const keep = keeper();
      const from = worker.doors[at % 3];
      while (running) {
        const token = await give();
        const { alg, kid } = decodeProtectedHeader(token);
        seen[alg].set(kid, (seen[alg].get(kid) ?? 0) + 1);
        try {
          await jwtVerify(token, createLocalJWKSet(await keep(`${from}/jwks`)), { issuer: worker.issuer, ...options });
          verified += 1;
        } catch (error) {
          failed.push(`${at}: ${kid}: ${/** @type {Error} */ (error).message}`);
        }
        await pause(20);
      }
    };
    const access = { typ: 'at+jwt', algorithms: ['ES256'] };
    const verifiers = Array.from({ length: 9 }, (_, at) => verify(at, () => sign(worker.doors[Math.floor(at / 3)]), access));
    // Of the other algorithm ID tokens, by the keys of the isolate after the one that gives them.
    readers.forEach(({ give, audience }, at) => verifiers.push(verify(at + 1, give, { typ: 'JWT', algorithms: ['RS256'], audience })));
    for (let rotation = 0; rotation < 10; rotation += 1) {
      await pause(1500);
      for (const algorithm of ['ES256', 'RS256']) {
        const { status, text } = await administer(worker, 'POST', '/admin/keys', { algorithm });
        assert.equal(status, 201, text);
      }
    }
    await pause(10_000);
    running = false;
    await Promise.all(verifiers);
    assert.deepEqual(failed, []);
    for (const kids of Object.values(seen)) assert.equal(kids.size, 11, JSON.stringify([...kids]));
    assert(verified > 500, `only ${verified}`);
    assert.deepEqual(worker.failures(), []);
    console.log(`proof: signatures verified through ten rotations: ${verified}`);
  } finally {
    await worker.stop();
  }
});
