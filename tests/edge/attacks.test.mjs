// Attacks where the runtime matters: at the same moment, through its HTTP parser, and against SQLite. `docs/attacks.md`
// lists the cases.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { administer, askToken, inspect, isActive, MACHINE, makeTokens, post, redeem, refresh, WEB } from './caller.mjs';
import { CALLBACK, field, parameter, Person, VERIFIER } from './person.mjs';
import { exchange } from './socket.mjs';
import { Worker } from './worker.mjs';

const TIMES = 20;
const INACTIVE = '{"active":false}';
const FORM = 'application/x-www-form-urlencoded';
const LEGACY = 'demo-legacy:demo-legacy-secret';
const LEGACY_CALLBACK = 'http://127.0.0.1:9999/legacy';
const OWN = { grant_type: 'client_credentials' };

/** @type {Worker} */
let worker;

before(async () => {
  worker = await Worker.start({ isolates: 2 });
});

after(() => worker.stop());

/** @template T @param {(turn: number) => Promise<T>} act @returns {Promise<T[]>} */
const allAtOnce = (act) => Promise.all(Array.from({ length: TIMES }, (_, turn) => act(turn)));

/** @param {number} turn */
const door = (turn) => worker.doors[turn % worker.doors.length];

/** @param {{ status: number }[]} answers */
const statuses = (answers) => answers.map(({ status }) => status).sort();

const basic = (/** @type {string} */ client) => `Basic ${btoa(client)}`;

