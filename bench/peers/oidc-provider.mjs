// The peer `oidc-provider`, as its documentation configures it for production: interactions of its own, clients, keys, a
// store. What it is asked is what Edgemint is asked: PKCE, refresh tokens that rotate, opaque access tokens, and signed ones
// for one resource. Beside the protocol it does nothing: no line of a log, no password.
//
// PORT: where it listens, on loopback. STORE: a file of SQLite, or nothing for a Map.

import { createServer } from 'node:http';
import { text } from 'node:stream/consumers';
import { exportJWK, generateKeyPair } from 'jose';
import Provider from 'oidc-provider';
import { open } from './store.mjs';

const { PORT, STORE } = process.env;
const CALLBACK = 'http://127.0.0.1:9999/callback';
/** Whose access tokens are signed. */
const RESOURCE = 'https://api.example/';
const SCOPES = 'orders.read orders.write reports';

const { privateKey } = await generateKeyPair('ES256', { extractable: true });
const provider = new Provider(`http://localhost:${PORT}`, {
  adapter: open(STORE),
  jwks: { keys: [{ ...(await exportJWK(privateKey)), alg: 'ES256', use: 'sig', kid: 'one' }] },
  cookies: { keys: ['a key that signs cookies, of 43 characters.'] },
  scopes: ['openid', 'offline_access', ...SCOPES.split(' ')],
  clients: [
    {
      client_id: 'web',
      client_secret: 'web-secret',
      redirect_uris: [CALLBACK],
      grant_types: ['authorization_code', 'refresh_token'],
      scope: `openid offline_access ${SCOPES}`,
      id_token_signed_response_alg: 'ES256',
    },
    {
      client_id: 'machine',
      client_secret: 'machine-secret',
      redirect_uris: [],
      response_types: [],
      grant_types: ['client_credentials'],
      scope: SCOPES,
      id_token_signed_response_alg: 'ES256',
    },
    {
      client_id: 'api',
      client_secret: 'api-secret',
      redirect_uris: [],
      response_types: [],
      grant_types: [],
      id_token_signed_response_alg: 'ES256',
    },
  ],
  // As Edgemint: whoever may refresh gets a token for it, and each refresh a new one.
  issueRefreshToken: async (_, client) => client.grantTypeAllowed('refresh_token'),
  rotateRefreshToken: true,
  ttl: { AuthorizationCode: 600, AccessToken: 3600, ClientCredentials: 3600, RefreshToken: 30 * 86_400, Grant: 90 * 86_400, Session: 8 * 3600, Interaction: 1800 },
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    introspection: { enabled: true },
    resourceIndicators: {
      enabled: true,
      // Where none is asked for the token is opaque.
      defaultResource: async () => [],
      getResourceServerInfo: async () => ({
        scope: SCOPES,
        audience: RESOURCE,
        accessTokenTTL: 3600,
        accessTokenFormat: 'jwt',
        jwt: { sign: { alg: 'ES256' } },
      }),
    },
  },
  findAccount: async (_, sub) => ({ accountId: sub, claims: async () => ({ sub }) }),
  interactions: { url: (_, { uid }) => `/interaction/${uid}` },
});

/** @param {any} prompt @param {any} params @param {string} accountId the person, once they are known @param {string | undefined} grantId what they allowed before */
async function decide(prompt, params, accountId, grantId) {
  if (prompt.name === 'login') return { login: { accountId } };
  const grant = grantId ? await provider.Grant.find(grantId) : new provider.Grant({ accountId, clientId: params.client_id });
  grant.addOIDCScope(params.scope);
  return { consent: { grantId: await grant.save() } };
}

const callback = provider.callback();
const server = createServer(async (request, response) => {
  if (!request.url.startsWith('/interaction/')) {
    callback(request, response);
    return;
  }
  const { prompt, params, session, grantId } = await provider.interactionDetails(request, response);
  if (request.method === 'GET') {
    const page = `<!doctype html><title>${prompt.name}</title><form method="post"><button name="prompt" value="${prompt.name}">Allow</button></form>`;
    response.writeHead(200, { 'content-type': 'text/html' }).end(page);
    return;
  }
  const person = new URLSearchParams(await text(request)).get('person');
  const result = await decide(prompt, params, session?.accountId ?? person, grantId);
  await provider.interactionFinished(request, response, result, { mergeWithLastSubmission: true });
});
// While others have their turn its connections are idle for longer than Node would let them.
server.keepAliveTimeout = 0;
server.listen(Number(PORT), '127.0.0.1');
