// The gateway in the real runtime, in front of real servers on loopback: what they get, and what comes back.

import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, request } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { after, before, test } from 'node:test';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import { WEB, administer, makeTokens, post } from './caller.mjs';
import { until } from './until.mjs';
import { Worker, findFreePort } from './worker.mjs';

const LARGE = randomBytes(10 * 1024 * 1024);
const PIECE = 64 * 1024;
/** Compressed as no other program would: what was unpacked on the way could not be packed so again. */
const PACKED = {
  gzip: gzipSync(Buffer.from('hello '.repeat(5000)), { level: 1, memLevel: 2 }),
  br: brotliCompressSync(Buffer.from('hello '.repeat(5000))),
  zstd: randomBytes(5000),
};

/** @type {Worker} */
let worker;
let token = '';
/** Answers by path. @type {import('node:http').Server} */
let origin;
let port = 0;
/** Told what came, by name. @type {Map<string, () => void>} */
const signals = new Map();
/** What is waited for from the start: it takes long. @type {Promise<Answer>} */
let late;

/** @typedef {{ status: number, headers: import('node:http').IncomingHttpHeaders, body: Buffer }} Answer */
/** @typedef {import('node:http').IncomingMessage} Came @typedef {import('node:http').ServerResponse} Back */

const digest = (/** @type {Uint8Array} */ bytes) => createHash('sha256').update(bytes).digest('hex');
const signal = (/** @type {string} */ name) => new Promise((resolve) => {
  signals.set(name, () => resolve(undefined));
});
const raise = (/** @type {string} */ name) => signals.get(name)?.();

/** @type {Record<string, (came: Came, back: Back) => unknown>} */
const ANSWERS = {
  /** What it was asked, as it was asked. */
  echo: async (came, back) => {
    const body = await buffer(came);
    back.writeHead(200, { 'content-type': 'application/json' });
    back.end(JSON.stringify({ method: came.method, url: came.url, headers: came.headers, body: body.toString('latin1') }));
  },
  upload: (came, back) => {
    const hash = createHash('sha256');
    let length = 0;
    came.on('data', (piece) => {
      raise('upload begun');
      length += piece.length;
      hash.update(piece);
    });
    came.on('end', () => back.end(`${length} ${hash.digest('hex')}`));
  },
  download: async (_, back) => {
    back.writeHead(200, { 'content-type': 'application/octet-stream' });
    back.write(LARGE.subarray(0, PIECE));
    await signal('download begun');
    back.end(LARGE.subarray(PIECE));
  },
  packed: (came, back) => {
    const encoding = new URL(came.url, 'http://x').searchParams.get('as');
    const body = PACKED[encoding];
    const headers = { 'content-type': 'text/plain', 'content-encoding': encoding, 'content-length': body.length };
    const cookies = came.url.includes('cookies') ? { 'set-cookie': ['edgemint-session=evil; Path=/', 'own=1; Path=/', '__Host-edgemint-browser=evil', 'other=2'] } : {};
    back.writeHead(200, { ...headers, ...cookies }).end(body);
  },
  moved: (_, back) => back.writeHead(302, { location: 'https://elsewhere.example/x', 'x-auth-subject': 'its own' }).end(),
  empty: (_, back) => back.writeHead(204, { 'set-cookie': ['a=1', '__Host-edgemint-session=evil', 'b=2'] }).end(),
  unchanged: (_, back) => back.writeHead(304, { etag: '"7"' }).end(),
  broken: (_, back) => back.writeHead(500, { 'content-type': 'text/plain', 'cache-control': 'max-age=5' }).end('down'),
  gone: (came) => came.socket.destroy(),
  never: () => {},
};

