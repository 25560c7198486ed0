// Standard client libraries, unmodified, doing what their documentation shows.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import * as oauth from 'oauth4webapi';
import * as client from 'openid-client';
import { Person } from './person.mjs';
import { Worker } from './worker.mjs';

const CALLBACK = 'http://127.0.0.1:9999/callback';
const SPA = 'http://127.0.0.1:9999/spa';
const insecure = { [oauth.allowInsecureRequests]: true };

/** @type {Worker} */
let worker;

before(async () => {
  worker = await Worker.start();
});

after(() => worker.stop());

/** What a person's browser is sent back to, after they allowed all. @param {URL} url of the authorization request */
async function allow(url) {
  const person = new Person(worker);
  const { status, location, text } = await person.decide(await person.signIn(await person.send(url.pathname + url.search)));
  assert.equal(status, 303, text);
  return location;
}

describe('openid-client', () => {
  /** @param {string} id @param {client.ClientAuth} authentication */
  const discover = (id, authentication) =>
    client.discovery(new URL(worker.issuer), id, undefined, authentication, {
      algorithm: 'oauth2',
      execute: [client.allowInsecureRequests],
    });

  /** @param {client.Configuration} configuration @param {string} redirectUri @param {string} [scope] */
  async function obtainTokens(configuration, redirectUri, scope) {
    const verifier = client.randomPKCECodeVerifier();
    const state = client.randomState();
    const url = client.buildAuthorizationUrl(configuration, {
      redirect_uri: redirectUri,
      state,
      code_challenge: await client.calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
      ...(scope && { scope }),
    });
    const checks = { pkceCodeVerifier: verifier, expectedState: state };
    return client.authorizationCodeGrant(configuration, await allow(url), checks);
  }

  for (const [name, id, authentication, redirectUri] of [
    ['a confidential client with its secret in the header', 'demo-web', client.ClientSecretBasic('demo-web-secret'), CALLBACK],
    ['a confidential client with its secret in the body', 'demo-web', client.ClientSecretPost('demo-web-secret'), CALLBACK],
    ['a public client', 'demo-spa', client.None(), SPA],
  ]) {
    test(`${name} gets tokens, refreshes them, and revokes them`, async () => {
      const configuration = await discover(id, authentication);
      const api = await discover('demo-api', client.ClientSecretBasic('demo-api-secret'));
      const tokens = await obtainTokens(configuration, redirectUri, 'orders.read reports');
      assert.equal(tokens.token_type, 'bearer');
      assert.equal(tokens.expires_in, 3600);
      assert.equal(tokens.scope, 'orders.read reports');

      const about = await client.tokenIntrospection(api, tokens.access_token);
      assert.equal(about.active, true);
      assert.equal(about.iss, worker.issuer);
      assert.equal(about.client_id, id);
      assert.equal(about.username, 'alice');
      assert.equal(about.scope, 'orders.read reports');
      assert.equal(about.exp - about.iat, 3600);

      const refreshed = await client.refreshTokenGrant(configuration, tokens.refresh_token, { scope: 'reports' });
      assert.equal(refreshed.scope, 'reports');
      assert.notEqual(refreshed.refresh_token, tokens.refresh_token);
      assert.notEqual(refreshed.access_token, tokens.access_token);

      await client.tokenRevocation(configuration, refreshed.refresh_token);
      for (const token of [tokens.access_token, refreshed.access_token]) {
        assert.deepEqual(await client.tokenIntrospection(api, token), { active: false });
      }
      await assert.rejects(client.refreshTokenGrant(configuration, refreshed.refresh_token), (error) => {
        assert.equal(error.error, 'invalid_grant');
        assert.equal(error.status, 400);
        return true;
      });
    });
  }

  test('a machine gets a token of its own', async () => {
    const configuration = await discover('demo-machine', client.ClientSecretBasic('demo-machine-secret'));
    const tokens = await client.clientCredentialsGrant(configuration, { scope: 'reports' });
    assert.equal(tokens.scope, 'reports');
    assert.equal(tokens.refresh_token, undefined);
    const api = await discover('demo-api', client.ClientSecretPost('demo-api-secret'));
    const { active, sub, client_id } = await client.tokenIntrospection(api, tokens.access_token);
    assert.deepEqual({ active, sub, client_id }, { active: true, sub: 'demo-machine', client_id: 'demo-machine' });
    await client.tokenRevocation(configuration, tokens.access_token);
    assert.deepEqual(await client.tokenIntrospection(api, tokens.access_token), { active: false });
  });

  test('a wrong secret is told with a challenge', async () => {
    const configuration = await discover('demo-machine', client.ClientSecretBasic('not-the-secret'));
    await assert.rejects(client.clientCredentialsGrant(configuration), (error) => {
      assert(error instanceof client.WWWAuthenticateChallengeError, String(error));
      assert.equal(error.status, 401);
      assert.equal(error.cause[0].scheme, 'basic');
      return true;
    });
  });

  test('a denial reaches the client as the error it is', async () => {
    const configuration = await discover('demo-web', client.ClientSecretBasic('demo-web-secret'));
    const verifier = client.randomPKCECodeVerifier();
    const url = client.buildAuthorizationUrl(configuration, {
      redirect_uri: CALLBACK,
      state: 'of the client',
      code_challenge: await client.calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
    });
    const person = new Person(worker);
    const page = await person.signIn(await person.send(url.pathname + url.search));
    const { location } = await person.decide(page, 'deny');
    const checks = { pkceCodeVerifier: verifier, expectedState: 'of the client' };
    await assert.rejects(client.authorizationCodeGrant(configuration, location, checks), (error) => {
      assert(error instanceof client.AuthorizationResponseError, String(error));
      assert.equal(error.error, 'access_denied');
      return true;
    });
  });
});

