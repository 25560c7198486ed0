// Hostile HTTP: whatever comes in, something well formed goes out, and nothing of it is an error of the server.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { MACHINE, post, read, WEB } from './caller.mjs';
import { authorization, Person } from './person.mjs';
import { exchange } from './socket.mjs';
import { until } from './until.mjs';
import { Worker } from './worker.mjs';

const FORM = 'application/x-www-form-urlencoded';
const METADATA = '/.well-known/oauth-authorization-server';

/** @type {Worker} */
let worker;

before(async () => {
  worker = await Worker.start();
});

after(async () => {
  await worker.stop();
});

/** @param {string} path @param {RequestInit} [init] */
const ask = async (path, init) => read(await fetch(`${worker.issuer}${path}`, { redirect: 'manual', ...init }));

/** A form whose bytes are given. @param {string} path @param {string | Uint8Array} body @param {Record<string, string>} [headers] */
const send = (path, body, headers = {}) => ask(path, { method: 'POST', body, headers: { 'content-type': FORM, ...headers } });

const basic = (/** @type {string} */ text) => ({ authorization: `Basic ${btoa(text)}` });

describe('methods', () => {
  for (const [path, allowed, methods] of /** @type {[string, string[], string[]][]} */ ([
    ['/token', ['POST'], ['GET', 'HEAD', 'PUT', 'DELETE', 'PATCH', 'PROPFIND', 'QUERY']],
    ['/revoke', ['POST'], ['GET', 'PROPFIND']],
    ['/introspect', ['POST'], ['GET', 'OPTIONS', 'PROPFIND']],
    ['/login', ['POST'], ['GET', 'PROPFIND']],
    ['/consent', ['POST'], ['GET', 'PROPFIND']],
    [METADATA, ['GET', 'HEAD'], ['POST', 'PROPFIND', 'MKCOL']],
    ['/healthz', ['GET', 'HEAD'], ['POST', 'PROPFIND']],
    ['/authorize', ['GET', 'HEAD', 'POST'], ['PUT', 'OPTIONS', 'PROPFIND']],
    ['/admin/clients', ['GET', 'HEAD', 'POST'], ['DELETE', 'OPTIONS', 'PROPFIND']],
    ['/admin/clients/demo-web', ['DELETE', 'GET', 'HEAD', 'PATCH', 'PUT'], ['POST', 'PROPFIND']],
  ])) {
    for (const method of methods) {
      test(`${method} ${path} is answered 405 with what is allowed`, async () => {
        const answer = await exchange(worker.port, method, path);
        assert.equal(answer.status, 405, answer.body);
        assert.deepEqual(answer.headers.get('allow').split(', ').sort(), allowed);
        assert.equal(answer.headers.get('cache-control'), 'no-store');
      });
    }
  }

  test('a method that HTTP does not know is refused, never taken for GET', async () => {
    for (const method of ['NONSENSE', 'get', 'G\u0000T', 'X'.repeat(2000)]) {
      const { status, body } = await exchange(worker.port, method, '/healthz');
      assert([400, 405, 501].includes(status), `${method.slice(0, 20)}: ${status}`);
      assert(!body.includes('"ok"'));
    }
  });

  test('HEAD answers as GET does, without a body', async () => {
    for (const path of ['/', METADATA, '/healthz', '/style.css', '/no/such/address', `/authorize?${new URLSearchParams(authorization('demo-web'))}`]) {
      const [get, head] = [await ask(path), await ask(path, { method: 'HEAD' })];
      assert.equal(head.status, get.status, path);
      assert.equal(head.text, '', path);
      for (const name of ['content-type', 'cache-control', 'x-frame-options']) {
        assert.equal(head.headers.get(name), get.headers.get(name), `${path} ${name}`);
      }
    }
  });
});