before(async () => {
  worker = await Worker.start({ internet: null, isolates: 2 });
  port = await findFreePort();
  origin = createServer((came, back) => ANSWERS[came.url.split(/[/?]/)[2]](came, back));
  origin.listen(port, '127.0.0.1');
  await once(origin, 'listening');
  await route(`api.test=http://127.0.0.1:${port}`);
  ({ access_token: token } = await makeTokens(worker));
  await until('the other isolate has heard of the route', async () => (await send('GET', '/reports/empty')).status === 204, 40_000);
  late = send('GET', '/reports/never');
});

after(async () => {
  origin.closeAllConnections();
  origin.close();
  await worker.stop();
});

/** @param {string} routes */
async function route(routes) {
  const changed = await administer(worker, 'PATCH', '/admin/settings', { 'gateway.routes': routes });
  assert.equal(changed.status, 200, changed.text);
}

/** A request to a route's host, at the isolate that is reached without anything between. @param {string} method @param {string} path */
function open(method, path, headers = {}, host = 'api.test', bearer = token) {
  const authorization = bearer && { authorization: `Bearer ${bearer}` };
  const door = new URL(worker.doors[1]);
  return request({ host: door.hostname, port: door.port, method, path, headers: { host, ...authorization, ...headers } });
}

/** @param {import('node:http').ClientRequest} sent @returns {Promise<Answer>} */
async function answerTo(sent) {
  const [response] = await once(sent, 'response');
  return { status: response.statusCode, headers: response.headers, body: await buffer(response) };
}

/** @param {string} method @param {string} path @param {Record<string, string | string[]>} [headers] @param {string | Buffer} [body] @returns {Promise<Answer>} */
async function send(method, path, headers, body, host = 'api.test', bearer = token) {
  const sent = open(method, path, headers, host, bearer);
  sent.end(body);
  return answerTo(sent);
}

/** @param {Answer} answer */
const json = (answer) => JSON.parse(answer.body.toString());

test('a request that may pass reaches the server of its route, with who is calling and nothing that opens anything here', async () => {
  const forged = {
    'X-Auth-Subject': 'evil', 'x-auth-username': ['evil', 'worse'], 'X-AUTH-GROUPS': 'evil', 'X-Auth-Role': 'evil', X_Auth_Client: 'evil',
    'X-Forwarded-Host': 'evil', 'X-Forwarded-Proto': 'https', Forwarded: 'host=evil', 'X-Original-URL': '/evil', 'X-HTTP-Method-Override': 'DELETE',
    'Proxy-Authorization': 'evil', Connection: 'close, X-Hop', 'X-Hop': 'evil', TE: 'trailers',
  };
  const cookie = 'edgemint-session=evil; theirs=1; __Host-edgemint-browser=evil; more="2"';
  const answer = await send('POST', '/reports/echo/a%20b?x=%2F&y', { ...forged, cookie, accept: 'a/b', 'content-type': 'c/d' }, 'a body');
  assert.equal(answer.status, 200, answer.body.toString());
  const { method, url, headers, body } = json(answer);
  assert.deepEqual([method, url, body], ['POST', '/reports/echo/a%20b?x=%2F&y', 'a body']);
  const { 'x-auth-subject': subject, ...told } = Object.fromEntries(Object.entries(headers).filter(([name]) => /^x/.test(name)));
  assert.match(subject, /^[\w-]{22}$/);
  assert.deepEqual(told, {
    'x-auth-username': 'alice', 'x-auth-client': 'demo-web', 'x-auth-scope': 'orders.read orders.write reports', 'x-auth-groups': 'orders-staff',
    'x-forwarded-host': 'api.test', 'x-forwarded-proto': 'http',
  });
  assert.deepEqual([headers.host, headers.cookie, headers.accept, headers['content-type']], [`127.0.0.1:${port}`, 'theirs=1; more="2"', 'a/b', 'c/d']);
  assert(!/evil|worse|trailers/.test(JSON.stringify(headers)) && !JSON.stringify(headers).includes(token), JSON.stringify(headers));
  assert.equal(headers['cache-control'], 'no-cache', 'no cache on the way keeps for others what this caller gets');
  // Nor is anything of ours said to the caller.
  for (const name of ['content-security-policy', 'strict-transport-security', 'x-frame-options']) assert.equal(answer.headers[name], undefined);
  for (const method of ['PUT', 'PATCH', 'DELETE', 'OPTIONS', 'PROPFIND']) {
    assert.equal(json(await send(method, '/reports/echo', { 'content-length': '1' }, 'x')).body, 'x', method);
  }
});

