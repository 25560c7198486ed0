// Administration from the shell, as an operator runs it: a process, its output, its exit code.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { inspect } from './caller.mjs';
import { Person } from './person.mjs';
import { ADMIN_TOKEN, findFreePort, KEY_A, Worker } from './worker.mjs';

const CTL = fileURLToPath(new URL('../../scripts/ctl.mjs', import.meta.url));

/** @type {Worker} */
let worker;

before(async () => {
  worker = await Worker.start();
});

after(() => worker.stop());

/**
 * @param {string[]} args
 * @param {{ env?: Record<string, string | undefined>, input?: string, heard?: (text: string) => void }} [more] `undefined`: not set
 * @returns {Promise<{ code: number, out: string, err: string }>}
 */
async function ctl(args, { env = {}, input = '', heard } = {}) {
  const all = { ...process.env, EDGEMINT_ISSUER: worker.issuer, ADMIN_TOKEN, ...env };
  const given = Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
  const child = spawn(process.execPath, [CTL, ...args], { env: given, stdio: ['pipe', 'pipe', 'pipe'] });
  child.stdin.end(input);
  let [out, err] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text) => {
    out += text;
    heard?.(out);
  });
  child.stderr.setEncoding('utf8').on('data', (text) => void (err += text));
  const [code] = await once(child, 'close');
  return { code, out, err };
}

/** Its output as JSON. @param {string[]} args @param {object} [more] */
async function json(args, more) {
  const { code, out, err } = await ctl(['--json', ...args], more);
  assert.equal(code, 0, err);
  return JSON.parse(out);
}

