// Real flows against any issuer, a step a line: the check that a deployment and a registration work.

import { createServer } from 'node:http';
import * as client from 'openid-client';
import { reason } from './api.mjs';
import { EXIT, Failure } from './failure.mjs';
import { printable } from './show.mjs';

/**
 * @typedef {{ json: boolean, print: (text: string) => void }} Shell
 * @typedef {{ issuer: string, client: string, secret?: string, scope?: string }} Flow
 * @typedef {client.Configuration} Configuration
 */

/** What an error of the token endpoint means for whoever runs this. @type {Record<string, string>} */
const MEANINGS = {
  invalid_client: 'the server knows no such client, or CLIENT_SECRET is not its secret; a public client has none',
  unauthorized_client: 'the client is not registered for this grant type',
  invalid_grant: 'the code or refresh token is used up, too old, or of another client',
  invalid_scope: 'the client may not have a scope that was asked for',
  unsupported_grant_type: 'the server does not have this grant type',
};

/** Prints steps, but not between braces. @param {Shell} shell */
const stepper = (shell) => (/** @type {string} */ text) => void (shell.json || shell.print(printable(text)));

/**
 * The server's metadata, checked.
 * @param {Flow} flow @param {(text: string) => void} step @returns {Promise<Configuration>}
 */
async function discover({ issuer, client: id, secret }, step) {
  const loopback = /^http:\/\/(localhost|127\.0\.0\.1|\[::1\])(:|\/|$)/.test(issuer);
  step(`1. metadata of ${issuer}`);
  try {
    const configuration = await client.discovery(new URL(issuer), id, secret, secret ? client.ClientSecretBasic(secret) : client.None(), {
      algorithm: 'oauth2',
      execute: loopback ? [client.allowInsecureRequests] : [],
    });
    step(`   token endpoint ${configuration.serverMetadata().token_endpoint}`);
    return configuration;
  } catch (error) {
    throw new Failure(EXIT.away, `The issuer is wrong, or does not answer: ${explainDiscovery(issuer, /** @type {any} */ (error))}.`);
  }
}

/** @param {string} issuer @param {any} error */
function explainDiscovery(issuer, error) {
  const { cause } = error;
  if (cause?.status) return `${issuer}/.well-known/oauth-authorization-server answers ${cause.status}`;
  if (/issuer/.test(error.message)) return `the metadata names another issuer than ${issuer}: write it exactly as the server does`;
  if (error instanceof TypeError && /URL/.test(error.message)) return `${issuer} is not a URL`;
  return reason(error);
}

/**
 * What the server said. A 401 with a challenge is an error of another kind in the library, its body unread.
 * @param {any} error @returns {Promise<{ code?: string, description?: string, message: string }>}
 */
async function read(error) {
  if (error.error !== undefined) return { code: error.error, description: error.error_description, message: error.message };
  const body = error instanceof client.WWWAuthenticateChallengeError ? await error.response.json().catch(() => ({})) : {};
  return { code: body.error, description: body.error_description, message: error.message };
}

/** Asks the token endpoint. @param {() => Promise<client.TokenEndpointResponse>} ask */
async function tokens(ask) {
  try {
    return await ask();
  } catch (error) {
    const { code, description, message } = await read(/** @type {any} */ (error));
    if (code === undefined) throw new Failure(EXIT.away, `The token endpoint gave no answer that can be used: ${reason(error) ?? message}.`);
    const meaning = MEANINGS[code] ? `: ${MEANINGS[code]}` : '';
    throw new Failure(EXIT.refused, `The token endpoint refused with ${code}${meaning}. It says: ${description ?? 'nothing'}`);
  }
}

/** What came of it; tokens themselves only where a script asks. @param {Shell} shell @param {client.TokenEndpointResponse} answer */
function tell(shell, answer) {
  if (shell.json) return shell.print(JSON.stringify(answer, null, 2));
  for (const name of ['access_token', 'refresh_token']) {
    const token = answer[name];
    if (typeof token === 'string') shell.print(`   ${name} ${token.slice(0, 8)}… (${token.length} characters; --json shows it)`);
  }
  shell.print(printable(`   expires_in ${answer.expires_in ?? '-'}, scope ${answer.scope ?? '-'}`));
  shell.print('It works.');
}

/** @param {Shell} shell @param {Flow} flow */
export async function performClientCredentials(shell, flow) {
  const step = stepper(shell);
  const configuration = await discover(flow, step);
  step(`2. a token for ${flow.client} itself`);
  const scope = flow.scope === undefined ? {} : { scope: flow.scope };
  tell(shell, await tokens(() => client.clientCredentialsGrant(configuration, scope)));
}

