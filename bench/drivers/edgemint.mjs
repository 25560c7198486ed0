// Edgemint, with its development data: the clients are those of README.md.

import { CALLBACK, CHALLENGE, Jar, VERIFIER, basic, codeOf, demand, field, form, member } from './form.mjs';
import { PAGES } from '../scenarios.mjs';

/**
 * @typedef {import('../drivers.mjs').Site} Site @typedef {import('../drivers.mjs').Scenario} Scenario
 * @typedef {import('../connection.mjs').Request} Request @typedef {import('../connection.mjs').Answer} Answer
 */

const WEB = basic('demo-web', 'demo-web-secret');
const MACHINE = basic('demo-machine', 'demo-machine-secret');
const API = basic('demo-api', 'demo-api-secret');
/** People, each with some of the browsers. */
const PEOPLE = 8;
/** Browsers that are signed in: one for each hand. */
const BROWSERS = 64;
/** Tokens that are asked about. */
const TOKENS = 512;

const AUTHORIZATION = String(new URLSearchParams({
  response_type: 'code',
  client_id: 'demo-web',
  redirect_uri: CALLBACK,
  scope: 'orders.read orders.write',
  state: 'a state',
  code_challenge: CHALLENGE,
  code_challenge_method: 'S256',
}));
const ASK = `/authorize?${AUTHORIZATION}`;
/** The page is shown whatever was allowed before. */
const ASK_AGAIN = `${ASK}&prompt=consent`;

/** @param {string} code */
const redeem = (code) =>
  form('/token', { grant_type: 'authorization_code', code, redirect_uri: CALLBACK, code_verifier: VERIFIER }, WEB);
/** @param {string} token */
const refresh = (token) => form('/token', { grant_type: 'refresh_token', refresh_token: token }, WEB);

/** @typedef {(request: Request) => Promise<Answer>} Send */

/** An administrator's request. @param {Site} site @param {string} method @param {string} path @param {object} body @returns {Request} */
export function administer(site, method, path, body) {
  const headers = { authorization: `Bearer ${site.given.adminToken}`, 'content-type': 'application/json' };
  return { method, path, headers, body: JSON.stringify(body) };
}

/**
 * How many shards a region has: one, as the floor has one object and a peer one file. `shards_8` says what more cost here.
 * @param {Site} site
 */
async function divide(site) {
  const settings = { 'grants.shardsPerRegion': site.given.shards ?? 1 };
  demand(await site.send(administer(site, 'PATCH', '/admin/settings', settings)), 200);
}

/** Browsers whose people are signed in, and have allowed the client what it asks. @param {Site} site @returns {Promise<Jar[]>} */
async function signIn(site) {
  await divide(site);
  await site.many(PEOPLE, async (at, send) => {
    const body = { username: `person-${at}`, password: 'a password of a person', groups: ['orders-staff'] };
    const answer = await send(administer(site, 'POST', '/admin/users', body));
    // Those of an earlier slice are there.
    if (answer.status !== 409) demand(answer, 201);
  });
  // Few at a time: a password takes its time, and what waits too long is given up.
  return site.many(BROWSERS, async (at, send) => {
    const jar = new Jar();
    const browse = async (/** @type {Request} */ request) =>
      jar.keep(await send({ ...request, headers: { ...request.headers, ...jar.headers } }));
    const page = await browse({ path: ASK_AGAIN });
    const sign = { pending: field(page, 'pending'), username: `person-${at % PEOPLE}`, password: 'a password of a person' };
    const asked = await browse(form('/login', sign));
    codeOf(await browse(form('/consent', { pending: field(asked, 'pending'), decision: 'all' })));
    return jar;
  }, 2);
}

/** Codes for people who allowed it before: one request each. @param {Site} site @param {Jar[]} browsers @param {number} count */
function makeCodes(site, browsers, count) {
  return site.many(count, async (at, send) => codeOf(await send({ path: ASK, headers: browsers[at % browsers.length].headers })));
}

/** @param {Site} site @param {number} count @returns {Promise<{ access: string, refresh: string }[]>} each of a grant of its own */
async function makeTokens(site, count) {
  const codes = await makeCodes(site, await signIn(site), count);
  return site.many(count, async (at, send) => {
    const answer = await send(redeem(codes[at]));
    return { access: member(answer, 'access_token'), refresh: member(answer, 'refresh_token') };
  });
}

