// Connections: this server as a client of a second Edgemint on loopback, which rotates its refresh tokens and forgives a
// retry for a moment; and of one that forgives nothing.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import { Response as Elsewhere } from 'miniflare';
import { administer, read } from './caller.mjs';
import { Person } from './person.mjs';
import { until } from './until.mjs';
import { ADMIN_TOKEN, Worker, findFreePort } from './worker.mjs';

/** @type {Worker} the client */
let worker;
/** @type {Worker} */
let provider;
/** @type {import('node:http').Server} a provider that forgives nothing, and a resource */
let strict;
let strictPort = 0;
/** Requests to token endpoints, in order. @type {{ to: string, form: URLSearchParams }[]} */
let asked = [];
/** While it is set, answers of token endpoints are held back until it resolves. @type {Promise<void> | undefined} */
let held;
/** The only refresh token that the strict provider takes. */
let newest = 'strict-0';
/** Of its tokens, in seconds. */
let lifetime = 1;
/** Authorization headers that the resource saw. @type {string[]} */
const seen = [];

/** What the runtime would do by itself, were loopback the internet: goes there, and follows nothing. */
async function goThere(/** @type {any} */ request) {
  const { method, url, headers } = request;
  const body = method === 'GET' ? undefined : Buffer.from(await request.arrayBuffer());
  if (url.endsWith('/token')) asked.push({ to: url, form: new URLSearchParams(String(body)) });
  const plain = Object.fromEntries([...headers].filter(([name]) => !['host', 'content-length', 'connection'].includes(name)));
  const answer = await fetch(url, { method, headers: plain, body, redirect: 'manual' });
  const bytes = await answer.arrayBuffer();
  if (url.endsWith('/token')) await held;
  const kept = [...answer.headers].filter(([name]) => !['content-encoding', 'transfer-encoding', 'content-length'].includes(name));
  return new Elsewhere(bytes, { status: answer.status, headers: kept });
}

before(async () => {
  [worker, provider] = await Promise.all([Worker.start({ internet: goThere }), Worker.start()]);
  strictPort = await findFreePort();
  strict = createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const form = new URLSearchParams(Buffer.concat(chunks).toString());
    const json = (status, body) => response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    if (request.url === '/token') {
      if (form.get('grant_type') === 'refresh_token' && form.get('refresh_token') !== newest) json(400, { error: 'invalid_grant' });
      else {
        newest = `strict-${Number(newest.split('-')[1]) + 1}`;
        json(200, { access_token: `access-${newest}`, refresh_token: newest, token_type: 'Bearer', expires_in: lifetime });
      }
    } else {
      seen.push(request.headers.authorization);
      if (request.url === '/redirect') response.writeHead(302, { location: 'http://10.0.0.1/' }).end();
      else json(request.headers.authorization === `Bearer access-${newest}` ? 200 : 401, { method: request.method, body: String(Buffer.concat(chunks)) });
    }
  });
  strict.listen(strictPort, '127.0.0.1');
  await once(strict, 'listening');
});

after(async () => {
  strict.closeAllConnections();
  strict.close();
  await Promise.all([worker.stop(), provider.stop()]);
});

/** @param {string} name */
async function fresh(name) {
  return read(await fetch(`${worker.issuer}/admin/connections/${name}/token`, { headers: { authorization: `Bearer ${ADMIN_TOKEN}` } }));
}

/**
 * A client at the second Edgemint whose tokens live for so many seconds, and a connection as that client.
 * @param {string} name
 * @param {number} seconds
 * @returns {Promise<string>} its id
 */
async function make(name, seconds) {
  const client = { client_name: name, grant_types: ['authorization_code', 'refresh_token'], redirect_uris: [`${worker.issuer}/external/callback`], scope: 'reports', access_token_lifetime: seconds };
  const { body } = await administer(provider, 'POST', '/admin/clients', client);
  const made = await administer(worker, 'POST', '/admin/connections', {
    name, issuer: provider.issuer, authorization_endpoint: `${provider.issuer}/authorize`, token_endpoint: `${provider.issuer}/token`,
    client_id: body.client_id, client_secret: body.client_secret, scope: 'reports',
  });
  assert.equal(made.status, 201, made.text);
  return body.client_id;
}

/** A connection whose token lives too short to be given to anybody; the next one lives for an hour. @param {string} name */
async function makeExpired(name) {
  const id = await make(name, 1);
  const page = await letIn(name);
  assert.equal(page.status, 200, page.text);
  const changed = await administer(provider, 'PATCH', `/admin/clients/${id}`, { access_token_lifetime: 3600 });
  assert.equal(changed.status, 200, changed.text);
}

/** A person goes to the provider and comes back. @param {string} name */
async function letIn(name) {
  const { body } = await administer(worker, 'POST', `/admin/connections/${name}/authorize`);
  const { pathname, search } = new URL(body.authorization_url);
  const person = new Person(provider);
  const consent = await person.signIn(await person.send(`${pathname}${search}`));
  const { location } = await person.decide(consent);
  const page = await fetch(location);
  return { status: page.status, text: await page.text() };
}

/** At the provider that forgives nothing there is no page: who comes back has a code. @param {string} name @param {number} seconds */
async function letInAtStrict(name, seconds) {
  lifetime = seconds;
  const origin = `http://127.0.0.1:${strictPort}`;
  const made = await administer(worker, 'POST', '/admin/connections', {
    name, issuer: origin, authorization_endpoint: `${origin}/authorize`, token_endpoint: `${origin}/token`, client_id: 'we', allowed_origins: [origin],
  });
  assert.equal(made.status, 201, made.text);
  const { body } = await administer(worker, 'POST', `/admin/connections/${name}/authorize`);
  const state = new URL(body.authorization_url).searchParams.get('state');
  const back = await fetch(`${worker.issuer}/external/callback?${new URLSearchParams({ state, code: 'theirs' })}`);
  assert.equal(back.status, 200, await back.text());
}

