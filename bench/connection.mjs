// HTTP/1.1 for a load generator: requests are bytes that are ready, answers are cut from the stream and nothing more. Node's own
// client takes as long for a request as a fast server does, and would measure itself.

import { connect } from 'node:net';

/**
 * @typedef {{ method?: string, path: string, headers?: Record<string, string>, body?: string }} Request
 * @typedef {{ status: number, head: string, text: string }} Answer head: the status line and the headers
 */

/** @param {string} host as in `Host` @param {Request} request @returns {string} as it is sent */
export function encode(host, { method = 'GET', path, headers = {}, body = '' }) {
  const lines = [`${method} ${path} HTTP/1.1`, `Host: ${host}`];
  for (const [name, value] of Object.entries(headers)) lines.push(`${name}: ${value}`);
  if (method !== 'GET') lines.push(`Content-Length: ${Buffer.byteLength(body)}`);
  return `${lines.join('\r\n')}\r\n\r\n${body}`;
}

/** A header of an answer. @param {string} head @param {string} name in lower case */
export function header(head, name) {
  const at = head.toLowerCase().indexOf(`\r\n${name}:`);
  if (at < 0) return undefined;
  const end = head.indexOf('\r\n', at + 2);
  return head.slice(at + name.length + 3, end < 0 ? undefined : end).trim();
}

/** The headers of an answer, names as they came. @param {string} head @returns {[string, string][]} */
export function headers(head) {
  return head.split('\r\n').slice(1).map((line) => {
    const colon = line.indexOf(':');
    return [line.slice(0, colon), line.slice(colon + 1).trim()];
  });
}

/**
 * Cuts one answer from what has come so far.
 * @param {string} come
 * @returns {{ answer: Answer, rest: string } | undefined} nothing where it is not whole yet
 */
export function cut(come) {
  const end = come.indexOf('\r\n\r\n');
  if (end < 0) return undefined;
  const head = come.slice(0, end);
  const status = Number(head.slice(9, 12));
  const length = header(head, 'content-length');
  const from = end + 4;
  if (length !== undefined) {
    const to = from + Number(length);
    return come.length < to ? undefined : { answer: { status, head, text: come.slice(from, to) }, rest: come.slice(to) };
  }
  if (header(head, 'transfer-encoding') === undefined) return { answer: { status, head, text: '' }, rest: come.slice(from) };
  let text = '';
  for (let at = from; ; ) {
    const line = come.indexOf('\r\n', at);
    if (line < 0) return undefined;
    const size = parseInt(come.slice(at, line), 16);
    if (come.length < line + 2 + size + 2) return undefined;
    text += come.slice(line + 2, line + 2 + size);
    at = line + 2 + size + 2;
    if (size === 0) return { answer: { status, head, text }, rest: come.slice(at) };
  }
}

/** Milliseconds after which an idle connection is not trusted: workerd closes one after 5 s, perhaps while a request is on its way. */
const IDLE = 2000;

/** One connection that is kept; one request at a time. */
export class Connection {
  #come = '';
  /** @type {((answer: Answer) => void) | undefined} */ #give;
  /** @type {((error: Error) => void) | undefined} */ #fail;
  /** @type {import('node:net').Socket} */ #socket;
  #port;
  #used = 0;

  /** @param {number} port of loopback */
  constructor(port) {
    this.#port = port;
    this.#used = performance.now();
    this.#open();
  }

  #open() {
    this.#come = '';
    this.#socket = connect({ port: this.#port, host: '127.0.0.1', noDelay: true }).setEncoding('latin1');
    this.#socket.on('data', (/** @type {any} */ text) => {
      this.#come = this.#come === '' ? text : this.#come + text;
      const found = cut(this.#come);
      if (!found) return;
      this.#come = found.rest;
      const give = this.#give;
      this.#give = this.#fail = undefined;
      give?.(found.answer);
    });
    const lost = (/** @type {Error | undefined} */ error) => {
      const fail = this.#fail;
      this.#give = this.#fail = undefined;
      fail?.(error instanceof Error ? error : new Error('the connection was closed'));
    };
    this.#socket.on('error', lost).on('close', () => lost(undefined));
  }

  #renew() {
    this.#socket.removeAllListeners().on('error', () => {}).destroy();
    this.#open();
  }

  /** @param {string} bytes @returns {Promise<Answer>} */
  send(bytes) {
    const now = performance.now();
    if (this.#socket.destroyed || now - this.#used > IDLE) this.#renew();
    this.#used = now;
    return new Promise((resolve, reject) => {
      this.#give = resolve;
      this.#fail = reject;
      this.#socket.write(bytes, 'latin1');
    });
  }

  close() {
    this.#socket.destroy();
  }
}
