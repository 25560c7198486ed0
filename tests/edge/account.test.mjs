// A person's own account, remembered consent and several people in one browser, in a real Chromium without JavaScript; and what
// axe-core finds on these pages.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { after, before, beforeEach, describe, test } from 'node:test';
import { Callback, launchBrowser } from './browser.mjs';
import { administer, askToken, inspect, isActive, WEB } from './caller.mjs';
import { authorization, VERIFIER } from './person.mjs';
import { until } from './until.mjs';
import { Worker } from './worker.mjs';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const PASSWORD = 'correct horse battery';

/** @type {Worker} */
let worker;
/** @type {import('playwright-core').Browser} */
let browser;
/** @type {Callback} */
let client;

before(async () => {
  [worker, browser, client] = await Promise.all([Worker.start(), launchBrowser(), Callback.listen()]);
});

after(async () => {
  await Promise.allSettled([browser?.close(), client?.close(), worker?.stop()]);
});

beforeEach(() => {
  client.answers.length = 0;
});

/** @param {string} path */
const at = (path) => `${worker.issuer}${path}`;

let made = 0;

/** A person whom nothing else needs. @returns {Promise<string>} */
async function makeUser() {
  made += 1;
  const username = `person-${made}`;
  const answer = await administer(worker, 'POST', '/admin/users', { username, password: PASSWORD });
  assert.equal(answer.status, 201, answer.text);
  return username;
}