describe('at the same moment', () => {
  test('of twenty parallel redemptions of a code without a challenge one gets tokens, and the others end them', async () => {
    const unbound = { redirect_uri: LEGACY_CALLBACK, code_challenge: undefined, code_challenge_method: undefined };
    const code = await new Person(worker).code('demo-legacy', unbound);
    const fields = { grant_type: 'authorization_code', code, redirect_uri: LEGACY_CALLBACK };
    const answers = await allAtOnce((turn) => askToken(worker, LEGACY, fields, door(turn)));
    assert.deepEqual(statuses(answers), [200, ...Array(TIMES - 1).fill(400)]);
    const { body } = answers.find(({ status }) => status === 200);
    assert.equal(await inspect(worker, body.access_token), INACTIVE);
    assert.equal((await refresh(worker, body.refresh_token, LEGACY)).body.error, 'invalid_grant');
  });

  test('thieves without the verifier who redeem at the same moment as the client take and end nothing', async () => {
    const code = await new Person(worker).code();
    const fields = { grant_type: 'authorization_code', code, redirect_uri: CALLBACK };
    const forms = [{ ...fields, code_verifier: VERIFIER }, fields, { ...fields, code_verifier: 'a'.repeat(43) }, { ...fields, code_verifier: VERIFIER, redirect_uri: LEGACY_CALLBACK }];
    const answers = await allAtOnce((turn) => askToken(worker, WEB, forms[turn % forms.length], door(turn)));
    assert.deepEqual(statuses(answers), [200, ...Array(TIMES - 1).fill(400)]);
    const winner = answers.findIndex(({ status }) => status === 200);
    assert.equal(winner % forms.length, 0, 'it had the verifier');
    assert.equal(await isActive(worker, answers[winner].body.access_token), true);
    assert.equal((await refresh(worker, answers[winner].body.refresh_token)).status, 200);
  });

  test('an old refresh token and the newest one, used at the same moment, leave no token alive', async () => {
    const all = [await makeTokens(worker)];
    for (const generation of [0, 1]) all.push((await refresh(worker, all[generation].refresh_token)).body);
    const answers = await allAtOnce((turn) => refresh(worker, all[turn % 2 === 0 ? 0 : 2].refresh_token, WEB, door(turn)));
    for (const [turn, { status, body }] of answers.entries()) {
      if (turn % 2 === 0) assert.deepEqual([status, body.error], [400, 'invalid_grant']);
      if (status === 200) all.push(body);
    }
    for (const { access_token, refresh_token } of all) {
      assert.equal(await inspect(worker, access_token), INACTIVE);
      assert.equal((await refresh(worker, refresh_token)).body.error, 'invalid_grant');
    }
  });

  test('twenty parallel revocations of one token are all answered 200, and a stranger’s among them is not', async () => {
    const tokens = await makeTokens(worker);
    const answers = await allAtOnce((turn) =>
      post(worker, '/revoke', turn % 5 === 0 ? LEGACY : WEB, { token: tokens.refresh_token }, door(turn)),
    );
    for (const [turn, { status }] of answers.entries()) assert.equal(status, turn % 5 === 0 ? 400 : 200);
    assert.equal(await inspect(worker, tokens.access_token), INACTIVE);
  });

  /**
   * Consents, redemptions and refreshes for a client, all in the middle of somebody's disabling. Nothing that came of them
   * may work once that was answered.
   * @param {string} client @param {string} username @param {string} password @param {string} target
   * @returns {Promise<{ made: any[], codes: string[] }>} what was given, now that who was disabled is enabled again
   */
  async function disableInTheMiddle(client, username, password, target) {
    const [id] = client.split(':');
    const person = new Person(worker);
    const pages = [await person.reachConsent(id, {}, username, password)];
    while (pages.length < 12) pages.push(await person.reachConsent(id));
    const codes = [];
    for (const page of pages.splice(0, 6)) codes.push(parameter(await person.decide(page), 'code'));
    const { body: tokens } = await redeem(worker, codes.pop(), client);
    const [, consents, redemptions, refreshed] = await Promise.all([
      administer(worker, 'PATCH', target, { enabled: false }).then(({ status, text }) => assert.equal(status, 200, text)),
      Promise.all(pages.map((page) => person.decide(page))),
      Promise.all(codes.map((code, turn) => redeem(worker, code, client, door(turn)))),
      refresh(worker, tokens.refresh_token, client, door(1)),
    ]);
    const made = [tokens, ...[...redemptions, refreshed].filter(({ status }) => status === 200).map(({ body }) => body)];
    for (const { access_token } of made) assert.equal(await inspect(worker, access_token), INACTIVE);
    assert.equal((await administer(worker, 'PATCH', target, { enabled: true })).status, 200);
    return { made, codes: consents.map(({ location }) => location?.searchParams.get('code')).filter(Boolean) };
  }

  test('what a person gives in the middle of being disabled works no more, also once they are enabled again', async () => {
    const made = await administer(worker, 'POST', '/admin/users', { username: 'dora', password: 'through-the-mirror' });
    assert.equal(made.status, 201, made.text);
    const { made: given, codes } = await disableInTheMiddle(WEB, 'dora', 'through-the-mirror', '/admin/users/dora');
    for (const { access_token, refresh_token } of given) {
      assert.equal(await inspect(worker, access_token), INACTIVE);
      assert.equal((await refresh(worker, refresh_token, WEB)).status, 400);
    }
    for (const code of codes) assert.equal((await redeem(worker, code, WEB)).status, 400);
  });

  test('what a client is given in the middle of being disabled is inactive until it is enabled again', async () => {
    const grant_types = ['authorization_code', 'refresh_token'];
    const made = await administer(worker, 'POST', '/admin/clients', { redirect_uris: [CALLBACK], grant_types, scope: 'reports' });
    const { client_id, client_secret } = made.body;
    const { made: given } = await disableInTheMiddle(`${client_id}:${client_secret}`, 'alice', 'wonderland', `/admin/clients/${client_id}`);
    for (const { access_token } of given) assert.match(await inspect(worker, access_token), /"active":true/);
  });

  test('of twenty parallel registrations of one name one is made, and it works', async () => {
    const client = { client_id: 'wanted', grant_types: ['client_credentials'], scope: 'reports' };
    const clients = await allAtOnce(() => administer(worker, 'POST', '/admin/clients', client));
    assert.deepEqual(statuses(clients), [201, ...Array(TIMES - 1).fill(409)]);
    const { body } = clients.find(({ status }) => status === 201);
    assert.equal((await askToken(worker, `wanted:${body.client_secret}`, OWN)).status, 200);
    const people = await allAtOnce((turn) => administer(worker, 'POST', '/admin/users', { username: 'wanted', password: `password ${turn}` }));
    assert.deepEqual(statuses(people), [201, ...Array(TIMES - 1).fill(409)]);
    const winner = people.findIndex(({ status }) => status === 201);
    assert.match((await new Person(worker).reachConsent('demo-web', {}, 'wanted', `password ${winner}`)).text, /consent-allow/);
  });
});

