// `@cloudflare/workers-oauth-provider`, as `peers/workers-oauth-provider.mjs` sets it up.

import { CALLBACK, CHALLENGE, VERIFIER, basic, codeOf, demand, form, member } from './form.mjs';

/**
 * @typedef {import('../drivers.mjs').Site} Site @typedef {import('../drivers.mjs').Scenario} Scenario
 * @typedef {import('../connection.mjs').Request} Request @typedef {import('../connection.mjs').Answer} Answer
 */

const FAMILIES = 64;
const TOKENS = 512;

/** A client of its own, and the address that asks for it. @param {Site} site */
async function makeClient(site) {
  const { clientId, clientSecret } = JSON.parse((await site.send({ path: '/client' })).text);
  const asked = new URLSearchParams({
    response_type: 'code',
    client_id: clientId,
    redirect_uri: CALLBACK,
    scope: 'orders.read orders.write',
    state: 'a state',
    code_challenge: CHALLENGE,
    code_challenge_method: 'S256',
  });
  return { ask: `/authorize?${asked}`, credentials: basic(clientId, clientSecret), codes: [], tokens: [], next: 0 };
}

/** @param {string} ask @param {number} person @returns {Request} */
const allow = (ask, person) => form(ask, { person: `person-${person % 8}` });
/** @param {any} material @param {string} code */
const redeem = ({ credentials }, code) =>
  form('/token', { grant_type: 'authorization_code', code, redirect_uri: CALLBACK, code_verifier: VERIFIER }, credentials);

/** @param {Site} site @param {any} material @param {number} count */
const makeCodes = (site, material, count) => site.many(count, async (at, send) => codeOf(await send(allow(material.ask, at))));

/** @param {Site} site @param {number} count */
async function withTokens(site, count) {
  const material = await makeClient(site);
  const codes = await makeCodes(site, material, count);
  material.tokens = await site.many(count, async (at, send) => {
    const answer = await send(redeem(material, codes[at]));
    return { access: member(answer, 'access_token'), refresh: member(answer, 'refresh_token') };
  });
  return material;
}

/** @type {Record<string, Scenario>} */
export const scenarios = {
  code_exchange: {
    prepare: makeClient,
    async supply(site, units) {
      site.material.codes = await makeCodes(site, site.material, units);
    },
    * unit({ material }) {
      demand(yield redeem(material, material.codes.pop()), 200, '"refresh_token":"');
    },
  },
  refresh: {
    prepare: (site) => withTokens(site, FAMILIES),
    * unit({ material }, hand) {
      const family = material.tokens[hand];
      const answer = yield form('/token', { grant_type: 'refresh_token', refresh_token: family.refresh }, material.credentials);
      demand(answer, 200);
      family.refresh = member(answer, 'refresh_token');
    },
  },
  check: {
    prepare: (site) => withTokens(site, TOKENS),
    * unit({ material }) {
      const { access } = material.tokens[material.next++ % TOKENS];
      const headers = { authorization: `Bearer ${access}`, 'x-original-method': 'GET', 'x-original-uri': '/orders/17' };
      demand(yield { path: '/check', headers }, 200);
    },
  },
  whole_flow: {
    prepare: makeClient,
    * unit({ material }, hand) {
      demand(yield { path: material.ask }, 200, '<form');
      const code = codeOf(yield allow(material.ask, hand));
      demand(yield redeem(material, code), 200, '"refresh_token":"');
    },
  },
  metadata: {
    * unit() {
      demand(yield { path: '/.well-known/oauth-authorization-server' }, 200, '"token_endpoint"');
    },
  },
};
