// Limits where they are hard to keep: many tries at the same moment, over several isolates.

import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { after, before, test } from 'node:test';
import { MACHINE, post, read } from './caller.mjs';
import { field, Person } from './person.mjs';
import { until } from './until.mjs';
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

test('who hangs up after asking is counted, and a request is done to its end', async () => {
  const address = '192.0.2.77';
  const [{ person, page }] = await arrive(1);
  const cookie = [...person.cookies].map(([name, value]) => `${name}=${value}`).join('; ');
  const headers = { 'cf-connecting-ip': address, 'content-type': 'application/x-www-form-urlencoded' };
  const body = (/** @type {string} */ username) =>
    String(new URLSearchParams({ pending: field(page, 'pending'), username, password: 'wrong' }));
  const failed = () => worker.log.filter(({ message }) => message.includes('"login.failed"')).length;
  const before = failed();
  for (let number = 0; number < 25; number += 1) {
    const text = body(`hung up ${number}`);
    const all = { ...headers, host: new URL(worker.issuer).host, cookie, 'content-length': String(text.length) };
    const lines = ['POST /login HTTP/1.1', ...Object.entries(all).map(([name, value]) => `${name}: ${value}`), '', text];
    const socket = connect(Number(new URL(door(0)).port), '127.0.0.1');
    // Sent, and gone: nobody is there for the answer.
    socket.end(lines.join('\r\n'), () => socket.destroy());
    socket.on('error', () => {});
  }
  await until('all of them are done', () => failed() === before + 25);
  const guess = (/** @type {string} */ name) => person.send('/login', { method: 'POST', headers, body: body(name) });
  for (let number = 0; number < 5; number += 1) assert.equal((await guess(`waited ${number}`)).status, 400);
  assert.equal((await guess('one more')).status, 429);
});
