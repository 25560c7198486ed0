// A person before a real browser, with scripts and without: signing in, allowing, denying, going back.

import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { Callback, launchBrowser } from './browser.mjs';
import { administer, askToken, isActive, WEB } from './caller.mjs';
import { authorization, VERIFIER } from './person.mjs';
import { until } from './until.mjs';
import { Worker } from './worker.mjs';

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

for (const javaScriptEnabled of [true, false]) {
  describe(`with JavaScript ${javaScriptEnabled ? 'on' : 'off'}`, () => {
    /** @type {import('playwright-core').BrowserContext} */
    let context;
    /** @type {import('playwright-core').Page} */
    let page;
    /** @type {string[]} */
    let complaints;

    beforeEach(async () => {
      context = await browser.newContext({ javaScriptEnabled });
      page = await context.newPage();
      page.setDefaultTimeout(10_000);
      complaints = [];
      page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()));
      page.on('pageerror', (error) => complaints.push(String(error)));
      client.answers.length = 0;
      client.forms.length = 0;
    });

    afterEach(async () => {
      await context.close();
      // A page's own 4xx is told as a failed load; everything else is a fault of the page.
      assert.deepEqual(complaints.filter((text) => !/status of 4\d\d/.test(text)), []);
    });

    /** @param {Record<string, string>} [more] @param {string} [clientId] */
    const open = (more = {}, clientId = 'demo-web') =>
      page.goto(`${worker.issuer}/authorize?${new URLSearchParams(authorization(clientId, { redirect_uri: client.uri, prompt: 'consent', ...more }))}`);

    /** @param {string} [username] @param {string} [password] */
    async function signIn(username = 'alice', password = 'wonderland') {
      await page.fill('#username', username);
      await page.fill('#password', password);
      await page.click('#login-submit');
    }

    /** The one answer that reached the client. */
    async function readAnswer() {
      await page.getByRole('heading', { name: 'The client has it' }).waitFor();
      assert.equal(client.answers.length, 1);
      const [answer] = client.answers;
      assert.equal(answer.searchParams.get('state'), 'a state');
      assert.equal(answer.searchParams.get('iss'), worker.issuer);
      return answer.searchParams;
    }

    /** @param {string} code @param {string} [who] */
    const redeem = (code, who = WEB) =>
      askToken(worker, who, { grant_type: 'authorization_code', code, redirect_uri: client.uri, code_verifier: VERIFIER });

    test('a wrong password is told, the right one leads on, and what is unticked is not given', async () => {
      await open();
      await signIn('alice', 'looking-glass');
      assert.match(await page.textContent('#login-problem'), /do not belong together/);
      assert.equal(await page.inputValue('#username'), 'alice');
      assert.equal(await page.inputValue('#password'), '');
      await signIn();
      assert.equal(await page.textContent('#consent-username'), 'alice');
      assert.equal(await page.textContent('#consent-host'), new URL(client.uri).hostname);
      const boxes = page.locator('input[name=scope]');
      assert.equal(await boxes.count(), 3);
      for (const box of await boxes.all()) assert.equal(await box.isChecked(), true);
      await page.uncheck('input[name=scope][value="orders.write"]');
      await page.click('#consent-allow');
      const { status, body } = await redeem((await readAnswer()).get('code'));
      assert.equal(status, 200);
      assert.equal(body.scope, 'orders.read reports');
      assert.equal(await isActive(worker, body.access_token), true);
    });

    test('allowing all gives all, whatever is unticked; the next request needs no password', async () => {
      await open();
      await signIn('bob', 'builder');
      await page.uncheck('input[name=scope][value="reports"]');
      await page.click('#consent-all');
      assert.equal((await redeem((await readAnswer()).get('code'))).body.scope, 'orders.read orders.write reports');
      await open();
      assert.equal(await page.textContent('#consent-username'), 'bob');
      await page.click('#consent-switch');
      // Counting does not wait for the page that the click leads to.
      await page.locator('#login-submit').waitFor();
    });

    test('denying, and ticking nothing, both tell the client access_denied', async () => {
      await open();
      await signIn();
      await page.click('#consent-deny');
      assert.equal((await readAnswer()).get('error'), 'access_denied');
      client.answers.length = 0;
      await open();
      for (const box of await page.locator('input[name=scope]').all()) await box.uncheck();
      await page.click('#consent-allow');
      const answer = await readAnswer();
      assert.deepEqual([answer.get('error'), answer.get('code')], ['access_denied', null]);
    });

    test('an answer that is a form is posted to the client, by itself or by a button, and by nothing else on the page', async () => {
      /** @type {string[]} */
      const policies = [];
      page.on('response', (response) => policies.push(response.headers()['content-security-policy'] ?? ''));
      /** What the page posts to the client, which is where the browser is then. */
      const arrive = async () => {
        if (!javaScriptEnabled) {
          const button = page.getByRole('button', { name: 'Go on' });
          await button.waitFor();
          assert.deepEqual(client.forms, [], 'nothing goes by itself');
          await button.click();
        }
        await page.getByRole('heading', { name: 'The client has it' }).waitFor();
        assert.deepEqual([page.url(), client.forms.length, client.answers.length], [client.uri, 1, 0]);
        const [form] = client.forms.splice(0);
        assert.equal(form.get('state'), 'a "state" <b>&amp; more');
        assert.equal(form.get('iss'), worker.issuer);
        return form;
      };
      const asked = { response_mode: 'form_post', state: 'a "state" <b>&amp; more' };
      await open(asked);
      await signIn();
      await page.click('#consent-allow');
      const form = await arrive();
      assert.deepEqual([...form.keys()].sort(), ['code', 'iss', 'state']);
      const { status, text } = await redeem(form.get('code'));
      assert.equal(status, 200, text);
      const [policy, ...others] = policies.filter((text) => text.includes('script-src'));
      assert.match(policy, /script-src 'sha256-[\w+/=]+';/);
      assert(policy.includes(`form-action ${new URL(client.uri).origin};`), policy);
      assert.deepEqual(others, [], 'no other page has a script');
      await open(asked);
      await page.click('#consent-deny');
      assert.equal((await arrive()).get('error'), 'access_denied');
    });

    test('a double click on Allow gives one code, which works once', async () => {
      await open();
      await signIn();
      // Both clicks are on the page before the first answer is.
      await page.locator('#consent-allow').dblclick({ noWaitAfter: true });
      await page.getByRole('heading', { name: 'The client has it' }).waitFor();
      const codes = new Set(client.answers.map((answer) => answer.searchParams.get('code')));
      assert.equal(codes.size, 1);
      const [code] = codes;
      assert.equal((await redeem(code)).status, 200);
      assert.equal((await redeem(code)).body.error, 'invalid_grant');
    });

    test('going back and deciding again is harmless', async () => {
      const answered = () => page.getByRole('heading', { name: 'The client has it' }).waitFor();
      await open();
      await signIn();
      await page.click('#consent-all');
      const first = (await redeem((await readAnswer()).get('code'))).body;
      await open();
      await page.click('#consent-allow');
      await answered();
      await page.goBack();
      await page.click('#consent-allow');
      await answered();
      assert.equal(client.answers.length, 3);
      // Whether the browser kept the form or asked for a new one: each code works once, and nothing else ends.
      const codes = new Set(client.answers.slice(1).map((answer) => answer.searchParams.get('code')));
      for (const code of codes) assert.equal((await redeem(code)).status, 200);
      assert.equal(await isActive(worker, first.access_token), true);
    });

    test('a form that was decided, and whose code was redeemed, gives nothing a second time', async () => {
      await open();
      await signIn();
      const form = await page.locator('form').evaluate((element) => [...new FormData(element)].map(([name, value]) => [name, String(value)]));
      await page.click('#consent-all');
      const code = (await readAnswer()).get('code');
      const { body } = await redeem(code);
      const response = await context.request.post(`${worker.issuer}/consent`, {
        form: { ...Object.fromEntries(form), decision: 'all' },
        maxRedirects: 0,
      });
      const location = response.headers().location;
      if (location) assert.equal(new URL(location).searchParams.get('code'), code);
      else assert.equal(response.status(), 400);
      assert.equal(await isActive(worker, body.access_token), true);
    });

    test('the name and the scopes of a client are text, whatever they look like', async () => {
      const name = '<img src=x onerror="document.title=1"><b>Bank</b> & "Co"';
      const { body } = await administer(worker, 'POST', '/admin/clients', {
        client_name: name,
        client_version: String(javaScriptEnabled),
        redirect_uris: [client.uri],
        grant_types: ['authorization_code'],
        scope: 'reports',
        token_endpoint_auth_method: 'none',
      });
      await open({ state: 'a state' }, body.client_id);
      assert((await page.textContent('main')).includes(name));
      await signIn('"><script>document.title=2</script>', '<b>');
      assert.equal(await page.inputValue('#username'), '"><script>document.title=2</script>');
      await signIn();
      assert((await page.textContent('main')).includes(name));
      assert.equal(await page.locator('main img, main b, main script').count(), 0);
      assert.match(await page.title(), /Access Approval/);
      await page.click('#consent-allow');
      assert.equal((await redeem((await readAnswer()).get('code'), body.client_id)).status, 200);
    });

    test('an answer leaves for a loopback address of IPv6, which no content security policy can name', async () => {
      const { body } = await administer(worker, 'POST', '/admin/clients', {
        redirect_uris: ['http://[::1]/callback'],
        scope: 'reports',
        token_endpoint_auth_method: 'none',
      });
      await open({ redirect_uri: 'http://[::1]:9/callback' }, body.client_id);
      await signIn();
      // Nothing listens there, and perhaps the machine has no IPv6: that the browser goes there is what counts.
      const left = page.waitForRequest((request) => request.url().startsWith('http://[::1]:9/callback?'));
      await page.click('#consent-allow', { noWaitAfter: true });
      assert.match(new URL((await left).url()).searchParams.get('code'), /^emc_/);
    });

    test('the walk through a flow begins at 127.0.0.1 and ends with tokens', async () => {
      await page.goto(`http://127.0.0.1:${worker.port}/`);
      assert.equal(page.url(), `${worker.issuer}/`);
      assert.equal(await page.textContent('#issuer'), worker.issuer);
      await page.click('#walk');
      await signIn();
      await page.click('#consent-allow');
      assert.match(await page.textContent('#redeem'), /curl -s .*code_verifier=/s);
      assert.match(await page.textContent('#code'), /^emc_/);
      const [response] = await Promise.all([page.waitForResponse(`${worker.issuer}/token`), page.click('#walk-redeem')]);
      assert.equal(response.status(), 200);
      await page.waitForLoadState();
      const { access_token, scope } = JSON.parse(await page.textContent('body'));
      assert.equal(scope, 'orders.read orders.write reports');
      assert.equal(await isActive(worker, access_token), true);
    });

    test('the walk tells of a denial', async () => {
      await page.goto(worker.issuer);
      await page.click('#walk');
      await signIn();
      await page.click('#consent-deny');
      assert.equal(await page.textContent('#error'), 'access_denied');
    });

    test('an error that may not be redirected is a page that names it', async () => {
      for (const [more, clientId] of /** @type {[Record<string, string>, string][]} */ ([
        [{}, 'nobody'],
        [{ redirect_uri: 'https://attacker.example/callback' }, 'demo-web'],
      ])) {
        const response = await open(more, clientId);
        assert.equal(response.status(), 400);
        assert.equal(new URL(page.url()).pathname, '/authorize');
        assert.equal(await page.textContent('h1'), 'Authorization error');
        assert.match(await page.textContent('[role=alert] code'), /^invalid_(client|request)$/);
        const trace = await page.textContent('#trace-id');
        await until('the log knows the number', () => worker.log.some(({ message }) => message.includes(`"trace":"${trace}"`)));
      }
      assert.deepEqual(client.answers, []);
    });

    test('pages are styled', async () => {
      await open();
      assert.notEqual(await page.locator('main').evaluate((main) => globalThis.getComputedStyle(main).maxWidth), 'none');
    });
  });
}

test('no page of these tests was an error of the server', () => {
  assert.deepEqual(worker.failures(), []);
});