describe('bodies', () => {
  const own = 'grant_type=client_credentials';

  test('only forms are read', async () => {
    for (const type of ['application/json', 'multipart/form-data; boundary=x', 'text/plain', '']) {
      for (const path of ['/token', '/revoke', '/introspect', '/authorize', '/login', '/consent']) {
        const { status, text } = await send(path, new TextEncoder().encode(own), { 'content-type': type, ...basic(MACHINE) });
        assert.equal(status, 415, `${path} ${type}`);
        assert.match(text, /invalid_request/);
      }
    }
    const parameterised = await send('/token', own, { 'content-type': `${FORM}; charset=UTF-8`, ...basic(MACHINE) });
    assert.equal(parameterised.status, 200, parameterised.text);
  });

  test('a body of 64 KiB is read, one byte more is not, whatever the headers say of its length', async () => {
    const filled = (/** @type {number} */ size) => `${own}&x=`.padEnd(size, 'x');
    assert.equal((await send('/token', filled(65_536), basic(MACHINE))).status, 200);
    for (const path of ['/token', '/revoke', '/introspect', '/authorize', '/login', '/consent']) {
      const { status, text } = await send(path, filled(65_537), basic(MACHINE));
      assert.equal(status, 413, path);
      assert.match(text, /64 KiB/);
    }
    const chunks = Array.from({ length: 20 }, () => 'x'.repeat(4096));
    const headers = { 'content-type': FORM, ...basic(MACHINE) };
    const chunked = await exchange(worker.port, 'POST', '/token', { headers, chunks: [`${own}&x=`, ...chunks] });
    assert.equal(chunked.status, 413, chunked.body);
    const small = await exchange(worker.port, 'POST', '/token', { headers, chunks: ['grant_type=', 'client_credentials'] });
    assert.equal(small.status, 200, small.body);
  });

  test('malformed escapes, bad UTF-8 and repeated parameters are invalid requests', async () => {
    for (const bad of ['x=%', 'x=%4', 'x=%zz', '%=1', 'x=%ff', 'x=%c3%28', 'x=%ed%a0%80', 'grant_type=client_credentials', 'scope=reports&scope=reports']) {
      const { status, body } = await send('/token', `${own}&${bad}`, basic(MACHINE));
      assert.deepEqual([status, body.error], [400, 'invalid_request'], bad);
      assert.equal(typeof body.error_description, 'string');
      assert.match(body.trace_id, /^[0-9a-f]{16}$/);
    }
    const bytes = Buffer.concat([Buffer.from(`${own}&x=`), Buffer.from([0xff, 0xfe])]);
    assert.equal((await send('/token', bytes, basic(MACHINE))).body.error, 'invalid_request');
    for (const query of ['client_id=%ff', 'client_id=%', 'client_id=demo-web&client_id=demo-web']) {
      const { status, text } = await ask(`/authorize?${query}`);
      assert.equal(status, 400, query);
      assert.match(text, /Authorization error/);
      assert.match(text, /<code>invalid_request<\/code>/);
    }
  });

  test('a body that breaks off changes nothing and harms nobody', async () => {
    const headers = { 'content-type': FORM, 'content-length': '1000', ...basic(MACHINE) };
    await exchange(worker.port, 'POST', '/token', { headers, raw: own, close: true });
    for (let at = 0; at < 50; at += 1) {
      const socket = connect(worker.port, '127.0.0.1');
      await once(socket, 'connect');
      const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`).join('');
      await promisify(socket.write).call(socket, `POST /token HTTP/1.1\r\nhost: localhost\r\n${lines}\r\n${own}`);
      socket.resetAndDestroy();
    }
    assert.equal((await post(worker, '/token', MACHINE, { grant_type: 'client_credentials' })).status, 200);
  });
});

describe('client authentication', () => {
  test('credentials that do not read are 401 with a challenge', async () => {
    for (const authorization of ['Basic', 'Basic !!!', `Basic ${btoa('demo-machine')}`, 'Basic', `Basic ${btoa('a%zz:b')}`, 'Bearer x', 'Digest x', `Basic ${btoa('demo-machine:')}`]) {
      for (const path of ['/token', '/revoke', '/introspect']) {
        const { status, headers, body } = await send(path, 'grant_type=client_credentials&token=x', { authorization });
        assert.deepEqual([status, body.error], [401, 'invalid_client'], `${path} ${authorization}`);
        assert.match(headers.get('www-authenticate'), /^Basic realm="[^"]+"/);
        assert.equal(headers.get('cache-control'), 'no-store');
      }
    }
  });

  test('an unknown client and a wrong secret answer the same', async () => {
    const answers = [];
    for (const client of ['demo-machine:wrong', 'nobody:wrong', `${'x'.repeat(5000)}:wrong`, 'demo-spa:wrong']) {
      const { status, body } = await post(worker, '/token', client, { grant_type: 'client_credentials' });
      answers.push(JSON.stringify({ status, ...body, trace_id: '' }));
    }
    assert.equal(new Set(answers).size, 1, answers.join('\n'));
  });

  test('two methods at once are an invalid request, and so are two names', async () => {
    for (const more of ['client_id=demo-machine&client_secret=demo-machine-secret', 'client_secret=demo-machine-secret', 'client_id=demo-web']) {
      const { status, body } = await send('/token', `grant_type=client_credentials&${more}`, basic(MACHINE));
      assert.deepEqual([status, body.error], [400, 'invalid_request'], more);
    }
    assert.equal((await send('/token', 'grant_type=client_credentials&client_id=demo-machine', basic(MACHINE))).status, 200);
  });
});

describe('headers', () => {
  const preflight = { origin: 'https://app.example', 'access-control-request-method': 'POST', 'access-control-request-headers': 'authorization' };

  test('scripts of any origin may ask the endpoints of clients, and no others', async () => {
    for (const path of ['/token', '/revoke', METADATA]) {
      const { status, headers } = await ask(path, { method: 'OPTIONS', headers: preflight });
      assert.equal(status, 204, path);
      assert.equal(headers.get('access-control-allow-origin'), '*');
      assert.equal(headers.get('access-control-allow-credentials'), null);
      assert.match(headers.get('access-control-allow-headers'), /authorization/);
      assert.match(headers.get('access-control-allow-methods'), path === METADATA ? /GET/ : /POST/);
      const real = await ask(path, { method: path === METADATA ? 'GET' : 'POST', headers: { origin: 'https://app.example' } });
      assert.equal(real.headers.get('access-control-allow-origin'), '*', path);
    }
    for (const path of ['/authorize', '/login', '/consent', '/introspect', '/admin/clients', '/', '/no/such/address']) {
      for (const method of ['OPTIONS', 'GET', 'POST']) {
        const { headers } = await ask(path, { method, headers: preflight });
        assert.equal(headers.get('access-control-allow-origin'), null, `${method} ${path}`);
      }
    }
  });

  test('pages can be framed by nobody, run no script, and tell nobody where they were', async () => {
    const { headers } = await new Person(worker).reachConsent();
    const policy = headers.get('content-security-policy');
    for (const part of ["default-src 'none'", "form-action 'self' http://127.0.0.1:9999", "frame-ancestors 'none'", "base-uri 'none'"]) {
      assert(policy.includes(part), policy);
    }
    assert(!/script-src|unsafe/.test(policy), policy);
    assert.equal(headers.get('x-frame-options'), 'DENY');
    assert.equal(headers.get('referrer-policy'), 'no-referrer');
    assert.equal(headers.get('x-content-type-options'), 'nosniff');
    assert.equal(headers.get('cache-control'), 'no-store');
  });

  test('a cross-site form post to the authorization endpoint comes back as a GET', async () => {
    const body = new URLSearchParams(authorization('demo-web'));
    const { status, headers } = await ask('/authorize', { method: 'POST', body, headers: { 'sec-fetch-site': 'cross-site', origin: 'https://app.example' } });
    assert.equal(status, 303);
    const location = new URL(headers.get('location'));
    assert.equal(location.origin + location.pathname, `${worker.issuer}/authorize`);
    assert.deepEqual(Object.fromEntries(location.searchParams), authorization('demo-web'));
  });

  test('a login or consent form of another site is refused', async () => {
    const person = new Person(worker);
    const login = await person.authorize('demo-web');
    const [, pending] = /name="pending" value="([^"]+)"/.exec(login.text);
    const body = String(new URLSearchParams({ pending, username: 'alice', password: 'wonderland' }));
    for (const headers of [{ 'sec-fetch-site': 'cross-site' }, { 'sec-fetch-site': 'same-site' }, { origin: 'https://app.example' }]) {
      const { status } = await person.send('/login', { method: 'POST', body, headers: { 'content-type': FORM, ...headers } });
      assert.equal(status, 400, JSON.stringify(headers));
    }
    const stranger = await new Person(worker).send('/login', { method: 'POST', body, headers: { 'content-type': FORM } });
    assert.equal(stranger.status, 400);
    assert.equal((await person.send('/login', { method: 'POST', body, headers: { 'content-type': FORM } })).status, 200);
  });
});

test('answers with tokens and answers with errors are stored nowhere', async () => {
  const answers = [
    await post(worker, '/token', MACHINE, { grant_type: 'client_credentials' }),
    await post(worker, '/token', WEB, { grant_type: 'authorization_code', code: 'emc_a.x' }),
    await post(worker, '/revoke', WEB, { token: 'x' }),
    await post(worker, '/introspect', 'demo-api:demo-api-secret', { token: 'x' }),
    await ask('/authorize'),
    await ask('/authorize?client_id=demo-web'),
    await ask('/login', { method: 'POST' }),
    await ask('/consent', { method: 'POST' }),
    await ask('/no/such/address'),
    await ask('/admin/clients'),
    await ask('/dev/callback'),
  ];
  for (const { status, headers, text } of answers) {
    assert.equal(headers.get('cache-control'), 'no-store', `${status} ${text}`);
    assert(status < 500, text);
  }
});

test('the number that an error answer tells is in the log, whatever was refused', async () => {
  for (const [method, path] of [['POST', '/token'], ['GET', '/token'], ['GET', '/no/such/address'], ['GET', '/admin/clients'], ['GET', '/admin/nothing'], ['GET', '/authorize']]) {
    const { status, text } = await ask(path, { method });
    const [trace] = /[0-9a-f]{16}(?=["<])/.exec(text) ?? [];
    assert(trace, `${method} ${path}: ${status} ${text}`);
    await until(`the log has the ${status} of ${method} ${path}`, () => worker.log.some(({ message }) => message.includes(trace)), 2000);
  }
});

test('no request of these tests was an error of the server', () => {
  assert.deepEqual(worker.failures(), []);
});
