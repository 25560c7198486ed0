// A client that was written for webMethods, at a real Worker: it calls the vendor's addresses, and a person decides in a real
// Chromium, on a page that the settings have changed.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Callback, launchBrowser } from './browser.mjs';
import { administer, read } from './caller.mjs';
import { Worker } from './worker.mjs';

const LEGACY = 'demo-legacy:demo-legacy-secret';

/** @type {Worker} */
let worker;
/** @type {import('playwright-core').Browser} */
let browser;
/** @type {Callback} */
let program;

before(async () => {
  [worker, browser, program] = await Promise.all([Worker.start(), launchBrowser(), Callback.listen()]);
  const changed = await administer(worker, 'PATCH', '/admin/clients/demo-legacy', { redirect_uris: [program.uri] });
  assert.equal(changed.status, 200, changed.text);
});

after(async () => {
  await Promise.allSettled([browser?.close(), program?.close(), worker?.stop()]);
});

/** A call of a service, with a form or with JSON. @param {string} address @param {Record<string, string>} fields @param {boolean} [json] */
async function call(address, fields, json = false) {
  const headers = { authorization: `Basic ${btoa(LEGACY)}`, ...(json ? { 'content-type': 'application/json' } : {}) };
  const body = json ? JSON.stringify(fields) : new URLSearchParams(fields);
  return read(await fetch(`${worker.issuer}/invoke/${address}`, { method: 'POST', headers, body }));
}

/** @param {Record<string, string>} fields @returns {Promise<import('playwright-core').Page>} where a person decides */
async function decide(fields) {
  const context = await browser.newContext({ javaScriptEnabled: false });
  const page = await context.newPage();
  page.setDefaultTimeout(10_000);
  const asked = new URLSearchParams({ client_id: 'demo-legacy', redirect_uri: program.uri, state: 's', ...fields });
  await page.goto(`${worker.issuer}/invoke/pub.oauth:authorize?${asked}`);
  await page.fill('#username', 'alice');
  await page.fill('#password', 'wonderland');
  await page.click('#login-submit');
  return page;
}

test('a person unticks a scope on a page that the settings named, and the token is without it', async () => {
  const settings = {
    'approvalpage.title': 'Freigabe',
    'approvalpage.header': 'Darf die Anwendung <das>?',
    'approvalpage.logo': 'https://logo.invalid/logo.png',
    'approvalpage.footer': 'ACME & Co',
  };
  assert.equal((await administer(worker, 'PATCH', '/admin/settings', settings)).status, 200);
  const page = await decide({ response_type: 'code' });
  assert.equal(await page.title(), 'Freigabe');
  assert.equal(await page.textContent('h1'), 'Darf die Anwendung <das>?');
  assert.equal(await page.getAttribute('img.logo', 'src'), 'https://logo.invalid/logo.png');
  assert.equal(await page.textContent('#consent-footer'), 'ACME & Co');
  assert.deepEqual(await page.locator('button').allInnerTexts().then((texts) => texts.slice(0, 3)), ['Approve', 'Approve all', 'Deny']);
  assert.equal(await page.locator('input[name=scope]:checked').count(), 3);
  await page.uncheck('input[value="orders.write"]');
  await page.click('#consent-allow');
  await page.getByRole('heading', { name: 'The client has it' }).waitFor();
  const code = program.answers.at(-1)?.searchParams.get('code') ?? '';
  const tokens = await call('pub.oauth/getToken', { grant_type: 'authorization_code', code, redirect_uri: program.uri }, true);
  assert.equal(tokens.status, 200, tokens.text);
  assert.equal(tokens.body.scope, 'orders.read reports');
  const inspected = await call('pub.oauth:introspectToken', { token: tokens.body.access_token });
  assert.deepEqual([inspected.body.active, inspected.body.owner_id, inspected.body.scope], ['true', 'alice', 'orders.read reports']);
  const refreshed = await call('pub.oauth/refreshAccessToken', { grant_type: 'refresh_token', refresh_token: tokens.body.refresh_token });
  assert.equal(refreshed.status, 200, refreshed.text);
  assert.equal((await call('pub.oauth:revokeToken', { token: refreshed.body.access_token }, true)).text, '{}');
  await administer(worker, 'PATCH', '/admin/settings', Object.fromEntries(Object.keys(settings).map((key) => [key, null])));
  await page.context().close();
});

test('an access token that is given at once is in the fragment, which no server sees', async () => {
  const page = await decide({ response_type: 'token', scope: 'reports' });
  await page.click('#consent-all');
  await page.waitForURL(`${program.uri}#**`);
  const answer = new URLSearchParams(new URL(page.url()).hash.slice(1));
  assert.deepEqual([answer.get('token_type'), answer.get('scope'), answer.get('state'), answer.get('expires_in')], ['Bearer', 'reports', 's', '3600']);
  assert.equal(answer.get('refresh_token'), null);
  assert.equal(program.answers.at(-1)?.search, '');
  const inspected = await call('pub.oauth/introspectToken', { token: answer.get('access_token') ?? '' });
  assert.equal(inspected.body.active, 'true');
  await page.context().close();
});

test('over plain http another host than the laptop itself is refused', async () => {
  const { status, body } = await askAs('as.example', '/invoke/pub.oauth/getToken');
  assert.deepEqual([status, JSON.parse(body).error], [400, 'invalid_request']);
  assert.match(JSON.parse(body).error_description, /https/);
});

/** A request that names another host. @param {string} host @param {string} path */
async function askAs(host, path) {
  const { request } = await import('node:http');
  return new Promise((resolve, reject) => {
    const headers = { host, authorization: `Basic ${btoa(LEGACY)}`, 'content-type': 'application/x-www-form-urlencoded' };
    const sent = request({ port: worker.port, host: '127.0.0.1', method: 'POST', path, headers }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (text) => void (body += text)).on('end', () => resolve({ status: response.statusCode, body }));
    });
    sent.on('error', reject);
    sent.end('grant_type=client_credentials');
  });
}
