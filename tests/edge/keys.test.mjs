// Keys that sign, in the real runtime: made once, the same after a restart, and rotated while others verify by what they keep.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { calculateJwkThumbprint, importJWK } from 'jose';
import { administer, read } from './caller.mjs';
import { Worker } from './worker.mjs';


/** @param {Worker} worker @param {string} [door] @returns {Promise<any[]>} */
async function published(worker, door = worker.issuer) {
  const { status, text, body } = await read(await fetch(`${door}/jwks`));
  assert.equal(status, 200, text);
  return body.keys;
}

/** @param {any[]} keys */
const kids = (keys) => keys.map((key) => key.kid);

test('twenty first requests at four isolates make one set of keys, and a restart has the same', async () => {
  const worker = await Worker.start({ isolates: 4 });
  let again;
  try {
    const sets = await Promise.all(Array.from({ length: 20 }, (_, at) => published(worker, worker.doors[at % 4])));
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

test('keys of four algorithms are made, and another library reads them', async () => {
  const worker = await Worker.start();
  try {
    for (const algorithm of ['ES256', 'RS256', 'PS256', 'EdDSA']) {
      const { status, text, body } = await administer(worker, 'POST', '/admin/keys', { algorithm });
      assert.deepEqual([status, body.algorithm, body.state], [201, algorithm, 'signing'], text);
    }
    const keys = await published(worker);
    assert.deepEqual(keys.map((key) => [key.alg, key.kty]), [['ES256', 'EC'], ['RS256', 'RSA'], ['PS256', 'RSA'], ['EdDSA', 'OKP']]);
    for (const key of keys) {
      assert.equal(await calculateJwkThumbprint(key), key.kid);
      const imported = /** @type {CryptoKey} */ (await importJWK(key));
      assert.deepEqual([imported.type, imported.usages], ['public', ['verify']]);
      assert.deepEqual(['d', 'p', 'q', 'dp', 'dq', 'qi', 'ext', 'key_ops'].filter((name) => name in key), []);
    }
    assert.deepEqual(worker.failures(), []);
  } finally {
    await worker.stop();
  }
});