/** The runtime is killed while the provider's answer to a refresh is on its way, and started again. @param {string} name */
async function killInRefresh(name) {
  asked = [];
  const { promise, resolve: release } = Promise.withResolvers();
  held = promise;
  const lost = fresh(name).catch(() => undefined);
  await until('the provider is asked', () => asked.length === 1);
  const { state, port } = worker;
  await worker.crash();
  release();
  held = undefined;
  await lost;
  worker = await Worker.start({ internet: goThere, state, port });
}

test('a person lets this server in at another Edgemint, which is asked for a token once and then not until it has to be', async () => {
  await make('reports', 3600);
  assert.equal((await fresh('reports')).status, 409);
  const page = await letIn('reports');
  assert.equal(page.status, 200, page.text);
  assert.match(page.text, /<strong id="connection">reports<\/strong>/);
  const [first, second] = [await fresh('reports'), await fresh('reports')];
  assert.equal(first.status, 200, first.text);
  assert.equal(first.body.access_token, second.body.access_token);
  assert.equal(first.body.scope, 'reports');
  assert(first.body.expires_in > 3500);
  assert.equal(asked.length, 1);
});

test('fifty who ask at once with an expired token cause one refresh, and get one token', async () => {
  await makeExpired('busy');
  asked = [];
  const answers = await Promise.all(Array.from({ length: 50 }, () => fresh('busy')));
  assert.deepEqual([...new Set(answers.map(({ status }) => status))], [200], answers.find(({ status }) => status !== 200)?.text);
  assert.equal(new Set(answers.map(({ body }) => body.access_token)).size, 1);
  assert.deepEqual(asked.map(({ form }) => form.get('grant_type')), ['refresh_token']);
});

test('killed in the middle of a refresh: a provider that forgives a retry gives tokens without a person', async () => {
  await makeExpired('killed');
  await killInRefresh('killed');
  const [one, two] = await Promise.all([fresh('killed'), fresh('killed')]);
  assert.deepEqual([one.status, two.status], [200, 200], one.text);
  assert.equal(one.body.access_token, two.body.access_token);
  assert.equal(asked.length, 2, 'the one that was lost, and one more');
  assert.equal(asked[0].form.get('refresh_token'), asked[1].form.get('refresh_token'));
  assert.deepEqual(worker.failures(), []);
});

test('killed in the middle of a refresh: a provider that forgives nothing breaks the connection, which says since when and why', async () => {
  await letInAtStrict('strict', 1);
  await killInRefresh('strict');
  const began = Math.floor(Date.now() / 1000);
  const broken = await fresh('strict');
  assert.equal(broken.status, 409, broken.text);
  assert.equal(broken.body.broken_reason, 'invalid_grant (the call before this one had no answer)');
  assert(broken.body.broken_since >= began - 1);
  const { body } = await administer(worker, 'GET', '/admin/connections/strict');
  assert.deepEqual([body.status, body.broken_since], ['broken', broken.body.broken_since]);
  assert.equal((await fresh('strict')).status, 409);
  assert.equal(asked.length, 2, 'and it is asked no more');
});

test('who asks and hangs up leaves the refresh to end, and its token to the next', async () => {
  await makeExpired('hasty');
  asked = [];
  const { promise, resolve: release } = Promise.withResolvers();
  held = promise;
  const hasty = new AbortController();
  const url = `${worker.issuer}/admin/connections/hasty/token`;
  const gone = fetch(url, { headers: { authorization: `Bearer ${ADMIN_TOKEN}` }, signal: hasty.signal }).catch(() => 'gone');
  await until('the provider is asked', () => asked.length === 1);
  hasty.abort();
  assert.equal(await gone, 'gone');
  const next = fresh('hasty');
  release();
  held = undefined;
  const { status, text } = await next;
  assert.equal(status, 200, text);
  assert.equal(asked.length, 1);
});

test('a resource is asked with the token, with a newer one where it takes the old no more, and nowhere else', async () => {
  await letInAtStrict('shop', 3600);
  const origin = `http://127.0.0.1:${strictPort}`;
  const execute = (wish) => administer(worker, 'POST', '/invoke/pub.client.oauth/executeRequest', { connection: 'shop', ...wish });
  seen.length = 0;
  const done = await execute({ method: 'PUT', url: `${origin}/orders`, headers: { 'content-type': 'text/plain' }, body: 'x' });
  assert.equal(done.status, 200, done.text);
  assert.equal(done.body.status, 200);
  assert.deepEqual(JSON.parse(done.body.body), { method: 'PUT', body: 'x' });
  assert.equal(done.body.headers['content-type'], 'application/json');
  const redirected = await execute({ url: `${origin}/redirect` });
  assert.deepEqual([redirected.body.status, redirected.body.headers.location], [302, 'http://10.0.0.1/']);
  for (const url of ['http://10.0.0.1/', `${worker.issuer}/admin/clients`, `${provider.issuer}/`]) {
    const refused = await execute({ url });
    assert.deepEqual([refused.status, refused.body.error], [400, 'invalid_target'], url);
  }
  assert.equal(seen.length, 2);
  const log = worker.log.map(({ message }) => message).join('\n');
  for (const secret of ['access-strict', 'strict-', 'theirs']) assert(!log.includes(secret), `the log has ${secret}`);
});