/** @type {Scenario} */
const clientCredentials = {
  * unit() {
    const answer = yield form('/token', { grant_type: 'client_credentials', scope: 'reports' }, MACHINE);
    demand(answer, 200, '"access_token":"');
  },
};

/** A refresh, and what comes of it. @param {{ refresh: string }} family @returns {Generator<Request, void, Answer>} */
function* rotate(family) {
  const answer = yield refresh(family.refresh);
  demand(answer, 200);
  family.refresh = member(answer, 'refresh_token');
}

/** @param {string} token @returns {Generator<Request, void, Answer>} */
function* inspect(token) {
  const answer = yield form('/introspect', { token }, API);
  demand(answer, 200, '"active":true');
}

/** Between rows that nobody asks about: a refresh and an introspection in turn, each of a grant drawn at random. @type {Scenario} */
const growth = {
  async prepare(site) {
    return { families: site.given.families, turn: 0 };
  },
  unit({ material }) {
    const family = material.families[Math.floor(Math.random() * material.families.length)];
    material.turn += 1;
    // One hand at a time: a token that two hands use at once would be a replay.
    if (material.turn % 2 === 0 || family.busy) return inspect(family.access);
    family.busy = true;
    return rotateAlone(family);
  },
};

/** @param {{ refresh: string, busy: boolean }} family @returns {Generator<Request, void, Answer>} */
function* rotateAlone(family) {
  yield* rotate(family);
  family.busy = false;
}

/** @type {Scenario} */
const refreshes = {
  prepare: (site) => makeTokens(site, BROWSERS),
  unit: ({ material }, hand) => rotate(material[hand]),
};

/** Clients by the number: which one asks is drawn. @type {Scenario} */
const clients = {
  * unit(site) {
    const { id, secret } = site.given.clients[Math.floor(Math.random() * site.given.clients.length)];
    demand(yield form('/token', { grant_type: 'client_credentials', scope: 'reports' }, basic(id, secret)), 200, '"access_token":"');
  },
};

/** An administrator's page. @param {string} path @returns {Scenario} */
const page = (path) => ({
  * unit(site) {
    demand(yield { path, headers: { authorization: `Bearer ${site.given.adminToken}` } }, 200);
  },
});

/** @type {Record<string, Scenario>} */
export const scenarios = {
  client_credentials: clientCredentials,
  client_credentials_jwt: {
    async prepare(site) {
      demand(await site.send(administer(site, 'PATCH', '/admin/clients/demo-machine', { access_token_format: 'jwt' })), 200);
    },
    * unit(site, hand) {
      yield* clientCredentials.unit(site, hand);
    },
  },
  code_exchange: {
    prepare: async (site) => ({ browsers: await signIn(site), codes: [] }),
    async supply(site, units) {
      site.material.codes = await makeCodes(site, site.material.browsers, units);
    },
    * unit({ material }) {
      demand(yield redeem(material.codes.pop()), 200, '"refresh_token":"');
    },
  },
  refresh: refreshes,
  introspection: {
    prepare: async (site) => ({ tokens: await makeTokens(site, TOKENS), next: 0 }),
    unit: ({ material }) => inspect(material.tokens[material.next++ % TOKENS].access),
  },
  check: {
    prepare: async (site) => ({ tokens: await makeTokens(site, TOKENS), next: 0 }),
    * unit({ material }) {
      const { access } = material.tokens[material.next++ % TOKENS];
      const headers = { authorization: `Bearer ${access}`, 'x-original-method': 'GET', 'x-original-uri': '/orders/17' };
      const answer = yield { path: '/check', headers };
      demand(answer, 200);
    },
  },
  whole_flow: {
    prepare: signIn,
    * unit({ material }, hand) {
      const { headers } = material[hand];
      const page = yield { path: ASK_AGAIN, headers };
      const allowed = yield form('/consent', { pending: field(page, 'pending'), decision: 'all' }, headers);
      demand(yield redeem(codeOf(allowed)), 200, '"refresh_token":"');
    },
  },
  metadata: {
    * unit() {
      demand(yield { path: '/.well-known/oauth-authorization-server' }, 200, '"token_endpoint"');
    },
  },
  shards_1: refreshes,
  shards_8: refreshes,
  growth_1k: growth,
  growth_100k: growth,
  growth_1m: growth,
  growth_1m_spread: growth,
  clients_10: clients,
  clients_10k: clients,
  ...Object.fromEntries(Object.entries(PAGES).map(([name, path]) => [name, page(path)])),
};
