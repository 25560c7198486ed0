// A real Chromium, and a real client on this computer that its answers reach.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { text } from 'node:stream/consumers';
import { chromium } from 'playwright-core';

const QUIET = ['--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];

/** @returns {Promise<import('playwright-core').Browser>} */
export function launchBrowser() {
  const executablePath = process.env.EDGEMINT_BROWSER;
  assert(executablePath, 'EDGEMINT_BROWSER names no browser: run the tests with `npm run test:edge`');
  return chromium.launch({ executablePath, args: ['--headless', '--no-sandbox', ...QUIET] });
}

/** A program on this computer that waits for answers (RFC 8252 §7.3). */
export class Callback {
  /** @type {URL[]} what reached it */
  answers = [];
  /** @type {URLSearchParams[]} forms that were posted to it */
  forms = [];
  uri = '';
  #server = createServer(async (request, response) => {
    const url = new URL(request.url ?? '/', this.uri);
    if (url.pathname === '/callback' && request.method === 'POST') this.forms.push(new URLSearchParams(await text(request)));
    else if (url.pathname === '/callback') this.answers.push(url);
    response.setHeader('content-type', 'text/html').end('<!doctype html><link rel="icon" href="data:,"><h1>The client has it</h1>');
  });

  static async listen() {
    const callback = new Callback();
    callback.#server.listen(0, '127.0.0.1');
    await once(callback.#server, 'listening');
    const { port } = /** @type {import('node:net').AddressInfo} */ (callback.#server.address());
    callback.uri = `http://127.0.0.1:${port}/callback`;
    return callback;
  }

  async close() {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }
}