/** @param {object} [options] */
async function openPage(options = {}) {
  const context = await browser.newContext({ javaScriptEnabled: false, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(10_000);
  return page;
}

/** On the page of the account. @param {import('playwright-core').Page} page @param {string} username @param {string} [password] */
async function enter(page, username, password = PASSWORD) {
  await page.goto(at('/account'));
  await page.fill('#in-username', username);
  await page.fill('#in-password', password);
  await page.click('#login-submit');
}

/** @param {import('playwright-core').Page} page @param {string} username */
async function signIn(page, username) {
  await page.fill('#username', username);
  await page.fill('#password', PASSWORD);
  await page.click('#login-submit');
}

/** @param {import('playwright-core').Page} page @param {Record<string, string>} [more] */
const ask = (page, more = {}) =>
  page.goto(at(`/authorize?${new URLSearchParams(authorization('demo-web', { redirect_uri: client.uri, ...more }))}`));

/** The tokens of the code that the client got last. @param {import('playwright-core').Page} page */
async function redeem(page) {
  await page.getByRole('heading', { name: 'The client has it' }).waitFor();
  const code = client.answers.at(-1).searchParams.get('code');
  const fields = { grant_type: 'authorization_code', code, redirect_uri: client.uri, code_verifier: VERIFIER };
  const { status, text, body } = await askToken(worker, WEB, fields);
  assert.equal(status, 200, text);
  return body;
}

test('what was allowed once is answered at once, until it is withdrawn, which ends every token', async () => {
  const [page, username] = [await openPage(), await makeUser()];
  await ask(page, { scope: 'reports' });
  await signIn(page, username);
  await page.click('#consent-allow');
  const first = await redeem(page);
  await ask(page, { scope: 'reports' });
  const second = await redeem(page);
  assert.equal(client.answers.at(-1).searchParams.get('iss'), worker.issuer);
  await ask(page, { scope: 'reports orders.read' });
  assert.equal(await page.locator('input[name=scope]:checked').count(), 2);

  await page.goto(at('/account'));
  assert.match(await page.textContent('main'), /Demo web application\s*demo-web/);
  await page.getByRole('button', { name: 'Withdraw demo-web' }).click();
  assert.match(await page.textContent('#notice'), /has nothing of yours any more/);
  assert.doesNotMatch(await page.textContent('main'), /demo-web/);
  for (const { access_token: token } of [first, second]) assert.equal(await isActive(worker, token), false);
  await ask(page, { scope: 'reports' });
  await page.locator('#consent-allow').waitFor();
  await page.context().close();
});

test('who is signed in elsewhere is ended from here, one by one and all together', async () => {
  const username = await makeUser();
  const pages = await Promise.all([0, 1, 2].map(() => openPage()));
  for (const page of pages) await enter(page, username);
  const [here, ...others] = pages;
  await here.reload();
  assert.match(await here.textContent('main'), /Chrome on (Linux|Mac OS|Windows)/);
  assert.equal(await here.locator('button[name=session]').count(), 2);
  await here.locator('button[name=session]').first().click();
  await until('one is left', async () => (await here.locator('button[name=session]').count()) === 1);
  await here.click('#end-others');
  assert.match(await here.textContent('#notice'), /ended/);
  for (const page of others) {
    await page.goto(at('/account'));
    await page.locator('#login-submit').waitFor();
  }
  await here.goto(at('/account'));
  assert.equal(await here.textContent('#username'), username);
  await Promise.all(pages.map((page) => page.context().close()));
});

test('a password is changed with the old one, ends what there was, and this browser stays signed in', async () => {
  const username = await makeUser();
  const [page, device] = [await openPage(), await openPage()];
  await ask(page);
  await signIn(page, username);
  await page.click('#consent-all');
  const tokens = await redeem(page);
  await enter(device, username);
  await page.goto(at('/account'));
  const change = async (/** @type {string} */ old, /** @type {string} */ next, again = next) => {
    await page.fill('#old', old);
    await page.fill('#new', next);
    await page.fill('#again', again);
    await page.click('#change-password');
  };
  await change('a guess', 'another password');
  assert.match(await page.textContent('#problem'), /not the password you have/);
  await change(PASSWORD, 'another password', 'yet another one');
  assert.match(await page.textContent('#problem'), /not the same/);
  await change(PASSWORD, 'another password');
  assert.match(await page.textContent('#notice'), /is changed/);
  assert.equal(await page.textContent('#username'), username);
  assert.equal(await isActive(worker, tokens.access_token), false);
  await device.goto(at('/account'));
  await device.locator('#login-submit').waitFor();
  await enter(device, username, 'another password');
  assert.equal(await device.textContent('#username'), username);
  await Promise.all([page, device].map((one) => one.context().close()));
});

test('two people share a browser, choose, and signing out is for both', async () => {
  const [page, one, two] = [await openPage(), await makeUser(), await makeUser()];
  await ask(page);
  await signIn(page, one);
  await page.click('#consent-switch');
  await signIn(page, two);
  assert.equal(await page.textContent('#consent-username'), two);
  await page.click('#consent-switch');
  await page.getByRole('button', { name: one, exact: true }).click();
  assert.equal(await page.textContent('#consent-username'), one);
  await ask(page, { prompt: 'select_account' });
  assert.deepEqual(await page.locator('button[name=account]').allInnerTexts(), [one, two]);
  await page.getByRole('button', { name: two, exact: true }).click();
  await page.click('#consent-all');
  const tokens = await redeem(page);
  assert.equal(JSON.parse(await inspect(worker, tokens.access_token)).username, two);
  await page.goto(at('/account'));
  assert.equal(await page.textContent('#username'), two);
  await page.click('#sign-out');
  await page.locator('#login-submit').waitFor();
  await ask(page);
  await page.locator('#login-submit').waitFor();
  await page.context().close();
});

describe('each page', () => {
  for (const viewport of [{ width: 1280, height: 900 }, { width: 360, height: 740 }]) {
    test(`axe-core finds nothing serious, light or dark, and nothing is wider than ${viewport.width}`, async () => {
      const [page, one, two] = [await openPage({ javaScriptEnabled: true, viewport }), await makeUser(), await makeUser()];
      const look = async (/** @type {string} */ what) => {
        for (const colorScheme of /** @type {const} */ (['light', 'dark'])) {
          await page.emulateMedia({ colorScheme });
          await page.evaluate(AXE);
          const { violations } = await page.evaluate(() => globalThis.axe.run());
          const serious = violations.filter(({ impact }) => ['serious', 'critical'].includes(impact));
          assert.deepEqual(serious.map(({ id, nodes }) => [id, nodes.map((node) => node.html)]), [], what);
        }
        const width = await page.evaluate(() => globalThis.document.documentElement.scrollWidth);
        assert(width <= viewport.width, `${what} is ${width} wide`);
      };
      await page.goto(at('/account'));
      await look('signing in');
      await ask(page);
      await signIn(page, one);
      await page.click('#consent-allow');
      await redeem(page);
      await ask(page, { prompt: 'select_account' });
      await page.click('#choose-other');
      await signIn(page, two);
      await ask(page, { prompt: 'select_account' });
      await look('choosing');
      await page.getByRole('button', { name: one, exact: true }).click();
      await redeem(page);
      const device = await openPage();
      await enter(device, one);
      await page.goto(at('/account'));
      await look('the account');
      await page.click('#change-password', { noWaitAfter: true });
      await page.fill('#old', 'a guess');
      await page.fill('#new', 'short');
      await page.fill('#again', 'short');
      await page.click('#change-password');
      await page.locator('#problem').waitFor();
      await look('a problem');
      await Promise.all([page, device].map((open) => open.context().close()));
    });
  }
});
