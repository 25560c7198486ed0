// What is asked of the systems, and what each scenario is to show. `docs/benchmark.md` is made of this table.

/**
 * @typedef {object} Scenario
 * @property {string} title
 * @property {string} about what a unit is
 * @property {string} [floor] the one that does as much as the answer cannot do without
 * @property {string[]} peers that have it
 * @property {Record<string, number>} [units] at most, by concurrency: each uses up something that was made beforehand
 */

const OAUTH = 'workers-oauth-provider';
const [MAP, SQLITE] = ['oidc-provider', 'oidc-provider-sqlite'];
/** A code lives for a minute, and making one takes longer than redeeming it. */
const CODES = { 1: 300, 16: 800, 64: 800 };

/** @type {Record<string, Scenario>} */
export const SCENARIOS = {
  client_credentials: {
    title: 'client_credentials, opaque',
    about: 'a machine gets an opaque access token with its secret',
    floor: 'floor_a',
    peers: [MAP, SQLITE],
  },
  client_credentials_jwt: {
    title: 'client_credentials, JWT',
    about: 'the same, signed with ES256',
    floor: 'floor_a',
    peers: [MAP, SQLITE],
  },
  code_exchange: {
    title: 'code exchange',
    about: 'a code that was made beforehand is redeemed with PKCE and a secret: access and refresh token',
    floor: 'floor_b',
    peers: [OAUTH, MAP, SQLITE],
    units: CODES,
  },
  refresh: {
    title: 'refresh',
    about: 'chains: each refresh uses the token that the one before gave',
    floor: 'floor_b',
    peers: [OAUTH, MAP, SQLITE],
  },
  introspection: {
    title: 'introspection',
    about: 'a resource server asks about one of 512 live tokens, each of a grant of its own',
    floor: 'floor_c',
    peers: [MAP, SQLITE],
  },
  check: {
    title: '`/check`',
    about: 'a proxy asks whether a request with one of 512 live tokens may pass',
    floor: 'floor_c',
    peers: [OAUTH],
  },
  whole_flow: {
    title: 'whole flow',
    about: 'a browser that is signed in asks, allows on the page, and the client redeems the code; one unit is all of it',
    peers: [OAUTH, MAP, SQLITE],
  },
  metadata: {
    title: 'metadata',
    about: 'the discovery document',
    floor: 'floor_a',
    peers: [OAUTH, MAP, SQLITE],
  },
};

/**
 * How many live grants lie in one shard, and how many of them, spread over all, are refreshed and asked about meanwhile. The first
 * three differ in nothing but what lies beside those that are used; the last in that more are used than an object remembers.
 * @type {Record<string, { grants: number, used: number }>}
 */
export const GROWTH = {
  growth_1k: { grants: 1000, used: 1000 },
  growth_100k: { grants: 100_000, used: 1000 },
  growth_1m: { grants: 1_000_000, used: 1000 },
  growth_1m_spread: { grants: 1_000_000, used: 20_000 },
};

/** Over how many shards, all on this machine, the same refreshes are spread. @type {Record<string, number>} */
export const SHARDS = { shards_1: 1, shards_8: 8 };

/** Among how many clients the one that asks is drawn. @type {Record<string, number>} */
export const CLIENTS = { clients_10: 10, clients_10k: 10_000 };

/** What is asked of the administration, by scenario; the first asks nothing of anybody. */
export const PAGES = {
  admin_floor: '/healthz',
  admin_list: '/admin/clients?limit=50',
  admin_page: '/admin/clients?limit=50&after=bench-05000',
  admin_search_one: '/admin/clients?limit=50&q=bench-09999',
  admin_search_none: '/admin/clients?limit=50&q=nobody-is-called-so',
};

/** @param {string} scenario @returns {string[]} the systems that have it, Edgemint first */
export function systemsOf(scenario) {
  const { floor, peers } = SCENARIOS[scenario];
  return ['edgemint', ...(floor ? [floor] : []), ...peers];
}