describe('oauth4webapi', () => {
  const web = { client_id: 'demo-web' };
  const secret = oauth.ClientSecretBasic('demo-web-secret');

  async function discover() {
    const issuer = new URL(worker.issuer);
    const response = await oauth.discoveryRequest(issuer, { algorithm: 'oauth2', ...insecure });
    return oauth.processDiscoveryResponse(issuer, response);
  }

  /** @param {string} verifier @param {string} state @param {Record<string, string>} [more] */
  async function ask(verifier, state, more = {}) {
    const url = new URL('/authorize', worker.issuer);
    url.search = String(
      new URLSearchParams({
        client_id: web.client_id,
        redirect_uri: CALLBACK,
        response_type: 'code',
        state,
        code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
        code_challenge_method: 'S256',
        ...more,
      }),
    );
    return url;
  }

  test('a code is exchanged, refreshed and revoked', async () => {
    const as = await discover();
    const verifier = oauth.generateRandomCodeVerifier();
    const state = oauth.generateRandomState();
    const callback = await allow(await ask(verifier, state));
    const parameters = oauth.validateAuthResponse(as, web, callback, state);
    const response = await oauth.authorizationCodeGrantRequest(as, web, secret, parameters, CALLBACK, verifier, insecure);
    const tokens = await oauth.processAuthorizationCodeResponse(as, web, response);
    assert.equal(tokens.scope, 'orders.read orders.write reports');

    const again = await oauth.refreshTokenGrantRequest(as, web, secret, tokens.refresh_token, insecure);
    const refreshed = await oauth.processRefreshTokenResponse(as, web, again);
    assert.notEqual(refreshed.refresh_token, tokens.refresh_token);

    const revocation = await oauth.revocationRequest(as, web, secret, refreshed.refresh_token, insecure);
    assert.equal(await oauth.processRevocationResponse(revocation), undefined);
    const asked = await oauth.introspectionRequest(as, web, secret, refreshed.access_token, insecure);
    assert.deepEqual(await oauth.processIntrospectionResponse(as, web, asked), { active: false });
  });

  test('an answer carries the issuer, and one that names another is noticed', async () => {
    const as = await discover();
    assert.equal(as.authorization_response_iss_parameter_supported, true);
    const callback = await allow(await ask(oauth.generateRandomCodeVerifier(), 'mine'));
    assert.equal(callback.searchParams.get('iss'), worker.issuer);
    oauth.validateAuthResponse(as, web, callback, 'mine');
    for (const iss of ['https://attacker.example', undefined]) {
      const forged = new URL(callback);
      if (iss) forged.searchParams.set('iss', iss);
      else forged.searchParams.delete('iss');
      assert.throws(() => oauth.validateAuthResponse(as, web, forged, 'mine'), /"iss"/);
    }
  });

  test('an error that goes to the client carries state and issuer, too', async () => {
    const as = await discover();
    const url = await ask(oauth.generateRandomCodeVerifier(), 'mine', { scope: 'nonsense' });
    const { status, location } = await new Person(worker).send(url.pathname + url.search);
    assert.equal(status, 303);
    assert.throws(() => oauth.validateAuthResponse(as, web, location, 'mine'), (error) => {
      assert(error instanceof oauth.AuthorizationResponseError, String(error));
      assert.equal(error.error, 'invalid_scope');
      return true;
    });
  });

  test('a wrong verifier is refused, and burns nothing', async () => {
    const as = await discover();
    const verifier = oauth.generateRandomCodeVerifier();
    const parameters = oauth.validateAuthResponse(as, web, await allow(await ask(verifier, 'mine')), 'mine');
    const redeem = async (/** @type {string} */ given) => {
      const response = await oauth.authorizationCodeGrantRequest(as, web, secret, parameters, CALLBACK, given, insecure);
      return oauth.processAuthorizationCodeResponse(as, web, response);
    };
    await assert.rejects(redeem(oauth.generateRandomCodeVerifier()), (error) => {
      assert(error instanceof oauth.ResponseBodyError, String(error));
      assert.deepEqual([error.error, error.status], ['invalid_grant', 400]);
      assert.match(error.error_description, /code_verifier/);
      return true;
    });
    assert.equal((await redeem(verifier)).token_type, 'bearer');
  });

  test('a machine gets a token of its own; with a wrong secret a challenge', async () => {
    const as = await discover();
    const machine = { client_id: 'demo-machine' };
    const ask = async (/** @type {string} */ given) => {
      const authentication = oauth.ClientSecretPost(given);
      const response = await oauth.clientCredentialsGrantRequest(as, machine, authentication, {}, insecure);
      return oauth.processClientCredentialsResponse(as, machine, response);
    };
    assert.equal((await ask('demo-machine-secret')).scope, 'orders.read orders.write reports');
    await assert.rejects(ask('not-the-secret'), (error) => {
      assert(error instanceof oauth.WWWAuthenticateChallengeError, String(error));
      assert.deepEqual([error.status, error.cause[0].scheme], [401, 'basic']);
      return true;
    });
  });
});
