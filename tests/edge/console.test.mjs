// The console in a real Chromium: an administrator's whole way without JavaScript, with the keyboard alone, at the width of a
// phone; and what axe-core finds on its pages.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { after, before, describe, test } from 'node:test';
import { Callback, launchBrowser } from './browser.mjs';
import { administer, askToken, isActive, makeTokens } from './caller.mjs';
import { authorization, VERIFIER } from './person.mjs';
import { until } from './until.mjs';
import { ADMIN_TOKEN, Worker } from './worker.mjs';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const PASSWORD = 'correct horse battery';
const DESKTOP = { width: 1280, height: 900 };
const PHONE = { width: 360, height: 740 };

/** @type {Worker} */
let worker;
/** @type {import('playwright-core').Browser} */
let browser;
/** @type {Callback} */
let program;

before(async () => {
  [worker, browser, program] = await Promise.all([Worker.start(), launchBrowser(), Callback.listen()]);
});

after(async () => {
  await Promise.allSettled([browser?.close(), program?.close(), worker?.stop()]);
});

/** @param {string} path */
const at = (path) => `${worker.issuer}${path}`;

/** @param {string} username @param {string[]} roles */
async function makeUser(username, roles) {
  const answer = await administer(worker, 'POST', '/admin/users', { username, password: PASSWORD, roles });
  assert.equal(answer.status, 201, answer.text);
}

/** @param {import('playwright-core').Page} page @param {string} username @param {string} [password] */
async function signIn(page, username, password = PASSWORD) {
  await page.goto(at('/console'));
  await page.fill('#in-username', username);
  await page.fill('#in-password', password);
  await page.click('#login-submit');
}

