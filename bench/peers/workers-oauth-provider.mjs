// The peer `@cloudflare/workers-oauth-provider`: a Worker as its documentation shows for one that is authorization server and
// resource at once. It is a library, and signing people in is left to whoever uses it: here nobody signs in, and the page asks
// no more than whether to allow it. Grants of one person and client stand beside each other, as they do in Edgemint.

import { env } from 'cloudflare:workers';
import { OAuthProvider } from './oauth-provider.js';

const CALLBACK = 'http://127.0.0.1:9999/callback';

/** @param {Request} request @param {any} helpers */
async function authorize(request, helpers) {
  const asked = await helpers.parseAuthRequest(request);
  if (request.method === 'GET') {
    const client = await helpers.lookupClient(asked.clientId);
    const page = `<!doctype html><title>${client.clientName}</title><form method="post"><button>Allow</button></form>`;
    return new Response(page, { headers: { 'content-type': 'text/html' } });
  }
  const person = new URLSearchParams(await request.text()).get('person');
  const { redirectTo } = await helpers.completeAuthorization({
    request: asked,
    userId: person,
    metadata: {},
    scope: asked.scope,
    props: { username: person, groups: ['orders-staff'] },
    revokeExistingGrants: false,
  });
  return new Response(null, { status: 302, headers: { location: redirectTo } });
}

const provider = new OAuthProvider({
  apiRoute: '/check',
  // What a proxy is told at `/check` of Edgemint.
  apiHandler: {
    /** @param {Request} _ @param {any} __ @param {any} context */
    async fetch(_, __, { props, auth }) {
      const headers = { 'x-auth-subject': auth.userId, 'x-auth-username': props.username, 'x-auth-client': auth.clientId, 'x-auth-scope': auth.scope.join(' '), 'x-auth-groups': props.groups.join(',') };
      return new Response(null, { headers });
    },
  },
  defaultHandler: {
    /** @param {Request} request @param {any} bindings */
    async fetch(request, bindings) {
      const helpers = bindings.OAUTH_PROVIDER;
      switch (new URL(request.url).pathname) {
        case '/authorize':
          return authorize(request, helpers);
        case '/client':
          return Response.json(await helpers.createClient({ clientName: 'Demo', redirectUris: [CALLBACK], tokenEndpointAuthMethod: 'client_secret_basic' }));
        default:
          return new Response(null, { status: 404 });
      }
    },
  },
  authorizeEndpoint: '/authorize',
  tokenEndpoint: '/token',
  scopesSupported: ['orders.read', 'orders.write', 'reports'],
  accessTokenTTL: 3600,
  resourceMetadata: { resource: `${env.ORIGIN}/check`, authorization_servers: [env.ORIGIN] },
});

/** How each operation of KV is billed. */
const KINDS = { get: 'KV reads', getWithMetadata: 'KV reads', put: 'KV writes', delete: 'KV deletes', list: 'KV lists' };

/** The same, with its operations of KV counted: `/counts` tells them, and begins again. @param {any} own */
function counting(own) {
  /** @type {Record<string, number>} */
  let counts = {};
  const watched = (/** @type {any} */ kv) => new Proxy(kv, {
    get(target, name) {
      if (!(name in KINDS)) return Reflect.get(target, name);
      return (/** @type {any[]} */ ...values) => {
        const kind = KINDS[/** @type {keyof KINDS} */ (name)];
        counts[kind] = (counts[kind] ?? 0) + 1;
        return target[name](...values);
      };
    },
  });
  return {
    /** @param {Request} request @param {any} bindings @param {any} context */
    async fetch(request, bindings, context) {
      if (new URL(request.url).pathname === '/counts') {
        const told = Response.json(counts);
        counts = {};
        return told;
      }
      return own.fetch(request, { ...bindings, OAUTH_KV: watched(bindings.OAUTH_KV) }, context);
    },
  };
}

export default env.COUNTED ? counting(provider) : provider;