describe('through the parser', () => {
  /** @param {Record<string, string>} headers names that differ in case only are two headers @param {string} [raw] */
  const ask = (headers, raw = 'grant_type=client_credentials') => exchange(worker.port, 'POST', '/token', { headers: { 'content-type': FORM, ...headers }, raw });

  test('the scheme of a credential has no case, its value has one reading, and two headers are none', async () => {
    for (const scheme of ['Basic', 'basic', 'BASIC']) {
      assert.equal((await ask({ authorization: basic(MACHINE).replace('Basic', scheme) })).status, 200, scheme);
    }
    for (const headers of /** @type {Record<string, string>[]} */ ([
      { authorization: basic(MACHINE), Authorization: basic(MACHINE) },
      { authorization: basic(MACHINE), Authorization: basic(WEB) },
      { authorization: basic(WEB), Authorization: basic(MACHINE) },
      { authorization: 'Bearer x', Authorization: basic(MACHINE) },
      { 'x-authorization': basic(MACHINE) },
      { authorization: `Basic ${btoa('demo-machine')}` },
      { authorization: `Basic ${btoa('demo-machine:100%')}` },
      { authorization: `Basic ${btoa('demo-machine%3Ademo-machine-secret')}` },
      { authorization: `${basic(MACHINE)}\u0000` },
      { authorization: `${basic(MACHINE).slice(0, 12)}\u00a0${basic(MACHINE).slice(12)}` },
    ])) {
      const { status, body } = await ask(headers);
      assert([400, 401].includes(status), `${JSON.stringify(headers)}: ${status} ${body}`);
    }
  });

  test('a long list, a long address and long headers are a 4xx at once', async () => {
    const long = 'reports '.repeat(12_500);
    const authorization = basic(MACHINE);
    const scope = (/** @type {number} */ size) => `grant_type=client_credentials&scope=${long.slice(0, size).replaceAll(' ', '+')}x`;
    assert.equal((await ask({ authorization }, scope(99_999))).status, 413);
    const fits = await ask({ authorization }, scope(60_000));
    assert.deepEqual([fits.status, JSON.parse(fits.body).error], [400, 'invalid_scope']);
    for (const [target, headers] of /** @type {[string, Record<string, string>][]} */ ([
      [`/authorize?client_id=demo-web&scope=${'x'.repeat(60_000)}`, {}],
      [`/${'x'.repeat(60_000)}`, {}],
      ['/authorize', { cookie: 'edgemint-session=x; '.repeat(2000) }],
      ['/admin/clients', { authorization: `Bearer ${'x'.repeat(40_000)}` }],
    ])) {
      const { status } = await exchange(worker.port, 'GET', target, { headers });
      assert(status >= 400 && status < 500, `${target.slice(0, 20)}: ${status}`);
    }
  });

  test('no header chooses another address, method, host or caller', async () => {
    const smuggled = {
      'x-original-url': '/admin/clients',
      'x-rewrite-url': '/admin/clients',
      'x-http-method-override': 'POST',
      'x-forwarded-host': 'evil.test',
      'x-forwarded-proto': 'http',
      'x-forwarded-for': '127.0.0.1',
      forwarded: 'host=evil.test',
      'x-client-id': 'demo-machine',
      'x-user': 'alice',
    };
    const health = await exchange(worker.port, 'GET', '/healthz', { headers: smuggled });
    assert.deepEqual([health.status, health.body], [200, '{"status":"ok"}']);
    assert.equal((await exchange(worker.port, 'GET', '/token', { headers: smuggled })).status, 405);
    const metadata = await exchange(worker.port, 'GET', '/.well-known/oauth-authorization-server', { headers: smuggled });
    assert(metadata.body.includes(worker.issuer) && !metadata.body.includes('evil.test'));
    const page = await new Person(worker).send('/authorize?client_id=demo-web', { headers: smuggled });
    assert(!page.text.includes('evil.test') && !page.text.includes('alice') && page.location?.host !== 'evil.test');
    const elsewhere = await exchange(worker.port, 'GET', '/authorize?client_id=demo-web', { headers: { host: 'evil.test' } });
    assert([303, 400].includes(elsewhere.status));
    assert(!elsewhere.body.includes('evil.test') && (elsewhere.headers.get('location') ?? worker.issuer).startsWith(worker.issuer));
  });

  test('an origin of null, or one that looks like ours, is no origin of ours', async () => {
    const person = new Person(worker);
    const page = await person.reachConsent();
    const body = String(new URLSearchParams({ pending: field(page, 'pending'), decision: 'all' }));
    for (const headers of /** @type {Record<string, string>[]} */ ([
      { origin: 'null', 'sec-fetch-site': 'cross-site' },
      { origin: worker.issuer, 'sec-fetch-site': 'same-site' },
      { origin: `${worker.issuer}.evil.test` },
      { origin: worker.issuer.replace('localhost', 'LOCALHOST') },
      { origin: `${worker.issuer}, https://evil.test` },
    ])) {
      const answer = await person.send('/consent', { method: 'POST', body, headers: { 'content-type': FORM, ...headers } });
      assert.deepEqual([answer.status, answer.location], [400, undefined], JSON.stringify(headers));
    }
    for (const path of ['/token', '/revoke', '/introspect', '/consent', '/admin/clients']) {
      for (const method of ['OPTIONS', 'POST']) {
        const { headers } = await exchange(worker.port, method, path, { headers: { origin: 'null', 'access-control-request-method': 'POST' } });
        assert([undefined, '*'].includes(headers.get('access-control-allow-origin')), `${method} ${path}`);
        assert.equal(headers.get('access-control-allow-credentials'), undefined, `${method} ${path}`);
      }
    }
    assert.equal((await person.send('/consent', { method: 'POST', body, headers: { 'content-type': FORM, origin: worker.issuer } })).status, 303);
  });
});

