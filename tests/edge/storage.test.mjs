// What is stored, where, in which form, and how fast a change of it counts.

import assert from 'node:assert/strict';
import { DatabaseSync } from 'node:sqlite';
import { after, before, test } from 'node:test';
import { administer, askToken, inspect, isActive, makeTokens, post, redeem, refresh, SHORT, WEB } from './caller.mjs';
import { listFiles } from './dump.mjs';
import { CALLBACK, Person } from './person.mjs';
import { until } from './until.mjs';
import { Worker } from './worker.mjs';

const INACTIVE = '{"active":false}';

/** @type {Worker} */
let worker;

before(async () => {
  // Two isolates: what an administrator tells one must hold at the other.
  worker = await Worker.start({ isolates: 2 });
});

after(() => worker.stop());

/** @param {Worker} of @param {object} metadata @returns {Promise<string>} `id:secret` */
async function register(of, metadata) {
  const answer = await administer(of, 'POST', '/admin/clients', metadata);
  assert.equal(answer.status, 201, answer.text);
  return `${answer.body.client_id}:${answer.body.client_secret}`;
}

const OWN = { grant_type: 'client_credentials' };

test('a client that was registered a moment ago works at every isolate', async () => {
  const client = await register(worker, { grant_types: ['client_credentials'], scope: 'reports' });
  for (const door of worker.doors) {
    const { status, text, body } = await askToken(worker, client, OWN, door);
    assert.equal(status, 200, text);
    assert.equal(await isActive(worker, body.access_token), true);
  }
});

test('a client that was refused as unknown works once it is registered, elsewhere within seconds', async () => {
  const id = 'refused-before';
  for (const door of worker.doors) {
    const { status, body } = await askToken(worker, `${id}:guessed`, OWN, door);
    assert.deepEqual([status, body.error], [401, 'invalid_client']);
  }
  const client = await register(worker, { client_id: id, grant_types: ['client_credentials'], scope: 'reports' });
  const [here, elsewhere] = worker.doors;
  assert.equal((await askToken(worker, client, OWN, here)).status, 200);
  await until('it works elsewhere', async () => (await askToken(worker, client, OWN, elsewhere)).status === 200);
});

test('disabling a client ends its tokens at once, at every isolate', async () => {
  const client = await register(worker, {
    client_name: 'Soon disabled',
    redirect_uris: [CALLBACK],
    grant_types: ['authorization_code', 'refresh_token', 'client_credentials'],
    scope: 'reports',
  });
  const [id] = client.split(':');
  const tokens = await makeTokens(worker, client);
  const code = await new Person(worker).code(id);
  const own = [];
  for (const door of worker.doors) own.push((await askToken(worker, client, OWN, door)).body.access_token);
  for (const token of [tokens.access_token, ...own]) assert.equal(await isActive(worker, token), true);

  assert.equal((await administer(worker, 'PATCH', `/admin/clients/${id}`, { enabled: false })).status, 200);
  for (const token of [tokens.access_token, tokens.refresh_token, ...own]) assert.equal(await inspect(worker, token), INACTIVE);
  for (const door of worker.doors) {
    assert.equal((await refresh(worker, tokens.refresh_token, client, door)).body.error, 'invalid_client');
    assert.equal((await redeem(worker, code, client, door)).body.error, 'invalid_client');
  }
  const { status, text } = await new Person(worker, worker.doors[1]).authorize(id);
  assert.equal(status, 400);
  assert.match(text, /Authorization error/);
});

test('what a disabled client still gets for itself from an old copy is worth nothing; a strict client gets nothing', async () => {
  for (const strict of [false, true]) {
    const client = await register(worker, { grant_types: ['client_credentials'], scope: 'reports', strict });
    for (const door of worker.doors) assert.equal((await askToken(worker, client, OWN, door)).status, 200);
    const path = `/admin/clients/${client.split(':')[0]}`;
    assert.equal((await administer(worker, 'PATCH', path, { enabled: false })).status, 200);
    const [here, elsewhere] = worker.doors;
    assert.equal((await askToken(worker, client, OWN, here)).body.error, 'invalid_client');
    const { status, body } = await askToken(worker, client, OWN, elsewhere);
    if (strict) assert.equal(body.error, 'invalid_client');
    else if (status === 200) assert.equal(await inspect(worker, body.access_token), INACTIVE);
    else assert.equal(body.error, 'invalid_client');
  }
});

/** A client of whose changes many shards must hear. @returns {Promise<{ client: string, path: string }>} */
async function registerKnown() {
  const client = await register(worker, { grant_types: ['client_credentials'], scope: 'reports' });
  // Each token's end is known to a shard of its own, which joins when it is first asked.
  for (let asked = 0; asked < 20; asked += 1) {
    assert.equal(await isActive(worker, (await askToken(worker, client, OWN)).body.access_token), true);
  }
  return { client, path: `/admin/clients/${client.split(':')[0]}` };
}

/** Twenty at once: what was not answered 200. @param {string} path @param {(number: number) => object} change */
async function changeInParallel(path, change) {
  const changes = Array.from({ length: 20 }, (_, number) => administer(worker, 'PATCH', path, change(number)));
  return (await Promise.all(changes)).filter(({ status }) => status !== 200).map(({ text }) => text);
}

test('twenty parallel changes of one client are all answered 200', async () => {
  const { path } = await registerKnown();
  assert.deepEqual(await changeInParallel(path, (number) => ({ access_token_lifetime: 600 - number })), []);
});

