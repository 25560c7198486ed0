// Limits where they are hard to keep: many tries at the same moment, over several isolates.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { MACHINE, post, read } from './caller.mjs';
import { field, Person } from './person.mjs';
import { Worker } from './worker.mjs';

const HERE = '192.0.2.1';

/** A machine's wish for a token, as it comes from an address. @param {string} client @param {string} [origin] */
const ask = (client, origin = worker.doors[0]) =>
  fetch(`${origin}/token`, {
    method: 'POST',
    headers: { authorization: `Basic ${btoa(client)}`, 'cf-connecting-ip': HERE },
    body: new URLSearchParams({ grant_type: 'client_credentials' }),
  }).then(read);

/** @type {Worker} */
let worker;

before(async () => {
  worker = await Worker.start({ isolates: 2 });
});

after(() => worker.stop());

/** @param {number} turn */
const door = (turn) => worker.doors[turn % worker.doors.length];

/** As many people as that before the login page, each in a browser of their own. @param {number} count */
async function arrive(count) {
  const people = Array.from({ length: count }, (_, turn) => new Person(worker, door(turn)));
  return Promise.all(people.map(async (person) => ({ person, page: await person.authorize('demo-web') })));
}

test('of thirty wrong passwords at the same moment ten are looked at, and then the name is closed', async () => {
  const people = await arrive(30);
  const answers = await Promise.all(people.map(({ person, page }) => person.signIn(page, 'bob', 'wrong')));
  const looked = answers.filter(({ status }) => status === 400);
  assert.equal(looked.length, 10);
  for (const { status, headers } of answers.filter((answer) => !looked.includes(answer))) {
    assert.equal(status, 429);
    assert.match(headers.get('retry-after'), /^(30[01]|2\d\d)$/);
  }
  const [{ person, page }] = await arrive(1);
  assert.equal((await person.signIn(page, 'bob', 'builder')).status, 429);
});

test('of thirty right passwords at the same moment every one signs in', async () => {
  const people = await arrive(30);
  const answers = await Promise.all(people.map(({ person, page }) => person.signIn(page)));
  for (const { status, text } of answers) assert.equal(status, 200, text);
});

test('of a hundred wrong secrets at the same moment sixty are answered as what they are, and a right one always is', async () => {
  const turns = Array.from({ length: 100 }, (_, turn) => turn);
  const [wrong, right] = await Promise.all([
    Promise.all(turns.map(() => ask('demo-machine:wrong'))),
    Promise.all(turns.map(() => ask(MACHINE))),
  ]);
  assert.deepEqual(wrong.map(({ status }) => status).sort(), [...Array(60).fill(401), ...Array(40).fill(429)]);
  for (const { headers } of wrong.filter(({ status }) => status === 429)) {
    assert.match(headers.get('retry-after'), /^[1-6]?\d$/);
  }
  for (const { status, text } of right) assert.equal(status, 200, text);
});

test('the other isolate hears of it, and an unknown client meets the same limit', async () => {
  const statuses = [];
  for (let turn = 0; turn < 20; turn += 1) {
    statuses.push((await ask('demo-machine:wrong', door(1))).status);
  }
  assert.deepEqual(statuses, [...Array(15).fill(401), ...Array(5).fill(429)]);
  const unknown = [];
  for (let turn = 0; turn < 61; turn += 1) {
    unknown.push((await post(worker, '/introspect', 'demo-nobody:wrong', { token: 'x' })).status);
  }
  assert.deepEqual([unknown[59], unknown[60]], [401, 429]);
});

test('a locked login page tells the person when to come again, and keeps what they typed', async () => {
  const [{ person, page }] = await arrive(1);
  const closed = await person.signIn(page, 'bob', 'builder');
  assert.match(closed.text, /Too many failed tries. Wait \d minutes, then try again./);
  assert.match(closed.text, /value="bob"/);
  assert.ok(field(closed, 'pending'));
});

test('nothing of all this was an error of the server', () => {
  assert.deepEqual(worker.failures(), []);
});