/** @param {Shell} shell @param {Flow & { token?: string }} flow */
export async function performRefresh(shell, flow) {
  if (!flow.token) throw new Failure(EXIT.usage, 'The variable REFRESH_TOKEN is not set.');
  const { token } = flow;
  const step = stepper(shell);
  const configuration = await discover(flow, step);
  step('2. new tokens for the refresh token');
  const scope = flow.scope === undefined ? {} : { scope: flow.scope };
  tell(shell, await tokens(() => client.refreshTokenGrant(configuration, token, scope)));
}

/** @param {Shell} shell @param {Flow & { redirectUri: string, wait: string }} flow */
export async function performCode(shell, flow) {
  const step = stepper(shell);
  const configuration = await discover(flow, step);
  const verifier = client.randomPKCECodeVerifier();
  const state = client.randomState();
  const url = client.buildAuthorizationUrl(configuration, {
    redirect_uri: flow.redirectUri,
    code_challenge: await client.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    state,
    ...(flow.scope === undefined ? {} : { scope: flow.scope }),
  });
  const callback = await listen(flow.redirectUri, state, Number(flow.wait) * 1000);
  try {
    step('2. the authorization request');
    await demandPage(url, flow);
    // For whoever reads the other stream as JSON, too.
    (shell.json ? console.error : shell.print)(`   open in a browser: ${url.href}`);
    const answer = await callback.answer;
    step('3. the answer at the redirect URI');
    const error = answer.searchParams.get('error');
    if (error) throw new Failure(EXIT.refused, `The server answered ${error}: ${answer.searchParams.get('error_description') ?? 'without a description'}`);
    step('4. the code for tokens');
    tell(shell, await tokens(() => client.authorizationCodeGrant(configuration, answer, { pkceCodeVerifier: verifier, expectedState: state })));
  } finally {
    callback.close();
  }
}

/** Whether the request gives a page to decide on, before a person is asked to look. @param {URL} url @param {Flow & { redirectUri: string }} flow */
async function demandPage(url, flow) {
  const response = await fetch(url, { redirect: 'manual', signal: AbortSignal.timeout(30_000) }).catch((error) => {
    throw new Failure(EXIT.away, `The authorization endpoint does not answer (${reason(error)}).`);
  });
  const location = response.headers.get('location');
  const back = location === null ? undefined : new URL(location, url).searchParams;
  if (back?.get('error')) throw new Failure(EXIT.refused, `The server refuses the request with ${back.get('error')}: ${back.get('error_description') ?? ''}`);
  if (response.status < 400) return;
  const said = (await response.text()).replace(/<style[^]*?<\/style>|<[^>]+>/g, ' ').replace(/\s+/g, ' ').trim().slice(0, 300);
  throw new Failure(
    EXIT.refused,
    `The authorization endpoint answers ${response.status}: is ${flow.client} registered, with exactly the redirect URI ${flow.redirectUri}? The page says: ${said}`,
  );
}

/**
 * Waits at the redirect URI for the answer to the request of this state: any page in the browser can send others there.
 * @param {string} redirectUri @param {string} state @param {number} patience milliseconds
 * @returns {Promise<{ answer: Promise<URL>, close: () => void }>}
 */
async function listen(redirectUri, state, patience) {
  const at = readRedirectUri(redirectUri);
  /** @type {(url: URL) => void} */
  let resolve;
  /** @type {(error: Error) => void} */
  let reject;
  const answer = new Promise((/** @type {(url: URL) => void} */ yes, no) => {
    [resolve, reject] = [yes, no];
  });
  // Whoever fails before waiting for it has failed with something else.
  answer.catch(() => {});
  let others = 0;
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? '/', at);
    const answered = url.pathname === at.pathname && (url.searchParams.has('code') || url.searchParams.has('error'));
    const here = answered && url.searchParams.get('state') === state;
    if (answered && !here) others += 1;
    response.writeHead(here ? 200 : 404, { 'content-type': 'text/plain', connection: 'close' });
    response.end(here ? 'The answer has arrived: go back to the terminal.\n' : 'Not here.\n');
    if (here) response.once('close', () => resolve(url));
  });
  await new Promise((done, failed) => {
    server.once('error', (error) => failed(new Failure(EXIT.usage, `Nothing can be received at ${redirectUri} (${/** @type {any} */ (error).code}).`)));
    server.once('listening', done);
    server.listen(Number(at.port || 80), at.hostname.replace(/^\[|\]$/g, ''));
  });
  const timer = setTimeout(() => {
    const odd = others > 0 ? ` ${others} came with another state than the one that was sent.` : '';
    reject(new Failure(EXIT.away, `Nobody came back to the redirect URI in time.${odd}`));
  }, patience);
  return {
    answer,
    close() {
      clearTimeout(timer);
      server.close();
      // Browsers open connections that they may never use.
      server.closeAllConnections();
    },
  };
}

/** @param {string} text */
function readRedirectUri(text) {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol !== 'http:' || !['localhost', '127.0.0.1', '[::1]'].includes(url.hostname)) {
    throw new Failure(EXIT.usage, `${text} is not an http address on loopback, and nothing else can be received here.`);
  }
  return url;
}