/** @param {string} username @param {object} [options] @returns {Promise<import('playwright-core').Page>} signed in */
async function enter(username, options = {}) {
  const context = await browser.newContext({ javaScriptEnabled: false, viewport: DESKTOP, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(10_000);
  await signIn(page, username);
  return page;
}

/** What the audit log says of a target: actions, the newest first. @param {string} target */
async function actions(target) {
  const { body } = await administer(worker, 'GET', `/admin/audit?q=${encodeURIComponent(target)}`);
  return body.items.map((item) => [item.action, item.by.kind, item.by.name]);
}

test('the first administrator makes a client, a flow runs with it, its grant is found and revoked, and the log has it all', async () => {
  const context = await browser.newContext({ javaScriptEnabled: false, viewport: DESKTOP });
  const page = await context.newPage();
  page.setDefaultTimeout(10_000);
  await page.goto(at('/console'));
  await page.click('text=There is no administrator yet');
  await page.fill('#in-username', 'ada');
  await page.fill('#in-password', PASSWORD);
  await page.fill('#in-admin_token', 'a token that is not the one of this server at all');
  await page.click('#login-submit');
  assert.match(await page.textContent('#in-admin_token-problem'), /not the administrator/);
  await page.fill('#in-admin_token', ADMIN_TOKEN);
  await page.fill('#in-password', PASSWORD);
  await page.click('#login-submit');
  await signIn(page, 'ada');
  assert.equal(await page.textContent('#console-user'), 'ada');

  await page.click('text=Clients');
  await page.click('#new');
  await page.fill('#in-client_name', 'The shop');
  await page.fill('#in-redirect_uris', program.uri);
  await page.fill('#in-scope', 'orders.read nonsense');
  await page.click('#save');
  assert.match(await page.textContent('#in-scope-problem'), /nonsense|scope/);
  assert.equal(await page.getAttribute('#in-scope', 'aria-invalid'), 'true');
  assert.equal(await page.inputValue('#in-client_name'), 'The shop');
  await page.fill('#in-scope', 'orders.read');
  await page.click('#save');
  const secret = await page.textContent('#secret');
  const id = decodeURIComponent(new URL(await page.getAttribute('#record', 'action'), worker.issuer).pathname.split('/')[3]);
  assert.match(await page.textContent('main'), new RegExp(`client.discovery.*"${id}"`, 's'));

  await page.goto(at(`/authorize?${new URLSearchParams(authorization(id, { redirect_uri: program.uri, scope: 'orders.read' }))}`));
  // Who administers in this browser is signed in in it.
  await page.click('#consent-allow');
  await page.getByRole('heading', { name: 'The client has it' }).waitFor();
  const tokens = await askToken(worker, `${id}:${secret}`, {
    grant_type: 'authorization_code',
    code: program.answers[0].searchParams.get('code'),
    redirect_uri: program.uri,
    code_verifier: VERIFIER,
  });
  assert.equal(tokens.status, 200, tokens.text);
  assert.equal(await isActive(worker, tokens.body.access_token), true);

  await page.goto(at('/console/clients'));
  await page.fill('#in-q', 'The shop');
  await page.click('#search');
  await until('one is found', async () => (await page.locator('#list tbody tr').count()) === 1);
  await page.click('#list tbody a');
  await page.getByRole('link', { name: 'Its grants' }).waitFor();
  assert.equal(await page.locator('#secret').count(), 0);
  await page.click('text=Its grants');
  await page.click('#list tbody a');
  assert.match(await page.textContent('dl'), /The shop|ada/);
  await page.click('#act-revoke');
  assert.match(await page.textContent('main'), /what ada allowed/);
  assert.equal(await isActive(worker, tokens.body.access_token), true);
  await page.click('#confirm-yes');
  assert.match(await page.textContent('#notice'), /The grant is ended/);
  assert.equal(await isActive(worker, tokens.body.access_token), false);

  await page.goto(at('/console/audit'));
  const log = await page.textContent('#list');
  for (const said of [/user ada.*grant\.ended/s, new RegExp(`client\\.created.*client/${id}`, 's')]) assert.match(log, said);
  assert(!log.includes(secret));
  await page.click('#sign-out');
  await page.goto(at('/console/clients'));
  assert.equal(await page.locator('#list').count(), 0);
  await context.close();
});

test('of two administrators who edit one client the second is told, and what either typed is not lost', async () => {
  await makeUser('one', ['administrator']);
  await makeUser('two', ['administrator']);
  const [one, two] = await Promise.all([enter('one'), enter('two')]);
  await Promise.all([one, two].map((page) => page.goto(at('/console/clients/demo-spa'))));
  await one.fill('#in-client_name', 'The name that one gave');
  await one.click('#save');
  assert.equal(await one.textContent('#notice'), 'It is saved.');
  await two.fill('#in-description', 'What two says of it');
  await two.fill('#in-client_name', 'The name that two gave');
  const [answer] = await Promise.all([two.waitForResponse((response) => response.request().method() === 'POST'), two.click('#save')]);
  assert.equal(answer.status(), 412);
  assert.match(await two.textContent('#problem'), /Somebody else changed this/);
  assert.equal(await two.inputValue('#in-description'), 'What two says of it');
  assert.match(await two.textContent('#in-client_name-now'), /The name that one gave/);
  assert.equal((await administer(worker, 'GET', '/admin/clients/demo-spa')).body.client_name, 'The name that one gave');
  await two.click('#save');
  const { body } = await administer(worker, 'GET', '/admin/clients/demo-spa');
  assert.deepEqual([body.client_name, body.description], ['The name that two gave', 'What two says of it']);
  await Promise.all([one, two].map((page) => page.context().close()));
});

test('what cuts people off says how many first, and does nothing until it is confirmed', async () => {
  await makeUser('careful', ['administrator']);
  const page = await enter('careful');
  const [first, second] = [await makeTokens(worker), await makeTokens(worker)];
  await page.goto(at('/console/clients/demo-web'));
  await page.uncheck('#in-enabled');
  await page.click('#save');
  assert.match(await page.textContent('main'), /Enabled.*2 grants of 1 person stand/s);
  await page.click('#confirm-no');
  assert.equal(await isActive(worker, first.access_token), true);
  await page.click('#act-cut');
  await page.click('#confirm-yes');
  assert.equal(await isActive(worker, first.access_token), false);
  assert.equal(await isActive(worker, second.access_token), false);
  assert.equal((await administer(worker, 'GET', '/admin/clients/demo-web')).body.enabled, true);

  await page.goto(at('/console/scopes/reports'));
  await page.click('#act-delete');
  await page.click('#confirm-yes');
  assert.match(await page.textContent('#problem'), /demo-/);
  assert.equal((await administer(worker, 'GET', '/admin/scopes/reports')).status, 200);

  await page.goto(at('/console/settings'));
  await page.fill('[id="in-refresh.idleSeconds"]', '60');
  await page.click('#save');
  assert.match(await page.textContent('main'), /refresh\.idleSeconds/);
  await page.click('#confirm-yes');
  assert.equal((await administer(worker, 'GET', '/admin/settings')).body['refresh.idleSeconds'], 60);
  await page.context().close();
});

test('a new secret is shown once, and the old one works as long as was said', async () => {
  await makeUser('keeper', ['administrator']);
  const page = await enter('keeper');
  const grant = { grant_type: 'client_credentials' };
  await page.goto(at('/console/clients/demo-machine'));
  await page.click('#act-secret');
  await page.selectOption('#in-overlap_seconds', '3600');
  await page.click('#confirm-yes');
  const secret = await page.textContent('#secret');
  for (const known of ['demo-machine-secret', secret]) {
    assert.equal((await askToken(worker, `demo-machine:${known}`, grant)).status, 200);
  }
  await page.reload();
  assert.equal((await askToken(worker, `demo-machine:${secret}`, grant)).status, 200, 'the form sent again makes no other');
  await page.context().close();
});

test('people are made, locked out, let in again, given a password, signed out and deleted', async () => {
  await makeUser('host', ['administrator']);
  const page = await enter('host');
  await page.goto(at('/console/new/users'));
  await page.fill('#in-username', 'guest');
  await page.fill('#in-password', 'short');
  await page.click('#save');
  assert.match(await page.textContent('#in-password-problem'), /8 to 1000/);
  await page.fill('#in-password', PASSWORD);
  await page.check('input[value=auditor]');
  await page.click('#save');
  assert.equal(await page.textContent('#notice'), 'It is made.');

  await administer(worker, 'PATCH', '/admin/settings', { 'login.failuresPerUser': 3 });
  const guest = await (await browser.newContext({ javaScriptEnabled: false })).newPage();
  for (let tries = 0; tries < 3; tries += 1) await signIn(guest, 'guest', 'a wrong password');
  await signIn(guest, 'guest');
  assert.match(await guest.textContent('#problem'), /Too many/);
  await page.goto(at('/console/users/guest'));
  await page.click('#act-unlock');
  assert.equal(await page.textContent('#notice'), 'The account is open again.');
  await signIn(guest, 'guest');
  assert.match(await guest.textContent('#console-user'), /guest, may look and change nothing/);
  await administer(worker, 'PATCH', '/admin/settings', { 'login.failuresPerUser': null });

  await guest.goto(at('/console/clients/demo-web'));
  assert.equal(await guest.locator('#save, #record input, #acts-title').count(), 0);
  await page.goto(at('/console/users/guest'));
  await page.click('#act-sessions');
  await page.click('#confirm-yes');
  await guest.goto(at('/console/clients'));
  assert.equal(await guest.locator('#list').count(), 0);
  await page.click('#act-password');
  await page.fill('#in-password', 'tiny');
  await page.click('#confirm-yes');
  assert.match(await page.textContent('#in-password-problem'), /8 to 1000/);
  await page.fill('#in-password', 'another battery staple');
  await page.click('#confirm-yes');
  await signIn(guest, 'guest', 'another battery staple');
  assert.match(await guest.textContent('#console-user'), /guest/);
  await page.click('#act-delete');
  await page.click('#confirm-yes');
  assert.equal((await administer(worker, 'GET', '/admin/users/guest')).status, 404);
  assert.deepEqual((await actions('user/guest')).slice(-1), [['user.created', 'user', 'host']]);
  await Promise.all([page, guest].map((one) => one.context().close()));
});

test('a registration token is made, shown once, registers a client, and is ended', async () => {
  await makeUser('registrar', ['administrator']);
  await administer(worker, 'PATCH', '/admin/settings', { 'registration.open': 1 });
  const page = await enter('registrar');
  await page.goto(at('/console'));
  await page.click('text=Registration tokens');
  await page.click('#new');
  await page.fill('#in-description', 'For the shop');
  await page.fill('#in-expires_in', '0');
  await page.click('#save');
  assert.match(await page.textContent('#in-expires_in-problem'), /from 1 to/);
  assert.equal(await page.inputValue('#in-description'), 'For the shop');
  await page.fill('#in-expires_in', '3600');
  await page.fill('#in-uses', '2');
  await page.click('#save');
  const token = await page.textContent('#secret');
  const register = () =>
    fetch(at('/register'), {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify({ redirect_uris: ['https://shop.test/cb'] }),
    });
  assert.equal((await register()).status, 201);
  await page.goto(at('/console/registration-tokens'));
  assert.match(await page.textContent('#list'), /For the shop/);
  assert(!(await page.content()).includes(token));
  await page.click('#list tbody a');
  assert.match(await page.textContent('dl'), /Uses left\s*1/);
  await page.click('#act-delete');
  assert.match(await page.textContent('main'), /Clients that registered with it stay/);
  await page.click('#confirm-yes');
  assert.equal(await page.textContent('#notice'), 'It is deleted.');
  assert.equal((await register()).status, 401);
  const log = await administer(worker, 'GET', '/admin/audit?q=registration-token');
  assert.deepEqual(log.body.items.slice(0, 2).map((item) => item.by.name), ['registrar', 'registrar']);
  await page.context().close();
});

test('a connection is made, keeps its secret to itself, says where somebody is to go, and is ended', async () => {
  await makeUser('connector', ['administrator']);
  const page = await enter('connector');
  await page.goto(at('/console'));
  await page.click('text=Connections');
  await page.click('#new');
  for (const [name, value] of Object.entries({ name: 'mail', issuer: 'https://as.test', authorization_endpoint: 'https://as.test/authorize', client_id: 'we', client_secret: 'hush-hush' })) await page.fill(`#in-${name}`, value);
  await page.fill('#in-token_endpoint', 'http://as.test/token');
  await page.click('#save');
  assert.match(await page.textContent('#in-token_endpoint-problem'), /not https/);
  assert(!(await page.content()).includes('hush-hush'));
  await page.fill('#in-token_endpoint', 'https://as.test/token');
  await page.fill('#in-client_secret', 'hush-hush');
  await page.click('#save');
  assert.match(await page.textContent('dl'), /Status\s*new/);
  await page.fill('#in-token_endpoint', 'https://other.test/token');
  await page.click('#save');
  assert.match(await page.textContent('#in-client_secret-problem'), /said again/);
  await page.fill('#in-client_secret', 'hush-again');
  await page.click('#save');
  assert.equal(await page.textContent('#notice'), 'It is saved.');
  await page.click('#act-authorize');
  assert.match(await page.textContent('#secret'), /^https:\/\/as\.test\/authorize\?response_type=code&client_id=we&/);
  await page.click('#act-delete');
  assert.match(await page.textContent('main'), /forgotten/);
  await page.click('#confirm-yes');
  assert.equal(await page.textContent('#notice'), 'It is deleted.');
  await page.click('text=External servers');
  await page.click('#new');
  for (const [name, value] of Object.entries({ name: 'partner', introspection_endpoint: 'https://as.test/introspect', client_id: 'we', username: 'alice' })) await page.fill(`#in-${name}`, value);
  await page.click('#save');
  assert.equal(await page.textContent('#notice'), 'It is made.');
  await page.click('text=External servers');
  assert.match(await page.textContent('#list'), /partner/);
  await page.context().close();
});

test('a key is made, the next one waits for its time, and one that somebody else has is removed once that is confirmed', async () => {
  await makeUser('keymaster', ['administrator']);
  const page = await enter('keymaster');
  const make = async () => {
    await page.click('nav >> text="Keys"');
    await page.click('#new');
    await page.selectOption('#in-algorithm', 'PS256');
    await page.click('#save');
    assert.equal(await page.textContent('#notice'), 'It is made.');
    return new URL(page.url()).pathname.split('/')[3];
  };
  const first = await make();
  assert.match(await page.textContent('dl'), /State\s*signing/);
  const second = await make();
  assert.match(await page.textContent('dl'), /State\s*published/);
  const published = async () => (await (await fetch(at('/jwks'))).json()).keys.map((key) => key.kid);
  assert.deepEqual(await published(), [first, second]);
  await page.click('nav >> text="Keys"');
  await page.click('#list tbody a');
  await page.click('#act-delete');
  assert.match(await page.textContent('main'), /somebody else has.*refused.*within 60 seconds/s);
  assert.deepEqual(await published(), [first, second]);
  await page.click('#confirm-yes');
  assert.equal(await page.textContent('#notice'), 'It is deleted.');
  assert.deepEqual(await published(), [second]);
  assert.deepEqual(await actions(first), [['key.removed', 'user', 'keymaster'], ['key.created', 'user', 'keymaster']]);
  await page.context().close();
});

test('who holds no role sees nothing, and an auditor changes nothing, whatever is sent', async () => {
  await makeUser('nobody', []);
  await makeUser('reader', ['auditor']);
  const stranger = await enter('nobody');
  for (const path of ['/console', '/console/clients', '/console/users/alice', '/console/new/clients']) {
    const answer = await stranger.goto(at(path));
    assert.equal(answer.status(), 403, path);
    assert.match(await stranger.textContent('main'), /neither an administrator nor an auditor/);
  }
  const page = await enter('reader');
  await page.goto(at('/console/clients/demo-spa'));
  const seal = await page.inputValue('header input[name=seal]');
  const before = (await administer(worker, 'GET', '/admin/clients/demo-spa')).text;
  for (const [path, form] of [
    ['/console/clients/demo-spa', { act: 'delete', confirm: 'yes' }],
    ['/console/clients/demo-spa', { act: 'save', version: '"1"', confirm: 'yes' }],
    ['/console/users/reader', { act: 'save', version: '"1"', roles: 'administrator', confirm: 'yes' }],
    ['/console/users', { username: 'mallory', password: PASSWORD, roles: 'administrator' }],
  ]) {
    const answer = await page.request.post(at(path), { form: { seal, ...form }, maxRedirects: 0 });
    assert.equal(answer.status(), 400, path);
    assert.match(await answer.text(), /may look at everything and change nothing/);
  }
  assert.equal((await administer(worker, 'GET', '/admin/clients/demo-spa')).text, before);
  assert.equal((await administer(worker, 'GET', '/admin/users/mallory')).status, 404);
  await Promise.all([stranger, page].map((one) => one.context().close()));
});

/** Pages with every form there is. */
const PAGES = [
  '/console',
  '/console/clients',
  '/console/clients/demo-web',
  '/console/new/clients',
  '/console/scopes',
  '/console/scopes/reports',
  '/console/new/scopes',
  '/console/users',
  '/console/users/alice',
  '/console/new/users',
  '/console/grants',
  '/console/registration-tokens',
  '/console/new/registration-tokens',
  '/console/connections',
  '/console/connections/mail',
  '/console/new/connections',
  '/console/external-servers/partner',
  '/console/keys',
  '/console/new/keys',
  '/console/new/external-servers',
  '/console/settings',
  '/console/audit',
];

describe('each page', () => {
  /** @type {import('playwright-core').Page} */
  let page;

  before(async () => {
    await makeUser('guide', ['administrator']);
    const connection = { name: 'mail', issuer: 'https://as.test', authorization_endpoint: 'https://as.test/authorize', token_endpoint: 'https://as.test/token', client_id: 'we' };
    assert.equal((await administer(worker, 'POST', '/admin/connections', connection)).status, 201);
    page = await enter('guide', { javaScriptEnabled: true });
  });

  after(() => page?.context().close());

  /** What can be reached by Tab, by its place in the page. */
  const reachable = () =>
    page.evaluate(() => {
      const selector = 'a[href], button, input:not([type=hidden]), select, textarea, [tabindex="0"]';
      const all = [...globalThis.document.querySelectorAll(selector)];
      all.forEach((element, index) => element.setAttribute('data-place', String(index)));
      return all.length;
    });

  for (const path of [...PAGES, 'the sign-in page', '/console/administrator', 'a question']) {
    test(`${path}: axe-core finds nothing serious, light or dark, and the keyboard reaches everything in its order`, async () => {
      if (path === 'a question') {
        await page.goto(at('/console/users/alice'));
        await page.click('#act-password');
      } else if (path === 'the sign-in page') {
        await page.context().clearCookies();
        await page.goto(at('/console'));
      } else {
        if (path === '/console/administrator') await signIn(page, 'guide');
        await page.goto(at(path));
      }
      for (const colorScheme of /** @type {const} */ (['light', 'dark'])) {
        await page.emulateMedia({ colorScheme });
        await page.evaluate(AXE);
        const { violations } = await page.evaluate(() => globalThis.axe.run());
        const serious = violations.filter(({ impact }) => ['serious', 'critical'].includes(impact));
        assert.deepEqual(serious.map(({ id, nodes }) => [id, nodes.map((node) => node.html)]), []);
      }
      const count = await reachable();
      const visited = [];
      for (let index = 0; index < count; index += 1) {
        await page.keyboard.press('Tab');
        visited.push(await page.evaluate(() => globalThis.document.activeElement?.getAttribute('data-place')));
      }
      assert.deepEqual(visited, Array.from({ length: count }, (_, index) => String(index)));
    });
  }

  for (const [name, viewport] of Object.entries({ phone: PHONE, desktop: DESKTOP })) {
    test(`no page is wider than a ${name}`, async () => {
      await page.setViewportSize(viewport);
      for (const path of PAGES) {
        await page.goto(at(path));
        const width = await page.evaluate(() => globalThis.document.documentElement.scrollWidth);
        assert(width <= viewport.width, `${path} is ${width} wide`);
        const directory = process.env.EDGEMINT_SCREENSHOTS;
        if (directory) await page.screenshot({ path: `${directory}/${name}${path.replaceAll('/', '-')}.png`, fullPage: true });
      }
    });
  }
});