describe('ctl', () => {
  test('makes, lists, shows, changes and deletes clients, scopes and people', async () => {
    await json(['scope', 'create', 'invoices', 'See your invoices']);
    const made = await json(['client', 'create', '--name', 'Shop', '--grant', 'client_credentials', '--scope', 'invoices']);
    assert.match(made.client_secret, /^[\w-]{43}$/);
    const { client_id: id } = made;
    const listed = await json(['client', 'list', '--q', 'Shop']);
    assert.deepEqual(listed.map((item) => item.client_id), [id]);
    assert.equal((await json(['client', 'set', id, 'description=For the shop', 'access_token_lifetime=60'])).access_token_lifetime, 60);
    const rotated = await json(['client', 'rotate-secret', id, '--overlap', '60']);
    assert.notEqual(rotated.client_secret, made.client_secret);
    const shown = await ctl(['client', 'show', id]);
    assert.match(shown.out, /^description +For the shop$/m);
    await json(['user', 'create', 'ada', 'groups=["x"]'], { input: 'a long password\n' });
    assert.deepEqual((await json(['user', 'set', 'ada', 'roles=["auditor"]'])).roles, ['auditor']);
    await json(['user', 'set-password', 'ada'], { input: 'another password' });
    const page = await new Person(worker).reachConsent('demo-web', {}, 'ada', 'another password');
    assert.match(page.text, /consent-allow/);
    assert.match((await ctl(['user', 'list'])).out, /^username +sub +groups/);
    for (const [noun, name] of [['user', 'ada'], ['client', id], ['scope', 'invoices']]) {
      assert.equal((await ctl([noun, 'delete', name])).code, 0);
      assert.equal((await ctl([noun, 'show', name])).code, 4, 'there is no such thing');
    }
    const log = await json(['audit']);
    assert.deepEqual(log.slice(0, 3).map((change) => change.action), ['scope.deleted', 'client.deleted', 'user.deleted']);
  });

  test('lists and ends grants, and reads and changes settings', async () => {
    const person = new Person(worker);
    await person.code('demo-web');
    const [grant] = await json(['grant', 'list', '--user', 'alice']);
    assert.equal((await ctl(['grant', 'revoke', grant.id])).code, 0);
    assert.equal((await ctl(['grant', 'revoke', '--client', 'demo-web'])).code, 0);
    assert.deepEqual(await json(['grant', 'list', '--client', 'demo-web']), []);
    assert.equal((await ctl(['settings', 'set', 'log.successPercent=7'])).code, 0);
    assert.equal((await ctl(['settings', 'get', 'log.successPercent'])).out, '7\n');
    await json(['settings', 'set', 'log.successPercent=null']);
    assert.equal((await json(['settings', 'get']))['log.successPercent'], 100);
  });

  test('makes registration tokens, lists and ends them', async () => {
    await json(['settings', 'set', 'registration.open=1']);
    const made = await json(['registration-token', 'create', '--uses', '2', '--expires-in', '60', '--description', 'For the shop']);
    assert.deepEqual([made.uses, made.expires_at - made.created_at], [2, 60]);
    const register = () => fetch(`${worker.issuer}/register`, {
      method: 'POST',
      headers: { authorization: `Bearer ${made.token}`, 'content-type': 'application/json' },
      body: '{"redirect_uris":["https://shop.test/cb"]}',
    });
    assert.equal((await register()).status, 201);
    const [listed] = await json(['registration-token', 'list']);
    assert.deepEqual([listed.id, listed.uses, listed.description, listed.token], [made.id, 1, 'For the shop', undefined]);
    assert.equal((await ctl(['registration-token', 'delete', made.id])).code, 0);
    assert.equal((await register()).status, 401);
    assert.equal((await ctl(['registration-token', 'delete', made.id])).code, 4);
    assert.equal((await ctl(['registration-token', 'create', '--uses', 'many'])).code, 3);
  });

  test('lists keys, rotates and removes them', async () => {
    const first = await json(['keys', 'rotate', 'EdDSA']);
    assert.deepEqual([first.algorithm, first.state, first.gone_at], ['EdDSA', 'signing', null]);
    const next = await json(['keys', 'rotate', 'EdDSA']);
    assert.equal(next.state, 'published');
    assert.equal((await json(['keys', 'rotate'])).algorithm, 'ES256');
    assert.match((await ctl(['keys', 'list'])).out, /^kid +algorithm +state +created_at +signs_at +retired_at +gone_at\n/);
    const { out } = await ctl(['keys', 'remove', first.kid]);
    assert.equal(out, `${first.kid} is removed.\n`);
    const listed = (await json(['keys', 'list'])).filter((key) => key.algorithm === 'EdDSA');
    assert.deepEqual(listed.map((key) => [key.kid, key.state]), [[next.kid, 'signing']]);
    assert.equal((await ctl(['keys', 'remove', first.kid])).code, 4);
    assert.equal((await ctl(['keys', 'rotate', 'HS256'])).code, 3);
  });

  test('makes, shows, changes and ends connections, and says where somebody is to go', async () => {
    const members = [`issuer=${worker.issuer.replace('localhost', '127.0.0.1')}`, 'client_id=we', 'scope=a b', 'allowed_origins=["http://127.0.0.1:9"]'];
    const endpoints = ['authorization_endpoint=http://127.0.0.1:9/authorize', 'token_endpoint=http://127.0.0.1:9/token'];
    const made = JSON.parse((await ctl(['--json', 'connection', 'create', 'mail', ...members, ...endpoints, '--secret'], { input: 'hush\n' })).out);
    assert.deepEqual([made.status, made.scope, made.allowed_origins, made.client_secret], ['new', 'a b', ['http://127.0.0.1:9'], undefined]);
    assert.match((await ctl(['connection', 'authorize', 'mail'])).out, /^http:\/\/127\.0\.0\.1:9\/authorize\?response_type=code&client_id=we&/);
    assert.equal((await json(['connection', 'set', 'mail', 'scope=c'])).scope, 'c');
    assert.equal((await ctl(['connection', 'token', 'mail'])).code, 5);
    assert.deepEqual((await json(['connection', 'list'])).map((item) => item.name), ['mail']);
    assert.equal((await ctl(['connection', 'delete', 'mail'])).code, 0);
    assert.equal((await ctl(['connection', 'show', 'mail'])).code, 4);
    const endpoint = 'introspection_endpoint=http://127.0.0.1:9/introspect';
    const server = JSON.parse((await ctl(['--json', 'external-server', 'create', 'partner', endpoint, 'client_id=12345', '--secret'], { input: 'hush\n' })).out);
    assert.deepEqual([server.client_id, server.has_client_secret], ['12345', true]);
    assert.equal((await json(['external-server', 'set', 'partner', 'username=alice'])).username, 'alice');
    assert.equal((await ctl(['external-server', 'delete', 'partner'])).code, 0);
  });

  test('says how everything is', async () => {
    const items = await json(['health']);
    assert.deepEqual(items.slice(0, 2).map((item) => item.id), ['replica', 'registry']);
    assert.match((await ctl(['health'])).out, /^id +size +owed/);
  });

  test('says what is wrong in a sentence, and by its exit code', async () => {
    const cases = /** @type {[string[], number, RegExp, object?][]} */ ([
      [['client', 'create', '--grant', 'magic'], 3, /400 grant_types: /],
      [['client', 'show', 'nobody'], 4, /404 there is no such client/],
      [['scope', 'create', 'reports'], 5, /409 name: /],
      [['scope', 'delete', 'reports'], 5, /409 clients: clients have this scope: demo-/],
      [['client', 'list'], 3, /401 .*Set ADMIN_TOKEN/, { env: { ADMIN_TOKEN: 'wrong'.repeat(8) } }],
      [['client', 'list'], 6, /does not answer/, { env: { EDGEMINT_ISSUER: `http://127.0.0.1:${await findFreePort()}` } }],
      [['client', 'list'], 2, /neither https nor loopback/, { env: { EDGEMINT_ISSUER: 'http://as.example' } }],
      [['client', 'list'], 2, /neither https nor loopback/, { env: { EDGEMINT_ISSUER: 'http://localhost:1@as.example' } }],
      [['grant', 'revoke'], 2, /in one way/],
      [['client', 'set', 'demo-web', 'nonsense'], 2, /name=value/],
      [['settings', 'get', 'magic'], 4, /no setting magic/],
      [['magic'], 2, /unknown command/],
      [['user', 'create', 'nobody'], 2, /no password/],
    ]);
    for (const [args, code, sentence, more] of cases) {
      const answer = await ctl(args, more);
      assert.equal(answer.code, code, `${args.join(' ')}: ${answer.err}`);
      assert.match(answer.err, sentence);
      assert.doesNotMatch(answer.err, /\n +at /, 'no stack trace');
    }
    assert.equal((await ctl(['--help'])).code, 0);
  });
});

