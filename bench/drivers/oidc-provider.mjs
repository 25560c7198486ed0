// `oidc-provider`, as `peers/oidc-provider.mjs` sets it up.

import { CALLBACK, CHALLENGE, Jar, VERIFIER, basic, codeOf, demand, form, location, member } from './form.mjs';

/**
 * @typedef {import('../drivers.mjs').Site} Site @typedef {import('../drivers.mjs').Scenario} Scenario
 * @typedef {import('../connection.mjs').Request} Request @typedef {import('../connection.mjs').Answer} Answer
 */

const WEB = basic('web', 'web-secret');
const MACHINE = basic('machine', 'machine-secret');
const API = basic('api', 'api-secret');
const BROWSERS = 64;
const TOKENS = 512;

const ASK = `/auth?${new URLSearchParams({
  response_type: 'code',
  client_id: 'web',
  redirect_uri: CALLBACK,
  scope: 'orders.read orders.write',
  state: 'a state',
  code_challenge: CHALLENGE,
  code_challenge_method: 'S256',
})}`;
/** The page is shown whatever was allowed before. */
const ASK_AGAIN = `${ASK}&prompt=consent`;

/** @param {string} code */
const redeem = (code) =>
  form('/token', { grant_type: 'authorization_code', code, redirect_uri: CALLBACK, code_verifier: VERIFIER }, WEB);

/** The path that a redirect leads to on the same server. @param {Answer} answer */
function next(answer) {
  const { pathname, search } = new URL(location(answer), 'http://localhost');
  return `${pathname}${search}`;
}

/**
 * From the request to the code, through every page that is shown.
 * @param {Jar} jar @param {string} ask @param {string} person
 * @returns {Generator<Request, string, Answer>}
 */
function* allow(jar, ask, person) {
  const browse = function* (/** @type {Request} */ request) {
    return jar.keep(yield { ...request, headers: { ...request.headers, ...jar.headers } });
  };
  let answer = yield* browse({ path: ask });
  while (!location(answer).startsWith(CALLBACK)) {
    const path = next(answer);
    if (path.startsWith('/interaction/')) {
      demand(yield* browse({ path }), 200, '<form');
      answer = yield* browse(form(path, { person }));
    } else {
      answer = yield* browse({ path });
    }
  }
  return codeOf(answer);
}

/** @param {Site} site @returns {Promise<Jar[]>} */
function signIn(site) {
  return site.many(BROWSERS, async (at, send) => {
    const jar = new Jar();
    const flow = allow(jar, ASK, `person-${at % 8}`);
    let step = flow.next();
    while (!step.done) step = flow.next(await send(step.value));
    return jar;
  });
}

/** @param {Site} site @param {Jar[]} browsers @param {number} count */
function makeCodes(site, browsers, count) {
  return site.many(count, async (at, send) => {
    const { headers } = browsers[at % browsers.length];
    return codeOf(await send({ path: ASK, headers }));
  });
}

/** @param {Site} site @param {number} count */
async function makeTokens(site, count) {
  const codes = await makeCodes(site, await signIn(site), count);
  return site.many(count, async (at, send) => {
    const answer = await send(redeem(codes[at]));
    return { access: member(answer, 'access_token'), refresh: member(answer, 'refresh_token') };
  });
}

/** @type {Record<string, Scenario>} */
export const scenarios = {
  client_credentials: {
    * unit() {
      demand(yield form('/token', { grant_type: 'client_credentials', scope: 'reports' }, MACHINE), 200, '"access_token":"');
    },
  },
  client_credentials_jwt: {
    * unit() {
      const fields = { grant_type: 'client_credentials', scope: 'reports', resource: 'https://api.example/' };
      demand(yield form('/token', fields, MACHINE), 200, '"access_token":"ey');
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
  refresh: {
    prepare: (site) => makeTokens(site, BROWSERS),
    * unit({ material }, hand) {
      const family = material[hand];
      const answer = yield form('/token', { grant_type: 'refresh_token', refresh_token: family.refresh }, WEB);
      demand(answer, 200);
      family.refresh = member(answer, 'refresh_token');
    },
  },
  introspection: {
    prepare: async (site) => ({ tokens: await makeTokens(site, TOKENS), next: 0 }),
    * unit({ material }) {
      const { access } = material.tokens[material.next++ % TOKENS];
      demand(yield form('/token/introspection', { token: access }, API), 200, '"active":true');
    },
  },
  whole_flow: {
    prepare: signIn,
    * unit({ material }, hand) {
      const code = yield* allow(material[hand], ASK_AGAIN, '');
      demand(yield redeem(code), 200, '"refresh_token":"');
    },
  },
  metadata: {
    * unit() {
      demand(yield { path: '/.well-known/openid-configuration' }, 200, '"token_endpoint"');
    },
  },
};
