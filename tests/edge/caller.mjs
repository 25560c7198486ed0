// What clients, resource servers and administrators send, one request at a time.

import assert from 'node:assert/strict';
import { CALLBACK, Person, VERIFIER } from './person.mjs';
import { ADMIN_TOKEN } from './worker.mjs';

export const WEB = 'demo-web:demo-web-secret';
export const MACHINE = 'demo-machine:demo-machine-secret';
export const SHORT = 'demo-short:demo-short-secret';
const API = 'demo-api:demo-api-secret';

/** @typedef {{ status: number, headers: Headers, text: string, body: any }} Answer body: undefined where it is no JSON */
/** @typedef {import('./worker.mjs').Worker} Worker */

/** @param {Response} response @returns {Promise<Answer>} */
export async function read(response) {
  const text = await response.text();
  const json = /json/.test(response.headers.get('content-type') ?? '');
  return { status: response.status, headers: response.headers, text, body: json && text ? JSON.parse(text) : undefined };
}

/**
 * A form posted by a client.
 * @param {Worker} worker
 * @param {string} path
 * @param {string} client `id:secret` for Basic, or the id of a public client
 * @param {Record<string, string>} fields
 * @param {string} [door] the isolate that serves
 */
export async function post(worker, path, client, fields, door = worker.doors[0]) {
  const confidential = client.includes(':');
  const headers = confidential ? { authorization: `Basic ${btoa(client)}` } : {};
  const body = new URLSearchParams(confidential ? fields : { client_id: client, ...fields });
  return read(await fetch(`${door}${path}`, { method: 'POST', headers, body }));
}

/** @param {Worker} worker @param {string} client @param {Record<string, string>} fields @param {string} [door] */
export const askToken = (worker, client, fields, door) => post(worker, '/token', client, fields, door);

/** @param {Worker} worker @param {string} code @param {string} [client] @param {string} [door] */
export function redeem(worker, code, client = WEB, door = undefined) {
  const fields = { grant_type: 'authorization_code', code, redirect_uri: CALLBACK, code_verifier: VERIFIER };
  return askToken(worker, client, fields, door);
}

/** @param {Worker} worker @param {string} token @param {string} [client] @param {string} [door] */
export function refresh(worker, token, client = WEB, door = undefined) {
  return askToken(worker, client, { grant_type: 'refresh_token', refresh_token: token }, door);
}

/** The tokens of a new grant by alice. @param {Worker} worker @param {string} [client] */
export async function makeTokens(worker, client = WEB) {
  const code = await new Person(worker).code(client.split(':')[0]);
  const answer = await redeem(worker, code, client);
  assert.equal(answer.status, 200, answer.text);
  return answer.body;
}

/** Introspection by `demo-api`: the text of the answer. @param {Worker} worker @param {string} token */
export async function inspect(worker, token) {
  const answer = await post(worker, '/introspect', API, { token });
  assert.equal(answer.status, 200, answer.text);
  return answer.text;
}

/** @param {Worker} worker @param {string} token */
export async function isActive(worker, token) {
  return JSON.parse(await inspect(worker, token)).active;
}

/** An administrator's request. @param {Worker} worker @param {string} method @param {string} path @param {object} [body] */
export async function administer(worker, method, path, body) {
  const headers = { authorization: `Bearer ${ADMIN_TOKEN}`, 'content-type': 'application/json' };
  return read(await fetch(`${worker.issuer}${path}`, { method, headers, body: body && JSON.stringify(body) }));
}