describe('ctl at another server', () => {
  test('says that it is not the right one, whatever it answers', async () => {
    for (const [body, status] of /** @type {[string, number][]} */ ([['<p>Welcome</p>', 200], ['{"items":1}', 200], ['[]', 201], ['', 200], ['no', 404]])) {
      const server = createServer((_, response) => response.writeHead(status).end(body)).listen(0, '127.0.0.1');
      await once(server, 'listening');
      const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
      const answer = await ctl(['client', 'list'], { env: { EDGEMINT_ISSUER: `http://127.0.0.1:${port}` } });
      server.close();
      assert.equal(answer.code, status === 404 ? 4 : 6, answer.err);
      assert.match(answer.err, /not as Edgemint does/);
      assert.doesNotMatch(answer.err, /\n +at /, 'no stack trace');
    }
  });
});

describe('ctl export and import', () => {
  const KEY = 'a:AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI';

  test('an export, imported into an empty server, is exported there to the byte, and works there', async () => {
    const production = (/** @type {string} */ key) => ({ MODE: undefined, ISSUER: 'https://as.test', MASTER_KEY: key });
    const [one, other] = await Promise.all([KEY_A, KEY].map((key) => Worker.start({ vars: production(key) })));
    const scratch = mkdtempSync(join(tmpdir(), 'edgemint-export-'));
    try {
      const at = (/** @type {Worker} */ server) => ({ env: { EDGEMINT_ISSUER: `http://localhost:${server.port}` } });
      await json(['scope', 'create', 'invoices', 'See your invoices'], at(one));
      const drawn = await json(['client', 'create', '--name', 'Shop', '--grant', 'client_credentials', '--scope', 'invoices'], at(one));
      await json(['client', 'create', '--id', 'spa', '--public', '--redirect-uri', 'https://spa.test/cb'], at(one));
      await json(['client', 'create', '--id', 'old', 'profile=legacy', '--redirect-uri', 'https://old.test/cb'], at(one));
      const rotated = await json(['client', 'rotate-secret', drawn.client_id, '--overlap', '3600'], at(one));
      await json(['user', 'create', 'ada', 'groups=["x"]', 'claims={"name":"Ada"}'], { ...at(one), input: 'a long password' });
      await json(['settings', 'set', 'session.lifetimeSeconds=60'], at(one));
      const endpoints = ['issuer=https://other.test', 'authorization_endpoint=https://other.test/authorize', 'token_endpoint=https://other.test/token'];
      await json(['connection', 'create', 'mail', ...endpoints, 'client_id=we', '--secret'], { ...at(one), input: 'theirs alone' });
      const first = await ctl(['export'], at(one));
      assert.equal(first.code, 0, first.err);
      for (const secret of [drawn.client_secret, rotated.client_secret, 'a long password', 'theirs alone']) assert(!first.out.includes(secret));
      const file = join(scratch, 'registry.json');
      // As `npm run ctl -- export > file` leaves it.
      writeFileSync(file, `\n> edgemint@0.1.0 ctl\n> exec node scripts/ctl.mjs export\n\n${first.out}`);
      // Somebody came to the middle, and no further.
      await json(['scope', 'create', 'invoices', 'See your invoices'], at(other));
      const stopped = await ctl(['import', file], at(other));
      assert.equal(stopped.code, 5);
      assert.match(stopped.err, /^scopes, invoices: 409 name: /);
      const imported = await ctl(['import', '--resume', file], at(other));
      assert.equal(imported.code, 0, imported.err);
      const second = await ctl(['export'], at(other));
      assert.equal(second.out, first.out);
      // Both secrets are taken there, too.
      for (const { client_secret: secret } of [drawn, rotated]) {
        const fields = new URLSearchParams({ grant_type: 'client_credentials', client_id: drawn.client_id, client_secret: secret });
        const answer = await fetch(`http://localhost:${other.port}/token`, { method: 'POST', body: fields });
        assert.equal(answer.status, 200, await answer.text());
      }
      assert.equal((await ctl(['import', file], at(other))).code, 5, 'what is there already is no empty server');
      assert.equal((await ctl(['import', join(scratch, 'none')], at(other))).code, 2);
      const written = join(scratch, 'written.json');
      assert.equal((await ctl(['export', written], at(one))).code, 0);
      assert.equal(readFileSync(written, 'utf8'), first.out);
      assert.equal(statSync(written).mode & 0o077, 0, 'nobody else may read it');
      assert.equal((await ctl(['export', written], at(one))).code, 2, 'what is there is not overwritten');
      writeFileSync(file, '{"format":1,"settings":{}}');
      assert.equal((await ctl(['import', file], at(other))).code, 2);
    } finally {
      await Promise.all([one.stop(), other.stop()]);
      rmSync(scratch, { recursive: true, force: true });
    }
  });
});

