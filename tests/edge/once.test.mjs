// What must happen exactly once, asked for many times at the same moment.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { askToken, inspect, isActive, MACHINE, makeTokens, redeem, refresh, WEB } from './caller.mjs';
import { consent, parameter, Person, VERIFIER } from './person.mjs';
import { Worker } from './worker.mjs';

const TIMES = 20;

/** @template T @param {(turn: number) => Promise<T>} act @returns {Promise<T[]>} */
const allAtOnce = (act) => Promise.all(Array.from({ length: TIMES }, (_, turn) => act(turn)));

/** @type {Worker} */
let worker;

before(async () => {
  // Two isolates over one storage: what one remembers, the other does not.
  worker = await Worker.start({ isolates: 2 });
});

after(() => worker.stop());

/** @param {number} turn */
const door = (turn) => worker.doors[turn % worker.doors.length];

test('of twenty parallel redemptions of one code exactly one gets tokens, and they work', async () => {
  const code = await new Person(worker).code();
  const answers = await allAtOnce((turn) => redeem(worker, code, WEB, door(turn)));
  const [winner, ...others] = answers.sort((one, other) => one.status - other.status);
  assert.equal(winner.status, 200, winner.text);
  for (const other of others) {
    assert.deepEqual([other.status, other.body.error], [400, 'invalid_grant'], other.text);
  }
  assert.equal(await isActive(worker, winner.body.access_token), true);
  const refreshed = await refresh(worker, winner.body.refresh_token);
  assert.equal(refreshed.status, 200, refreshed.text);
  assert.equal(await isActive(worker, refreshed.body.access_token), true);
});

test('of twenty parallel redemptions by a public client exactly one gets tokens, and they work', async () => {
  const redirect_uri = 'http://127.0.0.1:9999/spa';
  const code = await new Person(worker).code('demo-spa', { redirect_uri });
  const fields = { grant_type: 'authorization_code', code, redirect_uri, code_verifier: VERIFIER };
  const answers = await allAtOnce((turn) => askToken(worker, 'demo-spa', fields, door(turn)));
  assert.deepEqual(answers.map(({ status }) => status).sort(), [200, ...Array(TIMES - 1).fill(400)]);
  const { body } = answers.find(({ status }) => status === 200);
  assert.equal((await refresh(worker, body.refresh_token, 'demo-spa')).status, 200);
});

test('of twenty parallel refreshes of one token every 200 carries the same successor, and it works', async () => {
  const tokens = await makeTokens(worker);
  const answers = await allAtOnce((turn) => refresh(worker, tokens.refresh_token, WEB, door(turn)));
  for (const answer of answers) assert.equal(answer.status, 200, answer.text);
  const successors = new Set(answers.map(({ body }) => body.refresh_token));
  assert.equal(successors.size, 1);
  const [successor] = successors;
  assert.notEqual(successor, tokens.refresh_token);
  const next = await refresh(worker, successor);
  assert.equal(next.status, 200, next.text);
  assert.notEqual(next.body.refresh_token, successor);
});

test('once the successor was used, the token before it ends the family', async () => {
  const first = (await makeTokens(worker)).refresh_token;
  const second = (await refresh(worker, first)).body.refresh_token;
  const third = (await refresh(worker, second)).body;
  const answers = await allAtOnce((turn) => refresh(worker, first, WEB, door(turn)));
  for (const { status, body } of answers) assert.deepEqual([status, body.error], [400, 'invalid_grant']);
  assert.equal((await refresh(worker, third.refresh_token)).status, 400);
  assert.equal(await inspect(worker, third.access_token), '{"active":false}');
});

test('twenty parallel submits of one consent form all lead to the same code, which works once', async () => {
  const person = new Person(worker);
  const page = await person.reachConsent();
  const fields = consent(page, 'all');
  const answers = await allAtOnce(() => person.submit('/consent', fields));
  const codes = new Set(answers.map((answer) => parameter(answer, 'code')));
  assert.equal(codes.size, 1);
  const [code] = codes;
  assert.equal((await redeem(worker, code)).status, 200);
  assert.equal((await redeem(worker, code)).status, 400);
});

test('a redemption and a replay of the consent form at the same moment give one set of tokens', async () => {
  const person = new Person(worker);
  const page = await person.reachConsent();
  const code = parameter(await person.decide(page), 'code');
  const [[first, second]] = await Promise.all([
    Promise.all([redeem(worker, code), redeem(worker, code, WEB, worker.doors[1])]),
    person.decide(page),
  ]);
  assert.deepEqual([first.status, second.status].sort(), [200, 400]);
});

test('a revocation in the middle of refreshes leaves nothing active', async () => {
  const tokens = await makeTokens(worker);
  const revocation = fetch(`${worker.issuer}/revoke`, {
    method: 'POST',
    headers: { authorization: `Basic ${btoa(WEB)}` },
    body: new URLSearchParams({ token: tokens.refresh_token }),
  });
  const refreshes = await allAtOnce((turn) => refresh(worker, tokens.refresh_token, WEB, door(turn)));
  assert.equal((await revocation).status, 200);
  for (const { status, body } of refreshes) {
    assert(status === 200 || (status === 400 && body.error === 'invalid_grant'), `${status}`);
    if (status === 200) assert.equal(await isActive(worker, body.access_token), false);
    if (status === 200) assert.equal((await refresh(worker, body.refresh_token)).status, 400);
  }
  assert.equal(await isActive(worker, tokens.access_token), false);
});

test('many first requests to two isolates in a fresh world all succeed and make one set of data', async () => {
  const fresh = await Worker.start({ isolates: 2 });
  try {
    const own = (/** @type {number} */ turn) => fresh.doors[turn % 2];
    const [machines, pages, people] = await Promise.all([
      allAtOnce((turn) => askToken(fresh, MACHINE, { grant_type: 'client_credentials' }, own(turn))),
      allAtOnce((turn) => new Person(fresh, own(turn)).authorize('demo-web')),
      Promise.all([0, 1, 2, 3].map((turn) => new Person(fresh, own(turn)).code())),
    ]);
    for (const { status, text } of machines) assert.equal(status, 200, text);
    for (const { status, text } of pages) assert.equal(status, 200, text);
    const subjects = new Set();
    for (const code of people) {
      const { status, text, body } = await redeem(fresh, code);
      assert.equal(status, 200, text);
      subjects.add(JSON.parse(await inspect(fresh, body.access_token)).sub);
    }
    assert.equal(subjects.size, 1);
    for (const { body } of machines) assert.equal(await isActive(fresh, body.access_token), true);
    assert.deepEqual(fresh.failures(), []);
  } finally {
    await fresh.stop();
  }
});

test('nothing of all this was an error of the server', () => {
  assert.deepEqual(worker.failures(), []);
});