test('ten megabytes pass unchanged in both directions, and stream', async () => {
  for (const headers of [{ 'content-length': String(LARGE.length) }, { 'transfer-encoding': 'chunked' }]) {
    const begun = signal('upload begun');
    const sent = open('POST', '/reports/upload', headers);
    sent.write(LARGE.subarray(0, PIECE));
    await begun;
    sent.end(LARGE.subarray(PIECE));
    const answer = await answerTo(sent);
    assert.equal(answer.body.toString(), `${LARGE.length} ${digest(LARGE)}`);
  }
  const sent = open('GET', '/reports/download');
  sent.end();
  const [response] = await once(sent, 'response');
  response.once('data', () => raise('download begun'));
  const body = await buffer(response);
  assert.deepEqual([body.length, digest(body)], [LARGE.length, digest(LARGE)]);
});

test('what is compressed, has moved, is empty or an error passes as it is', async () => {
  for (const [encoding, body] of Object.entries(PACKED)) {
    for (const accepted of [{ 'accept-encoding': encoding }, {}]) {
      for (const cookies of ['', '&cookies']) {
        const answer = await send('GET', `/reports/packed?as=${encoding}${cookies}`, accepted);
        assert.deepEqual([answer.status, answer.headers['content-encoding'], digest(answer.body)], [200, encoding, digest(body)]);
        assert.deepEqual(answer.headers['set-cookie'], cookies ? ['own=1; Path=/', 'other=2'] : undefined);
      }
    }
  }
  const head = await send('HEAD', '/reports/packed?as=gzip', { 'accept-encoding': 'gzip' });
  assert.deepEqual([head.status, head.headers['content-length'], head.body.length], [200, String(PACKED.gzip.length), 0]);
  const moved = await send('GET', '/reports/moved');
  assert.deepEqual([moved.status, moved.headers.location, moved.headers['x-auth-subject']], [302, 'https://elsewhere.example/x', 'its own']);
  const empty = await send('GET', '/reports/empty');
  assert.deepEqual([empty.status, empty.headers['set-cookie'], empty.body.length], [204, ['a=1', 'b=2'], 0]);
  const unchanged = await send('GET', '/reports/unchanged', { 'if-none-match': '"7"' });
  assert.deepEqual([unchanged.status, unchanged.headers.etag], [304, '"7"']);
  const broken = await send('GET', '/reports/broken');
  assert.deepEqual([broken.status, broken.headers['cache-control'], broken.body.toString()], [500, 'max-age=5', 'down']);
});

test('a token that is revoked opens nothing at the next request, and one of another scope is told which', async () => {
  const { access_token: doomed } = await makeTokens(worker);
  const ask = (/** @type {string} */ method, /** @type {string} */ path, bearer = doomed) => send(method, path, {}, '', 'api.test', bearer);
  assert.equal((await ask('GET', '/reports/echo')).status, 200);
  assert.equal((await post(worker, '/revoke', WEB, { token: doomed })).status, 200);
  const revoked = await ask('GET', '/reports/echo');
  assert.deepEqual([revoked.status, revoked.headers['www-authenticate']], [401, 'Bearer realm="edgemint", error="invalid_token"']);
  const missing = await ask('GET', '/reports/echo', '');
  assert.deepEqual([missing.status, missing.headers['www-authenticate']], [401, 'Bearer realm="edgemint"']);
  assert.equal((await ask('OPTIONS', '/reports/echo', '')).status, 401, 'a preflight is a request like any other');

  await administer(worker, 'POST', '/admin/scopes', { name: 'vault', urls: ['GET /vault'] });
  const beyond = await ask('GET', '/vault', token);
  assert.deepEqual([beyond.status, beyond.headers['www-authenticate']], [403, 'Bearer realm="edgemint", error="insufficient_scope", scope="vault"']);
  for (const path of ['/reports//echo', '/reports/%2e%2e/vault', '/reports/..;/vault', '/reports/../vault', '/reports/a%2Fb']) {
    assert.equal((await ask('GET', path, token)).status, 403, path);
  }
  // A body that nobody reads is in nobody's way.
  assert.equal((await send('POST', '/reports/upload', {}, 'x'.repeat(100_000), 'api.test', 'ema_nonsense')).status, 401);
});

