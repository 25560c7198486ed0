// `npm run deploy` without an address to deploy to.

import assert from 'node:assert/strict';
import test from 'node:test';
import { readIssuer } from '../../scripts/deploy.mjs';
import { Laptop } from './laptop.mjs';

test('without an https issuer a deployment is refused before anything is built', async (t) => {
  const laptop = Laptop.withToolchains(t);
  const { code, output } = await laptop.run('deploy.mjs');
  assert.equal(code, 1);
  assert.match(output.trim(), /^ISSUER must be the https address of the server.*$/);
  assert.deepEqual(laptop.calls(), []);
});

test('an issuer is an https origin, written as browsers write it', () => {
  for (const ISSUER of ['https://login.example.com', 'https://login.example.com:8443']) assert.equal(readIssuer({ ISSUER }), ISSUER);
  for (const ISSUER of [
    'http://login.example.com',
    'login.example.com',
    'https://a.example/',
    'https://a.example/path',
    'https://a.example?',
    'https://a.example/#',
    'https://a@b.example',
    'https://A.example',
    'HTTPS://a.example',
    'https://a.example:443',
    'https://a.example:',
    ' https://a.example',
  ]) {
    assert.throws(() => readIssuer({ ISSUER }), { message: /^ISSUER must be/ }, ISSUER);
  }
});
