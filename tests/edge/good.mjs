// A good request for every route, to be bent: each would succeed, once.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { administer, askToken, MACHINE, makeTokens, redeem, WEB } from './caller.mjs';
import { authorization, CALLBACK, field, Person, VERIFIER } from './person.mjs';
import { ADMIN_TOKEN } from './worker.mjs';

export const FORM = 'application/x-www-form-urlencoded';

/** @typedef {{ method: string, target: string, headers: Record<string, string>, body: string, chunked?: boolean }} Sent body: a character is a byte */

/** @typedef {import('./worker.mjs').Worker} Worker */

/** The routes that `src/server/routes.rs` declares; of any method one. @returns {{ method: string, path: string, open: boolean }[]} `{}` in a path is one segment */
export function readRoutes() {
  const source = readFileSync(new URL('../../src/server/routes.rs', import.meta.url), 'utf8');
  const routes = [...source.matchAll(/^ {4}(?:route\(Method::(\w+),|any\()\s*"([^"]+)",.*Cors::(\w+),/gm)];
  // What follows `/check` is an address of somebody else's, and there is none unless a setting says so.
  const own = routes.filter(([, , path]) => !path.endsWith('{*}'));
  return own.map(([, method = 'GET', path, cors]) => ({ method, path, open: cors === 'Any' }));
}

/** Whether a path is one of a route's. @param {string} pattern @param {string} path */
export function isOf(pattern, path) {
  const [front, behind] = pattern.split('{}');
  if (behind === undefined) return path === pattern;
  return path.startsWith(front) && path.endsWith(behind) && /^[^/]+$/.test(path.slice(front.length, path.length - behind.length));
}

/**
 * Makes them, and what they name: a person, a client, a scope and grants that nothing else needs.
 * @param {Worker} worker
 * @param {string} mark tells what is made from what another call makes
 * @returns {Promise<Sent[]>}
 */
export async function makeGood(worker, mark) {
  const victim = `victim-${mark}`;
  await make(worker, '/admin/scopes', { name: victim, description: 'To be changed', resource: worker.issuer });
  await make(worker, '/admin/scopes', { name: `${victim}.doomed` });
  await make(worker, '/admin/users', { username: victim, password: 'open-the-doors' });
  await make(worker, '/admin/users', { username: `${victim}.doomed`, password: 'open-the-doors' });
  await make(worker, '/admin/clients', { client_id: victim, grant_types: ['client_credentials'], scope: victim });
  await make(worker, '/admin/clients', { client_id: `${victim}.doomed`, grant_types: ['client_credentials'] });
  const person = new Person(worker);
  const login = field(await person.authorize('demo-web'), 'pending');
  const page = await person.reachConsent('demo-web', {}, victim, 'open-the-doors');
  const walk = await person.send('/');
  const state = new URL(/id="walk" href="([^"]+)"/.exec(walk.text)[1].replaceAll('&#38;', '&').replaceAll('&amp;', '&')).searchParams.get('state');
  const cookie = cookieOf(person);
  const choice = field(await person.authorize('demo-web', { prompt: 'select_account' }), 'pending');
  const seal = field(await person.send('/account'), 'seal');
  const code = await person.code();
  const tokens = (await redeem(worker, await person.code())).body;
  const told = (await redeem(worker, await person.code('demo-web', { scope: 'openid email' }))).body.access_token;
  const own = (await askToken(worker, MACHINE, { grant_type: 'client_credentials' })).body.access_token;
  await makeTokens(worker);
  const [registered, doomed] = [await register(worker), await register(worker)];
  const invitation = (await administer(worker, 'POST', '/admin/registration-tokens', { uses: 1 })).body;
  const { items } = (await administer(worker, 'GET', `/admin/grants?username=${victim}`)).body;
  return [
    ...ofPeople(worker, { cookie, login, consent: field(page, 'pending'), choice, seal, code, state, victim }),
    ...ofClients({ code, tokens, own, told }),
    ...ofThemselves(registered, doomed),
    ...(await ofOthers(worker, mark)),
    ...(await ofConsole(worker, mark)),
    ...ofAdministrators(victim, items[0].id, invitation.id, (await makeKey(worker)).kid),
  ];
}

/** A key that nothing is signed with. @param {Worker} worker @returns {Promise<{ kid: string }>} */
async function makeKey(worker) {
  const { status, text, body } = await administer(worker, 'POST', '/admin/keys', { algorithm: 'EdDSA' });
  assert.equal(status, 201, text);
  return body;
}

/** @param {Worker} worker @param {string} path @param {object} body */
async function make(worker, path, body) {
  const { status, text } = await administer(worker, 'POST', path, body);
  assert.equal(status, 201, text);
}

const APPLICATION = { client_name: 'x', redirect_uris: ['https://a.test/cb'], token_endpoint_auth_method: 'none' };

/** A client that registered itself. @param {Worker} worker @returns {Promise<any>} */
async function register(worker) {
  const headers = { 'content-type': 'application/json' };
  const response = await fetch(`${worker.issuer}/register`, { method: 'POST', headers, body: JSON.stringify(APPLICATION) });
  assert.equal(response.status, 201);
  return response.json();
}

/** @param {any} client @param {any} doomed @returns {Sent[]} by tokens that other clients do not have: each answer is the same again */
function ofThemselves(client, doomed) {
  const at = (/** @type {any} */ { registration_client_uri: uri, registration_access_token: token }) => ({
    target: new URL(uri).pathname,
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
  });
  const body = JSON.stringify({ ...APPLICATION, client_id: client.client_id, contacts: ['a@b'], application_type: 'web' });
  return [
    { method: 'POST', target: '/register', headers: { 'content-type': 'application/json' }, body: JSON.stringify(APPLICATION) },
    { method: 'GET', ...at(client), body: '' },
    { method: 'PUT', ...at(client), body },
    { method: 'DELETE', ...at(doomed), body: '' },
  ];
}

/** In the console, by an administrator of its own, of records of its own. @param {Worker} worker @param {string} mark @returns {Promise<Sent[]>} */
async function ofConsole(worker, mark) {
  const name = `console-${mark}`;
  const account = { username: name, password: 'open-the-doors' };
  await make(worker, '/admin/users', { ...account, roles: ['administrator'] });
  await make(worker, '/admin/users', { username: `${name}.other`, password: 'open-the-doors' });
  await make(worker, '/admin/scopes', { name });
  await make(worker, '/admin/clients', { client_id: name, redirect_uris: ['https://a.test/cb'], scope: name });
  const connection = { issuer: 'https://as.example', authorization_endpoint: 'https://as.example/authorize', token_endpoint: 'https://as.example/token', client_id: 'we' };
  const server = { issuer: 'https://as.example', introspection_endpoint: 'https://as.example/introspect', client_id: 'we' };
  await make(worker, '/admin/connections', { ...connection, name });
  await make(worker, '/admin/external-servers', { ...server, name });
  await makeTokens(worker);
  const grant = (await administer(worker, 'GET', '/admin/grants?username=alice&limit=1')).body.items[0].id;
  const { body: invitation } = await administer(worker, 'POST', '/admin/registration-tokens', {});
  const { kid } = await makeKey(worker);
  const version = async (/** @type {string} */ path) => (await administer(worker, 'GET', path)).headers.get('etag');
  /** A browser, and what its forms carry. */
  const enter = async () => {
    const person = new Person(worker);
    const seal = field(await person.send('/console'), 'seal');
    await person.submit('/console/sign-in', { seal, ...account });
    return { cookie: cookieOf(person), seal: field(await person.send('/console'), 'seal') };
  };
  const stranger = new Person(worker);
  const door = field(await stranger.send('/console'), 'seal');
  const outside = { cookie: cookieOf(stranger), 'sec-fetch-site': 'same-origin' };
  const [inside, leaving] = [await enter(), await enter()];
  const { cookie, seal } = inside;
  const pages = ['', '/new/clients', '/new/scopes', '/new/users', '/clients?q=demo&after=demo-api', `/clients/${name}`, '/scopes', `/scopes/${name}`, '/users?q=a', `/users/${name}`, '/grants?username=alice', `/grants/${encodeURIComponent(grant)}`, '/registration-tokens', '/new/registration-tokens', `/registration-tokens/${invitation.id}`, '/new/connections', '/connections?q=a', `/connections/${name}`, '/new/external-servers', '/external-servers', `/external-servers/${name}`, '/keys', '/new/keys', `/keys/${kid}`, '/settings', '/audit?q=a'];
  const act = (/** @type {string} */ path, /** @type {Record<string, string>} */ fields) => form(`/console${path}`, { seal, ...fields }, { cookie });
  return [
    ...pages.map((path) => get(`/console${path}`, { cookie })),
    get('/console/administrator', outside),
    get('/console/sign-in', outside),
    form('/console/sign-in', { seal: door, ...account }, outside),
    form('/console/administrator', { seal: door, admin_token: ADMIN_TOKEN, username: `${name}.made`, password: 'open-the-doors' }, outside),
    act('/clients', { client_id: `${name}.new`, client_name: `${name} new`, redirect_uris: 'https://a.test/cb', grant_types: 'authorization_code', enabled: 'true', token_endpoint_auth_method: 'none' }),
    act(`/clients/${name}`, { act: 'save', version: await version(`/admin/clients/${name}`), client_name: `${name} saved`, redirect_uris: 'https://a.test/cb', grant_types: 'authorization_code', scope: name, enabled: 'true' }),
    act(`/clients/${name}`, { act: 'secret' }),
    act('/scopes', { name: `${name}.new`, description: 'New' }),
    act(`/scopes/${name}`, { act: 'save', version: await version(`/admin/scopes/${name}`), description: 'Another' }),
    act('/users', { username: `${name}.new`, password: 'open-the-doors', enabled: 'true', claims: '{"name":"D"}' }),
    act(`/users/${name}.other`, { act: 'password', password: 'open-the-doors', confirm: 'yes' }),
    act(`/grants/${encodeURIComponent(grant)}`, { act: 'revoke' }),
    act('/connections', { ...connection, name: `${name}.new`, client_secret: 'hush' }),
    act(`/connections/${name}`, { act: 'authorize' }),
    act('/external-servers', { ...server, name: `${name}.new`, username: 'alice' }),
    act(`/external-servers/${name}`, { act: 'delete', confirm: 'yes' }),
    act('/keys', { algorithm: 'ES256' }),
    act(`/keys/${kid}`, { act: 'delete' }),
    act('/registration-tokens', { description: 'x', uses: '2', expires_in: '3600' }),
    act(`/registration-tokens/${invitation.id}`, { act: 'delete' }),
    // A question: what holds for everybody is not changed here.
    act('/settings', { act: 'save', version: await version('/admin/settings'), 'refresh.idleSeconds': '60' }),
    form('/console/sign-out', { seal: leaving.seal }, { cookie: leaving.cookie }),
  ];
}

/** @param {Person} person */
const cookieOf = (person) => [...person.cookies].map(([name, value]) => `${name}=${value}`).join('; ');

/** @param {string} target @param {Record<string, string>} [headers] @returns {Sent} */
const get = (target, headers = {}) => ({ method: 'GET', target, headers, body: '' });

/** @param {string} target @param {Record<string, string>} fields @param {Record<string, string>} [headers] @returns {Sent} */
const form = (target, fields, headers = {}) => ({
  method: 'POST',
  target,
  headers: { 'content-type': FORM, ...headers },
  body: String(new URLSearchParams(fields)),
});

/** @param {string} client */
const basic = (client) => ({ authorization: `Basic ${btoa(client)}` });

/** @param {Worker} worker @param {Record<string, string>} made @returns {Sent[]} */
function ofPeople(worker, { cookie, login, consent, choice, seal, code, state, victim }) {
  const back = { state, iss: worker.issuer };
  return [
    get('/', { cookie }),
    get('/style.css'),
    get('/healthz'),
    get('/.well-known/oauth-authorization-server'),
    get('/.well-known/openid-configuration'),
    get('/jwks'),
    get('/.well-known/oauth-protected-resource'),
    get(`/authorize?${new URLSearchParams(authorization('demo-web', { scope: 'reports orders.read' }))}`, { cookie }),
    form('/authorize', authorization('demo-spa'), { cookie, origin: worker.issuer }),
    get(`/invoke/pub.oauth/authorize?${new URLSearchParams(authorization('demo-web', { scope: 'reports' }))}`, { cookie }),
    form('/invoke/pub.oauth/authorize', authorization('demo-spa'), { cookie, origin: worker.issuer }),
    form('/login', { pending: login, username: victim, password: 'open-the-doors' }, { cookie }),
    form('/consent', { pending: consent, decision: 'allow', scope: 'reports' }, { cookie, 'sec-fetch-site': 'same-origin' }),
    form('/choose', { pending: choice, account: 'x' }, { cookie }),
    get('/account', { cookie }),
    form('/account', { seal, act: 'withdraw', client: 'demo-web' }, { cookie }),
    form('/account', { seal, act: 'end', session: 'x' }, { cookie }),
    get('/logout?state=x', { cookie }),
    form('/logout', { state: 'x' }, { cookie, origin: worker.issuer }),
    get(`/dev/callback?${new URLSearchParams({ code, ...back })}`, { cookie }),
    get(`/dev/callback?${new URLSearchParams({ error: 'access_denied', ...back })}`, { cookie }),
  ];
}

/** Of this server as a client of another, by connections and servers of its own. @param {Worker} worker @param {string} mark @returns {Promise<Sent[]>} */
async function ofOthers(worker, mark) {
  const authorization = `Bearer ${ADMIN_TOKEN}`;
  const wish = { token_endpoint: 'https://as.example/token', client_id: 'we', client_secret: 'hush' };
  const code = { ...wish, grant_type: 'authorization_code', code: 'theirs', redirect_uri: CALLBACK };
  const refresh = { ...wish, grant_type: 'refresh_token', refresh_token: 'theirs', scope: 'a b' };
  const json = { authorization, 'content-type': 'application/json' };
  const connection = {
    issuer: 'https://as.example', authorization_endpoint: 'https://as.example/authorize?prompt=consent', token_endpoint: 'https://as.example/token',
    client_id: 'we', scope: 'a b', allowed_origins: ['https://api.example'], token_endpoint_auth_method: 'client_secret_post',
  };
  const server = { issuer: 'https://as.example', introspection_endpoint: 'https://as.example/introspect', client_id: 'we', default_scope: 'reports' };
  const [mail, another, back, partner] = ['mail', 'another', 'back', 'partner'].map((name) => `${name}-${mark}`);
  for (const name of [mail, another, back]) await make(worker, '/admin/connections', { ...connection, name });
  /** The address that a browser comes back to. */
  const begin = async (/** @type {string} */ name) => {
    const { body } = await administer(worker, 'POST', `/admin/connections/${name}/authorize`);
    const state = new URL(body.authorization_url).searchParams.get('state');
    return `/external/callback?${new URLSearchParams({ state, code: 'theirs', iss: 'https://as.example' })}`;
  };
  assert.equal((await fetch(`${worker.issuer}${await begin(mail)}`)).status, 200);
  const errand = { connection: mail, method: 'POST', url: 'https://api.example/x?y', headers: { accept: '*/*' }, body: '{}' };
  const send = (/** @type {string} */ method, /** @type {string} */ target, /** @type {object} */ body) => ({ method, target, headers: json, body: JSON.stringify(body) });
  return [
    send('POST', '/admin/connections', { ...connection, name: `${mail}.new` }),
    send('PATCH', `/admin/connections/${mail}`, { scope: 'a', client_secret: 'hush' }),
    send('PUT', `/admin/connections/${mail}`, connection),
    send('POST', `/admin/connections/${mail}/authorize`, {}),
    get(`/admin/connections?q=${mark}&limit=5`, { authorization }),
    get(`/admin/connections/${mail}`, { authorization }),
    get(`/admin/connections/${mail}/token`, { authorization }),
    send('POST', `/admin/connections/${mail}/token`, { refused: 'theirs' }),
    { method: 'DELETE', target: `/admin/connections/${another}`, headers: { authorization }, body: '' },
    get(await begin(back)),
    send('POST', '/admin/external-servers', { ...server, name: partner }),
    send('PATCH', `/admin/external-servers/${partner}`, { username: 'alice', audience: 'x' }),
    send('PUT', `/admin/external-servers/${partner}`, server),
    get(`/admin/oauth/externalserver/${partner}`, { authorization }),
    get('/admin/external-servers?q=p&limit=5', { authorization }),
    get(`/admin/external-servers/${partner}`, { authorization }),
    { method: 'DELETE', target: `/admin/external-servers/${partner}`, headers: { authorization }, body: '' },
    send('POST', '/admin/external/request', errand),
    send('POST', '/invoke/pub.client.oauth/executeRequest', errand),
    { method: 'POST', target: '/admin/external/token', headers: json, body: JSON.stringify(code) },
    form('/invoke/pub.client.oauth:getExternalAccessToken', code, { authorization }),
    { method: 'POST', target: '/invoke/pub.client.oauth/getExternalAccessToken', headers: json, body: JSON.stringify(refresh) },
    get(`/invoke/pub.client.oauth/getExternalAccessToken?${new URLSearchParams(refresh)}`, { authorization }),
  ];
}

/** @param {{ code: string, tokens: any, own: string, told: string }} made @returns {Sent[]} */
function ofClients({ code, tokens, own, told }) {
  return [
    get('/userinfo', { authorization: `Bearer ${told}` }),
    form('/userinfo', { access_token: told }),
    form('/token', { grant_type: 'authorization_code', code, redirect_uri: CALLBACK, code_verifier: VERIFIER }, basic(WEB)),
    form('/token', { grant_type: 'refresh_token', refresh_token: tokens.refresh_token, scope: 'reports' }, basic(WEB)),
    form('/token', { grant_type: 'client_credentials', scope: 'reports' }, basic(MACHINE)),
    form('/token', { grant_type: 'client_credentials', client_id: 'demo-machine', client_secret: 'demo-machine-secret' }),
    form('/invoke/pub.oauth/getToken', { grant_type: 'client_credentials', scope: 'reports' }, basic(MACHINE)),
    form('/invoke/pub.oauth:getAccessToken', { grant_type: 'password', username: 'alice', password: 'wonderland' }, basic('demo-legacy:demo-legacy-secret')),
    {
      method: 'POST',
      target: '/invoke/pub.oauth/introspectToken',
      headers: { ...basic('demo-api:demo-api-secret'), 'content-type': 'application/json' },
      body: JSON.stringify({ token: tokens.access_token }),
    },
    form('/revoke', { token: own, token_type_hint: 'access_token' }, basic(MACHINE)),
    form('/introspect', { token: tokens.access_token }, basic('demo-api:demo-api-secret')),
    form('/introspect', { token: tokens.refresh_token }, basic(WEB)),
    get('/check', { authorization: `Bearer ${tokens.access_token}`, 'x-original-method': 'GET', 'x-original-uri': '/reports/7?x=1' }),
  ];
}

/** @param {string} victim @param {string} grant @param {string} invitation @param {string} kid @returns {Sent[]} */
function ofAdministrators(victim, grant, invitation, kid) {
  const headers = { authorization: `Bearer ${ADMIN_TOKEN}` };
  // Of what nobody else needs: with another method it is the end of it.
  const list = (/** @type {string} */ target) => get(target, headers);
  const write = (/** @type {string} */ method, /** @type {string} */ target, /** @type {object} */ body, more = {}) => ({
    method,
    target,
    headers: { ...headers, 'content-type': 'application/json', ...more },
    body: JSON.stringify(body),
  });
  const metadata = { client_name: victim, redirect_uris: ['https://a.test/cb'], contacts: ['a@b'], scope: victim };
  return [
    get('/admin/openapi.json'),
    list('/admin/clients?limit=2&after=demo-api&q=demo'),
    list(`/admin/clients/${victim}`),
    list('/admin/registration-tokens?limit=2'),
    list(`/admin/registration-tokens/${invitation}`),
    write('POST', '/admin/registration-tokens', { uses: 2, expires_in: 3600, description: 'x' }),
    { ...list(`/admin/registration-tokens/${invitation}`), method: 'DELETE' },
    list('/admin/keys?limit=2&q=ES'),
    list(`/admin/keys/${kid}`),
    write('POST', '/admin/keys', { algorithm: 'ES256' }),
    { ...list(`/admin/keys/${kid}`), method: 'DELETE' },
    list('/admin/scopes?limit=2&after=orders.read&q=r'),
    list(`/admin/scopes/${victim}`),
    list('/admin/users?limit=1&q=a'),
    list(`/admin/users/${victim}`),
    list('/admin/settings'),
    list('/admin/health?limit=3&q=r'),
    list('/admin/grants?client_id=demo-web&username=alice&scope=reports&limit=1'),
    list(`/admin/grants/${encodeURIComponent(grant)}`),
    { ...list(`/admin/grants/${encodeURIComponent(grant)}`), method: 'DELETE' },
    { ...list(`/admin/scopes/${victim}.doomed`), method: 'DELETE', headers: { ...headers, 'if-match': '*' } },
    write('POST', '/admin/clients', { ...metadata, client_name: `${victim} new` }),
    write('PATCH', `/admin/clients/${victim}`, { description: 'x', refresh_count: null, strict: true }, { 'if-match': '*' }),
    write('PUT', `/admin/clients/${victim}`, { ...metadata, client_id: victim }, { 'if-match': '*' }),
    write('POST', `/admin/clients/${victim}/secret`, { overlap_seconds: 60 }),
    { ...list(`/admin/clients/${victim}.doomed`), method: 'DELETE', headers: { ...headers, 'if-match': '*' } },
    { ...list(`/admin/grants?client_id=${victim}`), method: 'DELETE' },
    write('POST', '/admin/scopes', { name: `${victim}.new`, description: 'New' }),
    write('PUT', `/admin/scopes/${victim}`, { name: victim, description: 'Another' }),
    write('PATCH', `/admin/scopes/${victim}`, { description: 'Other' }, { 'if-match': '*' }),
    write('POST', '/admin/users', { username: `${victim}-too`, password: 'open-the-doors', groups: ['x'], claims: { name: 'D' } }),
    write('PATCH', `/admin/users/${victim}`, { groups: ['x'], claims: { name: null, address: { locality: 'Oxford' } } }),
    write('PUT', `/admin/users/${victim}`, { groups: ['y'], claims: { name: 'D' } }),
    { ...list(`/admin/users/${victim}.doomed`), method: 'DELETE' },
    get('/admin/audit?limit=3&q=a', { ...headers, accept: 'application/jsonl' }),
    write('PATCH', '/admin/settings', { 'log.successPercent': 100 }),
  ];
}
