// What every driver says and reads.

import { createHash } from 'node:crypto';

/** @typedef {import('../connection.mjs').Answer} Answer @typedef {import('../connection.mjs').Request} Request */

export const CALLBACK = 'http://127.0.0.1:9999/callback';
export const VERIFIER = 'dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk';
export const CHALLENGE = createHash('sha256').update(VERIFIER).digest('base64url');

/** A form. @param {string} path @param {Record<string, string>} fields @param {Record<string, string>} [more] headers @returns {Request} */
export function form(path, fields, more = {}) {
  const headers = { 'content-type': 'application/x-www-form-urlencoded', ...more };
  return { method: 'POST', path, headers, body: String(new URLSearchParams(fields)) };
}

/** @param {string} id @param {string} secret */
export const basic = (id, secret) => ({ authorization: `Basic ${btoa(`${id}:${secret}`)}` });

/** Throws where an answer is not what it should be. @param {Answer} answer @param {number} status @param {string} [holds] */
export function demand(answer, status, holds = '') {
  if (answer.status !== status || !answer.text.includes(holds)) {
    throw new Error(`${status} ${holds} was to come, and there came ${answer.head}\n\n${answer.text}`);
  }
}

/** A member of a JSON answer that is a text without escapes. @param {Answer} answer @param {string} name @returns {string} */
export function member(answer, name) {
  const at = answer.text.indexOf(`"${name}":"`);
  if (at < 0) throw new Error(`no ${name} in ${answer.head}\n\n${answer.text}`);
  const from = at + name.length + 4;
  return answer.text.slice(from, answer.text.indexOf('"', from));
}

/** @param {Answer} answer */
export function location(answer) {
  const found = /\r\nlocation: (.*)/i.exec(answer.head)?.[1].trim();
  if (!found) throw new Error(`no redirect: ${answer.head}\n\n${answer.text}`);
  return found;
}

/** The code that a redirect carries to the client. @param {Answer} answer */
export function codeOf(answer) {
  const found = new URL(location(answer)).searchParams.get('code');
  if (!found) throw new Error(`no code: ${location(answer)}`);
  return found;
}

/** The value of a hidden field. @param {Answer} answer @param {string} name */
export function field(answer, name) {
  const found = new RegExp(`name="${name}" value="([^"]+)"`).exec(answer.text);
  if (!found) throw new Error(`no field ${name}: ${answer.head}\n\n${answer.text}`);
  return found[1];
}

/** A browser's cookies. */
export class Jar {
  /** @type {Map<string, string>} */ #cookies = new Map();

  /** @param {Answer} answer */
  keep(answer) {
    for (const [, name, value] of answer.head.matchAll(/\r\nset-cookie: ([^=]+)=([^;\r]*)/gi)) {
      if (value === '') this.#cookies.delete(name);
      else this.#cookies.set(name, value);
    }
    return answer;
  }

  /** @returns {Record<string, string>} */
  get headers() {
    return this.#cookies.size === 0 ? {} : { cookie: [...this.#cookies].map(([name, value]) => `${name}=${value}`).join('; ') };
  }
}
