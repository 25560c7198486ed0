// A person with a browser that keeps cookies and reads forms, and does nothing else.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request } from 'node:http';
import { text } from 'node:stream/consumers';

export const VERIFIER = 'dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk';
export const CHALLENGE = 'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM';
/** Nothing listens there: the browser of these tests does not follow redirects. */
export const CALLBACK = 'http://127.0.0.1:9999/callback';

/**
 * @typedef {object} Page
 * @property {number} status
 * @property {Headers} headers
 * @property {string} text
 * @property {URL | undefined} location where it sends the browser
 */

export class Person {
  /** @type {Map<string, string>} */
  cookies = new Map();

  /**
   * @param {import('./worker.mjs').Worker} worker
   * @param {string} [door] the isolate that serves
   */
  constructor(worker, door = worker.doors[0]) {
    this.worker = worker;
    this.door = door;
  }

  /**
   * Not `fetch`: it sets `Host` by itself, and whatever the door, the browser's address bar shows the issuer.
   * @param {string} target
   * @param {{ method?: string, headers?: Record<string, string>, body?: string }} [init]
   * @returns {Promise<Page>}
   */
  async send(target, { method = 'GET', headers = {}, body = '' } = {}) {
    const cookie = [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const all = { host: new URL(this.worker.issuer).host, ...(cookie && { cookie }), ...headers };
    const sent = request(`${this.door}${target}`, { method, headers: all }).end(body);
    // An answer that breaks off in the middle is told by its body.
    sent.on('error', () => {});
    const [response] = await once(sent, 'response');
    for (const line of response.headers['set-cookie'] ?? []) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line);
      this.cookies.set(name, value);
    }
    const { location } = response.headers;
    return {
      status: response.statusCode,
      headers: new Headers(Object.entries(response.headers).filter(([name]) => name !== 'set-cookie')),
      text: await text(response),
      location: location === undefined ? undefined : new URL(location),
    };
  }

  /** A form. @param {string} path @param {string[][] | Record<string, string>} fields */
  submit(path, fields) {
    const headers = { 'content-type': 'application/x-www-form-urlencoded' };
    return this.send(path, { method: 'POST', headers, body: String(new URLSearchParams(fields)) });
  }

  /**
   * The authorization request of a client.
   * @param {string} clientId
   * @param {Record<string, string | undefined>} [more] replaces or adds; undefined removes
   */
  authorize(clientId, more = {}) {
    return this.send(`/authorize?${new URLSearchParams(authorization(clientId, more))}`);
  }

  /** Signs in on the page that is shown. @param {Page} page */
  signIn(page, username = 'alice', password = 'wonderland') {
    return this.submit('/login', { pending: field(page, 'pending'), username, password });
  }

  /**
   * Decides on the page that is shown; where what was allowed before has answered already, there is nothing to decide.
   * @param {Page} page @param {string} decision @param {string[]} [scopes]
   */
  async decide(page, decision = 'all', scopes = []) {
    if (page.location) return page;
    return this.submit('/consent', consent(page, decision, scopes));
  }

  /** The consent page of a request, after signing in where that is needed, whatever was allowed before. */
  async reachConsent(clientId = 'demo-web', more = {}, username = 'alice', password = 'wonderland') {
    const page = await this.authorize(clientId, { prompt: 'consent', ...more });
    return page.text.includes('id="login-submit"') ? this.signIn(page, username, password) : page;
  }

  /** The code for a client, with all it asks for. */
  async code(clientId = 'demo-web', more = {}) {
    const answer = await this.decide(await this.reachConsent(clientId, more));
    return parameter(answer, 'code');
  }
}

/** @param {string} clientId @param {Record<string, string | undefined>} more @returns {Record<string, string>} */
export function authorization(clientId, more = {}) {
  const fields = {
    response_type: 'code',
    client_id: clientId,
    redirect_uri: clientId === 'demo-spa' ? 'http://127.0.0.1:9999/spa' : CALLBACK,
    state: 'a state',
    code_challenge: CHALLENGE,
    code_challenge_method: 'S256',
    ...more,
  };
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}

/** The fields of the consent form. @param {Page} page @param {string} decision @param {string[]} [scopes] */
export function consent(page, decision, scopes = []) {
  return [['pending', field(page, 'pending')], ['decision', decision], ...scopes.map((scope) => ['scope', scope])];
}

/** The value of a hidden field. @param {Page} page @param {string} name */
export function field(page, name) {
  const found = new RegExp(`name="${name}" value="([^"]+)"`).exec(page.text);
  assert(found, `no field ${name}: ${page.status} ${page.text}`);
  return found[1];
}

/** A parameter that the redirect carries to the client. @param {Page} page @param {string} name */
export function parameter(page, name) {
  assert.equal(page.status, 303, page.text);
  const value = page.location?.searchParams.get(name);
  assert(value, `no ${name}: ${page.location}`);
  return value;
}
