// Some hundred requests that were good before dice bent them. The dice are seeded: a failure comes back.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { isActive, makeTokens, MACHINE, WEB } from './caller.mjs';
import { authorization, CALLBACK, field, Person, VERIFIER } from './person.mjs';
import { exchange } from './socket.mjs';
import { ADMIN_TOKEN, Worker } from './worker.mjs';

const ROUNDS = 900;
const AT_ONCE = 20;
const FORM = 'application/x-www-form-urlencoded';
/** @param {string} client */
const basic = (client) => `Basic ${btoa(client)}`;

/** @typedef {{ method: string, target: string, headers: Record<string, string>, body: string }} Sent body: a character is a byte */

/** @param {number} seed @returns {(below: number) => number} mulberry32 */
function seeded(seed) {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

/** What a character may become; the last are no characters at all. */
const SPLINTERS = ['', '%', '%00', '%ff', '%zz', '&', '=', '+', '.', '/', '//', '..', '"', '<b>', "'", ';', ',', ' ', '\t', 'é', '\u0000', '\u0080', 'ÿþ', '-1', '9'.repeat(30), 'A'.repeat(3000), '{"a":', '[]', 'null'];
const METHODS = ['GET', 'POST', 'HEAD', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'PROPFIND', 'TRACE'];
const TYPES = [FORM, 'application/json', 'application/merge-patch+json', 'multipart/form-data; boundary=x', 'text/plain', ''];

/** @type {Worker} */
let worker;
/** @type {any} */
let tokens;
/** @type {Sent[]} */
let good;

before(async () => {
  worker = await Worker.start();
  tokens = await makeTokens(worker);
  const person = new Person(worker);
  const login = field(await person.authorize('demo-web'), 'pending');
  const page = await person.reachConsent();
  const code = await new Person(worker).code();
  const cookie = [...person.cookies].map(([name, value]) => `${name}=${value}`).join('; ');
  const form = (/** @type {string} */ target, /** @type {Record<string, string>} */ fields, headers = {}) => ({
    method: 'POST',
    target,
    headers: { 'content-type': FORM, ...headers },
    body: String(new URLSearchParams(fields)),
  });
  const get = (/** @type {string} */ target, headers = {}) => ({ method: 'GET', target, headers, body: '' });
  const web = { authorization: basic(WEB) };
  const administrator = { authorization: `Bearer ${ADMIN_TOKEN}`, 'content-type': 'application/json' };
  good = [
    get('/', { cookie }),
    get('/style.css'),
    get('/healthz'),
    get('/.well-known/oauth-authorization-server'),
    get(`/authorize?${new URLSearchParams(authorization('demo-web', { scope: 'reports orders.read' }))}`, { cookie }),
    form('/authorize', authorization('demo-spa'), { cookie }),
    form('/login', { pending: login, username: 'alice', password: 'wonderland' }, { cookie }),
    form('/consent', { pending: field(page, 'pending'), decision: 'allow', scope: 'reports' }, { cookie }),
    get(`/dev/callback?code=${code}&state=x&iss=${encodeURIComponent(worker.issuer)}`, { cookie }),
    form('/token', { grant_type: 'authorization_code', code, redirect_uri: CALLBACK, code_verifier: VERIFIER }, web),
    form('/token', { grant_type: 'refresh_token', refresh_token: tokens.refresh_token, scope: 'reports' }, { authorization: basic('demo-short:demo-short-secret') }),
    form('/token', { grant_type: 'client_credentials', scope: 'reports' }, { authorization: basic(MACHINE) }),
    form('/token', { grant_type: 'client_credentials', client_id: 'demo-machine', client_secret: 'demo-machine-secret' }),
    form('/revoke', { token: tokens.access_token, token_type_hint: 'access_token' }, { authorization: basic(MACHINE) }),
    form('/introspect', { token: tokens.access_token }, { authorization: basic('demo-api:demo-api-secret') }),
    form('/introspect', { token: tokens.refresh_token }, web),
    get('/admin/clients?limit=2&after=demo-api&q=demo', administrator),
    get('/admin/clients/demo-web', administrator),
    get('/admin/users/alice', administrator),
    get('/admin/grants?client_id=demo-web&username=alice&scope=reports', administrator),
    get('/admin/settings', administrator),
    { method: 'POST', target: '/admin/clients', headers: administrator, body: '{"client_name":"x","grant_types":["client_credentials"],"scope":"reports","contacts":["a@b"]}' },
    { method: 'POST', target: '/admin/users', headers: administrator, body: '{"username":"dave","password":"open-the-doors","groups":["x"],"claims":{"name":"D"}}' },
    { method: 'PATCH', target: '/admin/clients/demo-legacy', headers: { ...administrator, 'if-match': '"1"' }, body: '{"description":"x","refresh_count":null}' },
    { method: 'PATCH', target: '/admin/settings', headers: administrator, body: '{"log.successPercent":100}' },
  ];
});

after(() => worker.stop());

/** Replaces or inserts at one place. @param {string} text @param {(below: number) => number} dice */
function bend(text, dice) {
  const at = dice(text.length + 1);
  return text.slice(0, at) + SPLINTERS[dice(SPLINTERS.length)] + text.slice(at + dice(3));
}

/** @param {Sent} sent @param {(below: number) => number} dice @returns {Sent} */
function mutate(sent, dice) {
  const { method, target, headers, body } = sent;
  const names = Object.keys(headers);
  const name = names[dice(names.length)];
  // What HTTP itself forbids would never reach the Worker.
  const line = (/** @type {string} */ text) => text.replace(/[^\x21-\x7e\x80-\xff]/g, '');
  switch (dice(8)) {
    case 0:
      return { ...sent, method: METHODS[dice(METHODS.length)] };
    case 1:
      return { ...sent, target: `/${line(bend(target, dice)).replace(/^\/+/, '')}` };
    case 2:
      return name ? { ...sent, headers: { ...headers, [name]: bend(headers[name], dice).replace(/[^\t\x20-\x7e\x80-\xff]/g, '') } } : sent;
    case 3:
      return { ...sent, headers: { ...headers, 'content-type': TYPES[dice(TYPES.length)] } };
    case 4:
      return { ...sent, body: `${body}&${body}` };
    case 5:
      return { ...sent, body: body.slice(0, dice(body.length + 1)) };
    default:
      return method === 'GET' ? { ...sent, target: line(bend(target, dice)) || '/' } : { ...sent, body: bend(body, dice) };
  }
}

test(`${ROUNDS} bent requests are all answered, well formed, and never as an error of the server`, async () => {
  const dice = seeded(20_261_121);
  const wrong = [];
  const seen = new Map();
  for (let round = 0; round < ROUNDS; round += AT_ONCE) {
    const batch = Array.from({ length: AT_ONCE }, () => {
      let sent = good[dice(good.length)];
      for (let bends = 1 + dice(3); bends > 0; bends -= 1) sent = mutate(sent, dice);
      return sent;
    });
    // `exchange` fails where there is no answer in time.
    const answers = await Promise.all(
      batch.map(({ method, target, headers, body }) => exchange(worker.port, method, target, { headers, raw: Buffer.from(body, 'latin1') })),
    );
    for (const [at, { status, headers, body }] of answers.entries()) {
      seen.set(status, (seen.get(status) ?? 0) + 1);
      const json = /json/.test(headers.get('content-type') ?? '') && batch[at].method !== 'HEAD';
      if (status < 200 || status >= 500 || (json && !isJson(body))) wrong.push({ ...batch[at], status, answer: body.slice(0, 200) });
    }
  }
  assert.deepEqual(wrong, []);
  // Bent too little or too much it would prove nothing.
  for (const status of [200, 303, 400, 401, 404, 405, 415]) assert(seen.get(status) > 0, JSON.stringify([...seen]));
});

test('the server is as well as before', async () => {
  const health = await exchange(worker.port, 'GET', '/healthz');
  assert.deepEqual([health.status, health.body], [200, '{"status":"ok"}']);
  assert.equal(await isActive(worker, (await makeTokens(worker)).access_token), true);
  assert.deepEqual(worker.failures(), []);
});

/** @param {string} text may be in chunks */
function isJson(text) {
  try {
    JSON.parse(text.replace(/^[0-9a-f]+\r\n([^]*?)\r\n0\r\n\r\n$/, '$1'));
    return true;
  } catch {
    return false;
  }
}