describe('ctl perform', () => {
  /** Allows what is asked at the address that is printed. @param {string[]} args @param {Record<string, string | undefined>} env */
  function perform(args, env) {
    /** @type {Promise<void> | undefined} */
    let allowing;
    return ctl(args, {
      env,
      heard(out) {
        const address = /open in a browser: (\S+)\n/.exec(out)?.[1];
        if (address && !allowing) allowing = allow(new URL(address));
      },
    });
  }

  /** @param {URL} url */
  async function allow(url) {
    const person = new Person(worker);
    const { location } = await person.decide(await person.signIn(await person.send(url.pathname + url.search)));
    await fetch(location);
  }

  test('completes the code flow, and refreshes what it gave', async () => {
    const port = await findFreePort();
    // Of a loopback redirect URI only the port may be another one (RFC 8252 §7.3).
    const args = ['perform', 'code', '--client', 'demo-web', '--redirect-uri', `http://127.0.0.1:${port}/callback`];
    const answer = await perform(args, { CLIENT_SECRET: 'demo-web-secret' });
    assert.equal(answer.code, 0, answer.err);
    assert.match(answer.out, /1\. metadata[^]*2\. the authorization request[^]*3\. the answer[^]*4\. the code for tokens[^]*It works\.\n$/);
    assert.doesNotMatch(answer.out, /em[ar]_[\w.-]{20}/, 'tokens are not printed');
  });

  test('takes no answer to another request, and waits for no connection that says nothing', async () => {
    const port = await findFreePort();
    const here = `http://127.0.0.1:${port}/callback`;
    /** @type {import('node:net').Socket | undefined} */
    let silent;
    const started = Date.now();
    const answer = await ctl(['perform', 'code', '--client', 'demo-web', '--wait', '3', '--redirect-uri', here], {
      env: { CLIENT_SECRET: 'demo-web-secret' },
      heard(out) {
        if (silent || !out.includes('open in a browser')) return;
        silent = connect(port, '127.0.0.1');
        silent.on('error', () => {});
        void fetch(`${here}?error=access_denied&error_description=%1b[2J&state=another`);
      },
    });
    silent?.destroy();
    assert.equal(answer.code, 6, answer.err);
    assert.match(answer.err, /Nobody came back.* 1 came with another state/);
    assert(Date.now() - started < 15_000, 'it ended when it was over');
  });

  test('gets a token for a client itself, and new ones for a refresh token', async () => {
    const env = { CLIENT_SECRET: 'demo-machine-secret' };
    const tokens = await json(['perform', 'client-credentials', '--client', 'demo-machine', '--scope', 'reports'], { env });
    assert.equal(JSON.parse(await inspect(worker, tokens.access_token)).active, true);
    const person = new Person(worker);
    const { redeem } = await import('./caller.mjs');
    const { refresh_token: token } = (await redeem(worker, await person.code('demo-web'))).body;
    const refreshed = await json(['perform', 'refresh', '--client', 'demo-web'], { env: { CLIENT_SECRET: 'demo-web-secret', REFRESH_TOKEN: token } });
    assert.notEqual(refreshed.refresh_token, token);
  });

  test('explains a wrong issuer, redirect URI, client, secret and scope', async () => {
    const port = await findFreePort();
    const here = `http://127.0.0.1:${port}/callback`;
    const cases = /** @type {[string[], Record<string, string | undefined>, number, RegExp][]} */ ([
      [['code', '--client', 'demo-web'], { EDGEMINT_ISSUER: `http://127.0.0.1:${port}` }, 6, /The issuer is wrong, or does not answer: ECONNREFUSED/],
      [['code', '--client', 'demo-web'], { EDGEMINT_ISSUER: worker.issuer.replace('localhost', '127.0.0.1') }, 6, /names another issuer/],
      [['code', '--client', 'demo-web'], { EDGEMINT_ISSUER: `${worker.issuer}/nowhere` }, 6, /answers 404/],
      [['code', '--client', 'demo-web', '--redirect-uri', `http://127.0.0.1:${port}/elsewhere`], {}, 3, /is demo-web registered, with exactly the redirect URI/],
      [['code', '--client', 'nobody', '--redirect-uri', here], {}, 3, /is nobody registered/],
      [['code', '--client', 'demo-web', '--redirect-uri', here, '--scope', 'magic'], {}, 3, /invalid_scope/],
      [['code', '--client', 'demo-web', '--redirect-uri', 'https://app.test/cb'], {}, 2, /not an http address on loopback/],
      [['client-credentials', '--client', 'demo-machine'], { CLIENT_SECRET: 'wrong' }, 3, /invalid_client: .*CLIENT_SECRET/],
      [['client-credentials', '--client', 'demo-web'], { CLIENT_SECRET: 'demo-web-secret' }, 3, /unauthorized_client/],
      [['refresh', '--client', 'demo-web'], { CLIENT_SECRET: 'demo-web-secret', REFRESH_TOKEN: 'emr_nonsense' }, 3, /invalid_grant/],
      [['refresh', '--client', 'demo-web'], { REFRESH_TOKEN: undefined }, 2, /REFRESH_TOKEN is not set/],
    ]);
    for (const [args, env, code, sentence] of cases) {
      const answer = await ctl(['perform', ...args], { env });
      assert.equal(answer.code, code, `${args.join(' ')}: ${answer.err}`);
      assert.match(answer.err, sentence);
      assert.doesNotMatch(answer.err, /\n +at /, 'no stack trace');
    }
    const wrong = await perform(['perform', 'code', '--client', 'demo-web', '--redirect-uri', here], { CLIENT_SECRET: 'wrong' });
    assert.equal(wrong.code, 3, wrong.err);
    assert.match(wrong.err, /invalid_client: .*CLIENT_SECRET is not its secret/);
  });

  test('says so when nobody comes back', async () => {
    const args = ['perform', 'code', '--client', 'demo-web', '--wait', '0', '--redirect-uri', `http://127.0.0.1:${await findFreePort()}/callback`];
    const answer = await ctl(args, { env: { CLIENT_SECRET: 'demo-web-secret' } });
    assert.equal(answer.code, 6, answer.err);
    assert.match(answer.err, /Nobody came back/);
  });
});