test('a route on the host of the issuer is refused, and one to this server', async () => {
  const own = new URL(worker.issuer);
  for (const routes of [`${own.host}=http://127.0.0.1:${port}`, `127.0.0.1:${own.port}/reports=http://127.0.0.1:${port}`, `api.test=${worker.issuer}`, 'api.test=http://rest.test']) {
    const refused = await administer(worker, 'PATCH', '/admin/settings', { 'gateway.routes': routes });
    assert.deepEqual([refused.status, refused.body.field], [400, 'gateway.routes'], routes);
  }
  // There, and at hosts that no route names, this server answers itself.
  assert.equal((await fetch(`${worker.issuer}/reports/echo`, { headers: { authorization: `Bearer ${token}` } })).status, 404);
  assert.equal((await send('GET', '/healthz', {}, '', 'elsewhere.test')).status, 200);
});

test('a server that is down or never answers, and what cannot be passed on, is said to be so', async () => {
  const socket = await send('GET', '/reports/echo', { connection: 'upgrade', upgrade: 'websocket', 'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==', 'sec-websocket-version': '13' });
  assert.deepEqual([socket.status, json(socket).error], [501, 'not_implemented']);
  const body = await send('GET', '/reports/echo', { 'content-length': '1' }, 'x');
  assert.deepEqual([body.status, json(body).error], [400, 'invalid_request']);
  const gone = await send('GET', '/reports/gone');
  assert.deepEqual([gone.status, json(gone).error], [502, 'bad_gateway']);
  const answer = await late;
  assert.deepEqual([answer.status, json(answer).error], [504, 'gateway_timeout']);
  const failures = worker.log.map(({ message }) => message).filter((message) => message.includes('"gateway.failed"'));
  assert.deepEqual(failures.map((message) => JSON.parse(message).status).sort(), [502, 504]);

  const nobody = await findFreePort();
  await route(`api.test=http://127.0.0.1:${nobody}`);
  const down = await send('GET', '/reports/echo');
  assert.deepEqual([down.status, json(down).error], [502, 'bad_gateway']);
});

test('the routes of the guide lead where it says', async () => {
  const guide = readFileSync(new URL('../../docs/protecting-an-api.md', import.meta.url), 'utf8');
  const routes = /settings set gateway\.routes "([^"]+)"/.exec(guide)[1];
  await route(routes);
  const second = createServer((_, back) => back.end('the other')).listen(await findFreePort(), '127.0.0.1');
  await once(second, 'listening');
  const { port: other } = /** @type {import('node:net').AddressInfo} */ (second.address());
  await route(routes.replace('https://orders.example.net', `http://127.0.0.1:${other}`).replace('https://rest.example.net', `http://127.0.0.1:${port}`));
  assert.equal((await send('GET', '/reports/echo')).status, 404, 'a route that was taken away is gone at the next request');
  const orders = await send('GET', '/orders/7', {}, '', 'api.example.com');
  assert.equal(orders.body.toString(), 'the other');
  assert.equal(json(await send('GET', '/reports/echo', {}, '', 'api.example.com')).url, '/reports/echo');
  second.closeAllConnections();
  second.close();
  assert.deepEqual(worker.failures(), []);
});
