// Clients of another server, as an operator brings them over: a process, its output, its exit code.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { administer, askToken } from './caller.mjs';
import { ADMIN_TOKEN, Worker } from './worker.mjs';

const SCRIPT = fileURLToPath(new URL('../../scripts/import-clients.mjs', import.meta.url));

/** @type {Worker} */
let worker;
const scratch = mkdtempSync(join(tmpdir(), 'edgemint-import-'));

before(async () => {
  worker = await Worker.start();
});

after(async () => {
  rmSync(scratch, { recursive: true, force: true });
  await worker?.stop();
});

/** @param {string} name of the file @param {string} content @param {string[]} [more] */
async function run(name, content, more = []) {
  const file = join(scratch, name);
  writeFileSync(file, content);
  const env = { ...process.env, EDGEMINT_ISSUER: worker.issuer, ADMIN_TOKEN };
  const child = spawn(process.execPath, [SCRIPT, file, ...more], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let out = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => void (out += text));
  const [code] = await once(child, 'close');
  return { code, out };
}

const SECRET = '0123456789abcdef0123456789abcdef';
const CSV = [
  'Client ID,Name,Version,Type,Secret,Redirect URIs,Allowed Grants,Scopes,Require PKCE,Expiration interval,Refresh count,Active,Owner',
  `shop,Shop,1.0,confidential,${SECRET},https://shop.test/cb https://shop.test/other,"Authorization code, Client credentials",orders.read reports,no,never,3,yes,ada`,
  'app,App,1.0,public,,https://app.test/cb,Authorization code;Implicit,orders.read,global,600,unlimited,no,',
  'weak,Weak,1.0,confidential,short,,Client credentials,reports,,,0,yes,',
  'wrong,Wrong,1.0,confidential,,https://wrong.test/cb,Authorization code,no.such.scope,,,,yes,',
  'odd,Odd,1.0,public,,http://odd.test/cb,Authorization code,reports,perhaps,,,yes,',
  'encoded,Encoded,1.0,confidential,0123456789+abcdef%20123456789,,Client credentials,reports,,,0,yes,',
  'off,Off,1.0,Public client,,https://off.test/cb,Authorization code,reports,,,,0,',
  'unsaid,Unsaid,1.0,,,https://unsaid.test/cb,Authorization code,reports,,,,yes,',
  'twin,Shop,1.0,public,,https://twin.test/cb,Authorization code,reports,,,,yes,',
].join('\r\n');

test('says first what would become of each client, changes nothing, and then makes those that can be made', async () => {
  const before = (await administer(worker, 'GET', '/admin/clients?limit=200')).text;
  const dry = await run('clients.csv', CSV);
  assert.equal(dry.code, 3, dry.out);
  assert.match(dry.out, /^shop: can be made; Owner is not taken over$/m);
  assert.match(dry.out, /^app: can be made; public$/m);
  assert.match(dry.out, /^weak: can be made; confidential, with a secret of less than 22/m);
  assert.match(dry.out, /^encoded: can be made; confidential, with a secret that has \+ or %/m);
  assert.match(dry.out, /^off: can be made; public$/m);
  assert.match(dry.out, /^client 8: REFUSED: type: neither public nor confidential is said/m);
  assert.match(dry.out, /^twin: REFUSED: another client of this file/m);
  assert.match(dry.out, /^wrong: REFUSED: 400 scope: there is no scope no\.such\.scope/m);
  assert.match(dry.out, /^client 5: REFUSED: require_pkce: perhaps is neither yes, no nor global$/m);
  assert.match(dry.out, /^5 can be made, 4 refused\. Nothing is changed yet: again with --apply\.$/m);
  assert(!dry.out.includes(SECRET));
  assert.equal((await administer(worker, 'GET', '/admin/clients?limit=200')).text, before);

  const applied = await run('clients.csv', CSV, ['--apply']);
  assert.equal(applied.code, 3, applied.out);
  assert.match(applied.out, /^5 made, 4 refused\.$/m);
  const shop = (await administer(worker, 'GET', '/admin/clients/shop')).body;
  const members = [shop.client_name, shop.client_version, shop.profile, shop.require_pkce, shop.access_token_lifetime, shop.refresh_count, shop.enabled];
  assert.deepEqual(members, ['Shop', '1.0', 'legacy', false, -1, 3, true]);
  assert.deepEqual(shop.redirect_uris, ['https://shop.test/cb', 'https://shop.test/other']);
  assert.deepEqual(shop.grant_types, ['authorization_code', 'client_credentials', 'refresh_token']);
  const app = (await administer(worker, 'GET', '/admin/clients/app')).body;
  assert.deepEqual([app.token_endpoint_auth_method, app.enabled, app.refresh_count, app.access_token_lifetime, app.response_types], ['none', false, null, 600, ['code', 'token']]);
  assert.equal((await administer(worker, 'GET', '/admin/clients/off')).body.enabled, false);
  // The client keeps the secret that it has.
  assert.equal((await askToken(worker, `shop:${SECRET}`, { grant_type: 'client_credentials' })).status, 200);
  const drawn = /client_id weak {2}client_secret (\S+)/.exec(applied.out)?.[1];
  assert.equal((await askToken(worker, `weak:${drawn}`, { grant_type: 'client_credentials' })).status, 200);
  assert.equal((await askToken(worker, 'weak:short', { grant_type: 'client_credentials' })).status, 401);

  const again = await run('clients.csv', CSV, ['--apply']);
  assert.match(again.out, /^shop: REFUSED: 409 client_id: /m);
});

test('reads JSON under the names of either system, and says what it cannot read', async () => {
  const list = [{ clientId: 'json-app', name: 'JSON', redirectURIs: ['https://json.test/cb'], scopes: ['reports'], type: 'PUBLIC' }];
  const made = await run('clients.json', JSON.stringify({ clients: list }), ['--apply']);
  assert.equal(made.code, 0, made.out);
  assert.equal((await administer(worker, 'GET', '/admin/clients/json-app')).body.client_name, 'JSON');
  for (const [name, content] of [['a.json', '{'], ['b.json', '{"clients":7}'], ['c.json', '[7]'], ['d.csv', 'a,b\n"']]) {
    const answer = await run(name, content);
    assert.equal(answer.code, 2, answer.out);
    assert.match(answer.out, /does not read/);
    assert.doesNotMatch(answer.out, /\n +at /, 'no stack trace');
  }
});
