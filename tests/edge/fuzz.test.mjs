// Requests that were good before dice bent them, some hundreds, or with EDGEMINT_PROVE some ten thousands. The dice are
// seeded, and the seed is printed: EDGEMINT_SEED brings a failure back.

import { Response } from 'miniflare';
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { bend, mark, seeded } from './bend.mjs';
import { administer, askToken, isActive, MACHINE, redeem } from './caller.mjs';
import { isOf, makeGood, readRoutes } from './good.mjs';
import { Person } from './person.mjs';
import { exchange } from './socket.mjs';
import { isDocumented, isOfRuntime, judge } from './verdict.mjs';
import { Worker } from './worker.mjs';

const LONG = process.env.EDGEMINT_PROVE !== undefined;
const ROUNDS = LONG ? 20_000 : 900;
const AT_ONCE = 20;
const SEED = Number(process.env.EDGEMINT_SEED ?? (LONG ? Date.now() % 1e9 : 20_261_121));

/** What no bent request names, so it is afterwards what it was. */
const UNTOUCHED = ['/admin/clients/demo-web', '/admin/clients/demo-spa', '/admin/clients/demo-machine', '/admin/clients/demo-api', '/admin/users/alice', '/admin/users/bob', '/admin/scopes/orders.read', '/admin/scopes/orders.write'];

/** @type {Worker} */
let worker;
/** @type {Person} signed in: who types a password after so many bad ones is asked to wait */
let person;
/** @type {any} */
let tokens;
/** @type {string[]} */
let untouched;

before(async () => {
  // Whoever is asked elsewhere gives tokens: what is bent is asked of this server.
  worker = await Worker.start({ internet: () => Response.json({ access_token: 'theirs', token_type: 'Bearer', active: false }) });
  // Or the first bent requests would close the address to the others.
  const limits = { 'login.failuresPerUser': 100, 'login.failuresPerAddress': 1_000_000, 'client.failuresPerMinute': 1_000_000, 'registration.perHour': 1_000_000, 'registration.unusedMost': 100_000, 'registration.open': 2, requirePost: false };
  const answer = await administer(worker, 'PATCH', '/admin/settings', limits);
  assert.equal(answer.status, 200, answer.text);
  person = new Person(worker);
  tokens = (await redeem(worker, await person.code())).body;
});

after(() => worker.stop());

/**
 * Fails where there is no answer in time. Where the connection was closed without one it is asked again: who is refused
 * before the body was read may write on into a closed connection, and lose the answer by that.
 * @param {import('./good.mjs').Sent} sent
 */
async function send({ method, target, headers, body, chunked }) {
  const chunks = chunked ? body.match(/[^]{1,5000}/g)?.map((chunk) => Buffer.from(chunk, 'latin1')) : undefined;
  const ask = () => exchange(worker.port, method, target, { headers, ...(chunks ? { chunks } : { raw: Buffer.from(body, 'latin1') }) });
  let answer = await ask();
  for (let times = 0; answer.status === 0 && times < 5; times += 1) answer = await ask();
  return answer;
}

const readUntouched = () => Promise.all(UNTOUCHED.map(async (path) => (await administer(worker, 'GET', path)).text));

test('every route has a good request, and the good requests succeed', async () => {
  const good = await makeGood(worker, 'unbent');
  const routes = readRoutes();
  assert(routes.length > 25, `only ${routes.length} routes were read`);
  for (const { method, path } of routes) {
    const found = good.some((sent) => sent.method === method && isOf(path, sent.target.split('?')[0]));
    assert(found, `there is no good request for ${method} ${path}`);
  }
  for (const sent of good) {
    const answer = await send(sent);
    assert(answer.status < 400, `${sent.method} ${sent.target}: ${answer.status} ${answer.body}`);
    assert.deepEqual(judge(sent, answer, worker.issuer), [], `${sent.method} ${sent.target}`);
  }
});

test('a marker in any parameter, header, member or path comes back nowhere as it was', async () => {
  const marked = mark(await makeGood(worker, 'marked'));
  const wrong = [];
  for (let at = 0; at < marked.length && wrong.length < 5; at += AT_ONCE) {
    const batch = marked.slice(at, at + AT_ONCE);
    const answers = await Promise.all(batch.map(send));
    for (const [index, answer] of answers.entries()) {
      const complaints = judge(batch[index], answer, worker.issuer);
      if (complaints.length > 0) wrong.push({ complaints, sent: shorten(batch[index]), answer: answer.head + answer.body.slice(0, 300) });
    }
  }
  assert.deepEqual(wrong, []);
  assert(marked.length > 300, `only ${marked.length}`);
  console.log(`proof: inputs fuzzed: ${marked.length}`);
});

test(`${ROUNDS} bent requests are all answered, well formed, repeat nothing as it came, and are no error of the server`, async () => {
  console.log(`seed: ${SEED}`);
  const good = await makeGood(worker, 'bent');
  untouched = await readUntouched();
  const dice = seeded(SEED);
  const wrong = [];
  const seen = new Map();
  let [meanwhile, unheard] = [0, 0];
  for (let round = 0; round < ROUNDS && wrong.length < 5; round += AT_ONCE) {
    const batch = Array.from({ length: AT_ONCE }, () => bend(good, dice));
    const answers = await Promise.all(batch.map(send));
    for (const [at, answer] of answers.entries()) {
      seen.set(answer.status, (seen.get(answer.status) ?? 0) + 1);
      if (isDocumented(answer)) meanwhile += 1;
      if (isOfRuntime(answer)) unheard += 1;
      const complaints = judge(batch[at], answer, worker.issuer);
      if (complaints.length > 0) wrong.push({ complaints, sent: shorten(batch[at]), answer: answer.head + answer.body.slice(0, 300) });
    }
  }
  assert.deepEqual(wrong, [], `EDGEMINT_SEED=${SEED}`);
  // Bent too little or too much it would prove nothing.
  const counts = JSON.stringify([...seen]);
  for (const status of [200, 201, 204, 303, 400, 401, 404, 405, 412, 413, 415]) assert(seen.get(status) > 0, `no ${status}: ${counts}`);
  assert(meanwhile < ROUNDS / 100 && unheard < ROUNDS / 5, `${meanwhile} ${unheard} ${counts}`);
  console.log(`proof: inputs fuzzed: ${ROUNDS}`);
});

test('the server is as well as before', async () => {
  const health = await exchange(worker.port, 'GET', '/healthz');
  assert.deepEqual([health.status, health.body], [200, '{"status":"ok"}']);
  assert.deepEqual(await readUntouched(), untouched);
  assert.equal(await isActive(worker, tokens.access_token), true);
  const again = await redeem(worker, await person.code());
  assert.equal(await isActive(worker, again.body.access_token), true, again.text);
  const own = await askToken(worker, MACHINE, { grant_type: 'client_credentials' });
  assert.equal(await isActive(worker, own.body.access_token), true, own.text);
  assert.deepEqual(worker.failures(), []);
});

/** @param {import('./good.mjs').Sent} sent so that a person can read it */
function shorten(sent) {
  const short = (/** @type {string} */ text) => (text.length > 400 ? `${text.slice(0, 400)}… (${text.length})` : text);
  const headers = Object.entries(sent.headers).map(([name, value]) => [name, short(value)]);
  return { ...sent, target: short(sent.target), headers: Object.fromEntries(headers), body: short(sent.body) };
}