test('of twenty parallel changes those that find nothing to change are answered 200, too, and the last one counts', async () => {
  const { client, path } = await registerKnown();
  assert.deepEqual(await changeInParallel(path, (number) => ({ enabled: number % 2 === 1 })), []);
  assert.equal((await administer(worker, 'PATCH', path, { enabled: true })).status, 200);
  // Its own tokens follow the replica, which may have one of the earlier changes yet.
  let token;
  await until('its tokens work again', async () => {
    token = (await askToken(worker, client, OWN)).body.access_token;
    return token !== undefined && (await isActive(worker, token));
  });
  assert.equal((await administer(worker, 'PATCH', path, { enabled: false })).status, 200);
  assert.equal(await inspect(worker, token), INACTIVE);
});

test('disabling a person ends their tokens, their codes and their session at once', async () => {
  await administer(worker, 'POST', '/admin/users', { username: 'carol', password: 'through-the-mirror' });
  const person = new Person(worker, worker.doors[1]);
  const page = await person.reachConsent('demo-web', {}, 'carol', 'through-the-mirror');
  const { location } = await person.decide(page);
  const { body: tokens } = await redeem(worker, location.searchParams.get('code'));
  const open = await person.reachConsent();
  const code = (await person.decide(await person.reachConsent())).location.searchParams.get('code');
  assert.equal(await isActive(worker, tokens.access_token), true);

  assert.equal((await administer(worker, 'PATCH', '/admin/users/carol', { enabled: false })).status, 200);
  assert.equal(await inspect(worker, tokens.access_token), INACTIVE);
  assert.equal((await refresh(worker, tokens.refresh_token)).body.error, 'invalid_grant');
  assert.equal((await redeem(worker, code)).body.error, 'invalid_grant');
  assert.match((await person.decide(open)).text, /id="login-submit"/);
  const back = await person.reachConsent('demo-web', {}, 'carol', 'through-the-mirror');
  assert.match(back.text, /id="login-problem"/);
});

test('an access token is inactive once it has expired', async () => {
  const own = (await askToken(worker, SHORT, OWN)).body;
  // Not demo-short: its codes live for two seconds, too, and a busy machine may need longer to redeem one.
  const client = await register(worker, {
    redirect_uris: [CALLBACK],
    grant_types: ['authorization_code', 'refresh_token'],
    scope: 'reports',
    access_token_lifetime: 2,
  });
  const tokens = await makeTokens(worker, client);
  for (const { access_token, expires_in } of [own, tokens]) {
    assert.equal(expires_in, 2);
    await until('the token is inactive', async () => (await inspect(worker, access_token)) === INACTIVE);
  }
  // Only the access token has expired: its family lives.
  assert.equal((await refresh(worker, tokens.refresh_token, client)).status, 200);
});

test('revoking a refresh token ends its access tokens; revoking an access token ends that one', async () => {
  const first = await makeTokens(worker);
  const second = (await refresh(worker, first.refresh_token)).body;
  assert.equal((await post(worker, '/revoke', WEB, { token: first.access_token })).status, 200);
  assert.equal(await inspect(worker, first.access_token), INACTIVE);
  assert.equal(await isActive(worker, second.access_token), true);
  // Any generation of the family will do.
  assert.equal((await post(worker, '/revoke', WEB, { token: first.refresh_token })).status, 200);
  assert.equal(await inspect(worker, second.access_token), INACTIVE);
  assert.equal(await inspect(worker, second.refresh_token), INACTIVE);
  assert.equal((await refresh(worker, second.refresh_token)).body.error, 'invalid_grant');
});

test('no request of these tests was an error of the server', () => {
  assert.deepEqual(worker.failures(), []);
});

/** The tables of the grant shards: file and name. @param {Worker} of */
function listTables(of) {
  return listFiles(of.state, '.sqlite').filter((file) => file.includes('edgemint-GrantShard')).flatMap((file) => {
    const database = new DatabaseSync(file, { readOnly: true });
    try {
      return database.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").all().map(({ name }) => ({ file, name }));
    } finally {
      database.close();
    }
  });
}

test('grants lie in tables named by their end', async (t) => {
  const own = await Worker.start();
  t.after(() => own.forget());
  const client = await register(own, { redirect_uris: [CALLBACK], grant_types: ['authorization_code'], scope: 'reports' });
  await makeTokens(own);
  await makeTokens(own, client);
  await own.halt();
  const names = listTables(own).map(({ name }) => name).filter((name) => name.startsWith('grants'));
  assert(names.some((name) => /^grants_long_\d{5}$/.test(name)), `${names}`);
  assert(names.some((name) => /^grants_short_\d{6}$/.test(name)), `${names}`);
});

test('the alarm drops a table whose end has come', async (t) => {
  const first = await Worker.start();
  t.after(() => first.forget());
  const client = await register(first, { redirect_uris: [CALLBACK], grant_types: ['authorization_code'], scope: 'reports' });
  const tokens = await makeTokens(first, client);
  await first.halt();
  const short = listTables(first).find(({ name }) => name.startsWith('grants_short_'));
  const database = new DatabaseSync(short.file);
  database.exec(`ALTER TABLE ${short.name} RENAME TO grants_short_1`);
  database.close();

  const second = await Worker.start({ state: first.state, port: first.port });
  t.after(() => second.halt());
  const find = () => listTables(second).filter(({ name }) => name === 'grants_short_1');
  assert.equal(find().length, 1);
  assert.equal(await inspect(second, tokens.access_token), INACTIVE);
  await until('the table is dropped', () => find().length === 0);
});
