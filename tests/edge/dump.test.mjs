// What is stored, and what is logged, is of no use to who reads it. First the search itself: it finds what was put there
// to be found, wherever and however it is written.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { administer, askToken, isActive, MACHINE, makeTokens, post, redeem, refresh, WEB } from './caller.mjs';
import { Dump, writeInEveryForm } from './dump.mjs';
import { CALLBACK, field, parameter, Person } from './person.mjs';
import { ADMIN_TOKEN, Worker } from './worker.mjs';

/** Of the form of ours, but nobody's. */
const plant = () => `ema_a.${randomBytes(150).toString('base64url')}`;

/** @param {import('node:test').TestContext} t */
function scratch(t) {
  const directory = mkdtempSync(join(tmpdir(), 'edgemint-dump-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  mkdirSync(join(directory, 'kv', 'blobs'), { recursive: true });
  return directory;
}

/** @param {Dump} dump @param {string} secret */
const finds = (dump, secret) => dump.find([['it', secret]]).length > 0;

/** Those that a dump does not show. @param {Dump} dump @param {string[]} secrets */
function missed(dump, secrets) {
  const found = new Set(dump.find(secrets.map((secret, number) => [`<${number}>`, secret])).map((line) => /^<\d+>/.exec(line)[0]));
  return secrets.filter((_, number) => !found.has(`<${number}>`));
}

test('the search finds a token in every form, in files, rows, and in the middle of something longer', (t) => {
  for (const secret of [plant(), randomBytes(32).toString('base64url'), 'wonder"land é', 'a password']) {
    for (const [form, bytes] of writeInEveryForm(secret)) {
      const directory = scratch(t);
      const database = new DatabaseSync(join(directory, 'object.sqlite'));
      database.exec('CREATE TABLE rows (key TEXT, row ANY)');
      database.prepare('INSERT INTO rows VALUES (?, ?)').run('a', Buffer.concat([randomBytes(100), Buffer.from(bytes), randomBytes(100)]));
      database.close();
      assert(finds(Dump.of(directory), secret), `${form} in a row`);
      rmSync(join(directory, 'object.sqlite'));
      writeFileSync(join(directory, 'kv', 'blobs', '0'), Buffer.concat([Buffer.from('x'), Buffer.from(bytes), Buffer.from('x')]));
      assert(finds(Dump.of(directory), secret), `${form} in a file`);
    }
  }
});

test('the search finds base64 of something longer that holds a token, wherever it begins', (t) => {
  const directory = scratch(t);
  for (const secret of [plant(), 'through-the-mirror']) {
    for (const before of ['', 'a', 'ab', 'abc']) {
      for (const encoding of /** @type {BufferEncoding[]} */ (['base64', 'base64url'])) {
        writeFileSync(join(directory, 'file'), Buffer.from(`${before}${secret}, and more`).toString(encoding));
        assert(finds(Dump.of(directory), secret), `${encoding} behind ${before.length} bytes`);
      }
    }
  }
});

test('the search finds what is cut up over pages, what lies in a log ahead of its database, and what was deleted', (t) => {
  const directory = scratch(t);
  const database = new DatabaseSync(join(directory, 'object.sqlite'));
  database.exec('PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; CREATE TABLE rows (key TEXT PRIMARY KEY, row TEXT) WITHOUT ROWID');
  const insert = database.prepare('INSERT INTO rows VALUES (?, ?)');
  // Pages are of 4,096 bytes: whatever their overhead, some of these are cut in two, each elsewhere.
  const cut = Array.from({ length: 60 }, plant);
  for (const [number, secret] of cut.entries()) insert.run(`${number}`, `${'x'.repeat(3800 + 10 * number)}${secret}${'x'.repeat(5000)}`);
  // Still open: nothing is written back from the log yet.
  assert.deepEqual(missed(Dump.of(directory), cut), []);
  database.exec('PRAGMA wal_checkpoint(TRUNCATE); DELETE FROM rows; PRAGMA wal_checkpoint(TRUNCATE)');
  assert.equal(database.prepare('SELECT count(*) AS left FROM rows').get().left, 0);
  // SQLite itself overwrites the few bytes of a page that it links into its list of free ones.
  assert(missed(Dump.of(directory), cut).length <= 2);
  database.close();
});

test('the search does not find what is not there', (t) => {
  const directory = scratch(t);
  writeFileSync(join(directory, 'file'), randomBytes(1_000_000));
  const dump = Dump.of(directory).add('the log', JSON.stringify({ event: 'token.issued', client: 'demo-web' }));
  assert.deepEqual(dump.find(Array.from({ length: 200 }, (_, number) => [`${number}`, plant()])), []);
});

/** A person of whom everything that only they and the server know is noted. */
class Watched extends Person {
  /** @type {[string, string][]} */
  secrets = [];

  /** @param {string} target @param {any} [init] */
  async send(target, init) {
    const page = await super.send(target, init);
    if (page.text.includes('name="pending"')) this.secrets.push([`the form of ${target.split('?')[0]}`, field(page, 'pending')]);
    for (const [name, value] of this.cookies) this.secrets.push([`the cookie ${name}`, value]);
    return page;
  }
}

test('nothing that is stored or logged can be used by who reads it, and the search sees what is there', async (t) => {
  const key = randomBytes(32).toString('base64url');
  const worker = await Worker.start({ vars: { MASTER_KEY: `a:${key}` } });
  t.after(() => worker.forget());
  /** @type {[string, string][]} */
  const secrets = [['the master key', key], ['the administrator’s token', ADMIN_TOKEN], ['a demo secret', 'demo-web-secret'], ['another', 'demo-machine-secret']];

  // A description and contacts are stored as they are: of this length some are cut in two.
  const planted = Array.from({ length: 21 }, () => plant().slice(0, 200));
  const registration = {
    description: planted[20],
    contacts: planted.slice(0, 20),
    redirect_uris: [CALLBACK],
    grant_types: ['authorization_code', 'refresh_token'],
    scope: 'reports',
  };
  const { status, text, body: registered } = await administer(worker, 'POST', '/admin/clients', registration);
  assert.equal(status, 201, text);
  const client = `${registered.client_id}:${registered.client_secret}`;
  secrets.push(['a generated secret', registered.client_secret]);

  // A grant from its consent to each of its ends.
  const alice = new Watched(worker);
  const code = await alice.code();
  const first = (await redeem(worker, code)).body;
  const second = (await refresh(worker, first.refresh_token)).body;
  const unused = await alice.code(registered.client_id);
  await alice.decide(await alice.reachConsent(), 'deny');
  await post(worker, '/revoke', WEB, { token: first.access_token });
  const ended = await makeTokens(worker, client);
  await post(worker, '/revoke', client, { token: ended.refresh_token });
  const stolen = await makeTokens(worker);
  for (const token of [stolen.refresh_token, (await refresh(worker, stolen.refresh_token)).body.refresh_token, stolen.refresh_token]) await refresh(worker, token);
  const own = (await askToken(worker, MACHINE, { grant_type: 'client_credentials' })).body.access_token;
  const spent = (await askToken(worker, MACHINE, { grant_type: 'client_credentials' })).body.access_token;
  await post(worker, '/revoke', MACHINE, { token: spent });
  for (const token of [second.access_token, own]) assert.equal(await isActive(worker, token), true);

  // A person: made, signed in, refused, given another password.
  const [password, next] = ['through-the-mirror', 'through-the-other-mirror'];
  assert.equal((await administer(worker, 'POST', '/admin/users', { username: 'carol', password })).status, 201);
  const carol = new Watched(worker);
  await carol.signIn(await carol.authorize('demo-web'), 'carol', 'through-the-window');
  const given = parameter(await carol.decide(await carol.reachConsent('demo-web', {}, 'carol', password)), 'code');
  assert.equal((await administer(worker, 'PATCH', '/admin/users/carol', { password: next })).status, 200);
  await carol.signIn(await carol.authorize('demo-web'), 'carol', next);

  const tokens = { first, second, ended, stolen };
  for (const [name, { access_token, refresh_token }] of Object.entries(tokens)) {
    secrets.push([`the access token ${name}`, access_token], [`the refresh token ${name}`, refresh_token]);
  }
  secrets.push(['a code', code], ['an unused code', unused], ['a code of who changed their password', given]);
  secrets.push(['a client’s own token', own], ['a client’s revoked token', spent]);
  secrets.push(['a password', 'wonderland'], ['a new account’s', password], ['a wrong password', 'through-the-window'], ['the next password', next]);
  secrets.push(...alice.secrets, ...carol.secrets);
  // As a crash leaves it: with what is not written back yet.
  await worker.crash();

  const dump = Dump.of(worker.state);
  for (const store of ['do/edgemint-RegistryObject', 'kv/REPLICA/blobs']) {
    const within = Object.assign(new Dump(), { places: dump.places.filter(({ what }) => what.startsWith(store)) });
    assert.deepEqual(missed(within, planted), [], `the search sees into ${store}`);
  }
  assert(dump.places.some(({ what }) => what.endsWith('-wal')), 'there are logs ahead of their databases');
  assert.deepEqual(dump.find(secrets), []);

  const log = new Dump().add('the log', worker.log.map(({ message }) => message).join('\n'));
  assert(finds(log, 'consent.allowed') && finds(log, registered.client_id), 'the log tells what happened');
  assert.deepEqual(log.find(secrets), []);
});