describe('against SQLite', () => {
  test('a name is a name, whatever SQL it looks like', async () => {
    const tokens = await makeTokens(worker);
    for (const username of ["o'brien\"; DROP TABLE aliases; --", "x' OR '1'='1", '%', '_____', 'x") UNION SELECT 1 --']) {
      const made = await administer(worker, 'POST', '/admin/users', { username, password: 'a password' });
      assert.equal(made.status, 201, made.text);
      const found = await administer(worker, 'GET', `/admin/users/${encodeURIComponent(username)}`);
      assert.equal(found.body.username, username);
      assert.match((await new Person(worker).reachConsent('demo-web', {}, username, 'a password')).text, /consent-allow/);
    }
    for (const [q, least, most] of /** @type {[string, number, number][]} */ ([["' OR '1'='1", 1, 1], ['_', 1, 1], ['%', 1, 1], ['"; DROP', 1, 1], ["'; DELETE", 0, 0]])) {
      const { body } = await administer(worker, 'GET', `/admin/users?q=${encodeURIComponent(q)}`);
      assert(body.items.length >= least && body.items.length <= most, `${q}: ${body.items.map((/** @type {any} */ { username }) => username)}`);
    }
    assert.equal(await isActive(worker, tokens.access_token), true);
  });

  test('an address or cursor that names another table is none', async () => {
    const [{ id }] = (await administer(worker, 'GET', '/admin/grants')).body.items;
    const [shard, table, owner, key] = id.split('.');
    for (const other of [
      `${shard}.marks.${owner}.${key}`,
      `${shard}.${table}".${owner}.${key}`,
      `${shard}.${table}; DROP TABLE ${table}.${owner}.${key}`,
      `${shard}.sqlite_master.${owner}.${key}`,
      `${shard}.${table}.' OR '1'='1.${key}`,
      `${shard}.${table}.${owner}.%`,
      `${shard}.${table}..`,
      `${shard}x.${table}.${owner}.${key}`,
      `../${id}`,
    ]) {
      for (const method of ['GET', 'DELETE']) {
        const { status, text } = await administer(worker, method, `/admin/grants/${encodeURIComponent(other)}`);
        assert([400, 404].includes(status), `${method} ${other}: ${status} ${text}`);
      }
      const { status } = await administer(worker, 'GET', `/admin/grants?after=${encodeURIComponent(other)}`);
      assert([200, 400].includes(status), `${other}: ${status}`);
    }
    assert.equal((await administer(worker, 'GET', `/admin/grants/${encodeURIComponent(id)}`)).body.id, id);
    assert.equal((await redeem(worker, await new Person(worker).code())).status, 200);
  });
});

test('nothing of all this was an error of the server', () => {
  assert.deepEqual(worker.failures(), []);
});
