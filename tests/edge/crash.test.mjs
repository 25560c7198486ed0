// A server that is killed at any moment under load, and started again over what it stored: whatever was answered holds.
//
// The platform promises that an object's writes are on disk before its answer leaves. Here the runtime gets SIGKILL, so
// nothing of it can tidy up. A machine that loses its power, and with it what its kernel had not written yet, is not
// tried.

import assert from 'node:assert/strict';
import { cpSync, rmSync } from 'node:fs';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { administer, MACHINE, post } from './caller.mjs';
import { Dice } from './dice.mjs';
import { Dump } from './dump.mjs';
import { Cell, Ledger, Principal } from './ledger.mjs';
import { each, Load } from './load.mjs';
import { Person } from './person.mjs';
import { Worker } from './worker.mjs';

/** Each history has a deployment of its own and goes on over all its kills. */
const { histories, kills } = process.env.EDGEMINT_PROVE ? { histories: 7, kills: 30 } : { histories: 1, kills: 4 };
const SEED = Number(process.env.EDGEMINT_SEED ?? 20_261_123);
/** The longest life of a server: in requests, and in milliseconds for who gets no answers. */
const REQUESTS = 60;
const LIFE = 1500;
/** And of one that dies while it makes its first data. */
const BIRTH = 600;
/** From one of the requests to the kill, at most: on the way there, within, or on the way back. */
const AIM = 25;

/** A deployment that dies, and what is known of it. */
class History {
  ledger = new Ledger();
  kills = 0;
  /** @type {string[]} */
  failures = [];
  /** @type {string[]} of all lives */
  log = [];
  #running = true;

  /** @param {Worker} worker @param {Dice} dice */
  constructor(worker, dice) {
    this.worker = worker;
    this.dice = dice;
  }

  /** Begins with a first request that dies half-way. @param {import('node:test').TestContext} t @param {number} seed */
  static async begin(t, seed) {
    const dice = new Dice(seed);
    const history = new History(await Worker.start(), dice);
    t.after(async () => {
      if (history.#running) await history.worker.halt();
      history.worker.forget();
    });
    const first = post(history.worker, '/token', MACHINE, { grant_type: 'client_credentials' }).catch(() => {});
    await pause(dice.below(BIRTH));
    await history.kill();
    await first;
    await history.start();
    const browser = new Person(history.worker);
    assert.match((await browser.reachConsent()).text, /value="all"/);
    const { body } = await administer(history.worker, 'GET', '/admin/settings');
    const setting = new Cell(body['refresh.idleSeconds']);
    history.load = new Load(history.worker, history.ledger, dice, { principal: new Principal('alice', ''), browser }, setting);
    await history.load.prepare();
    return history;
  }

  /** Starts again over the same storage at the same address. */
  async start() {
    const { state, port } = this.worker;
    this.worker = await Worker.start({ state, port });
    this.kills += 1;
    this.#running = true;
    if (this.load) this.load.worker = this.worker;
    this.ledger.life += 1;
    this.ledger.open = true;
  }

  /** Nothing is sent any more until it is started again. */
  async kill() {
    this.ledger.open = false;
    this.#running = false;
    await this.worker.crash();
    this.failures.push(...this.worker.failures());
    this.log.push(...this.worker.log.map(({ message }) => message));
  }

  /** A life under load, its end, and what stands after it. */
  async live() {
    const [last, end] = [this.ledger.sent + this.dice.below(REQUESTS), Date.now() + LIFE];
    const load = this.load.run();
    while (this.ledger.sent < last && Date.now() < end) await pause(1);
    await pause(this.dice.below(AIM));
    await this.kill();
    await load;
    await this.start();
    this.ledger.settle();
    await this.reconcile(this.dice);
  }

  /** Tries what was touched in the last life, and of the rest what the dice say. @param {Dice} [dice] without: everything */
  async reconcile(dice) {
    const { ledger, load } = this;
    await load.lookUp();
    const chosen = (/** @type {number} */ touched) => dice === undefined || touched >= ledger.life - 1 || dice.happens(3);
    await each(ledger.families.filter(({ touched }) => chosen(touched)), (family) => load.try(family));
    await each(load.own.filter(({ touched }) => chosen(touched)), ({ access, of }) => load.inspect(access, of));
    ledger.settle();
  }

  /** What all this has shown. */
  report() {
    assert.deepEqual(this.ledger.violations, []);
    assert.deepEqual(this.failures, []);
    const dump = Dump.of(this.worker.state).add('the log', this.log.join('\n'));
    assert.deepEqual(dump.find(this.load.secrets()), []);
  }
}

/** Over all histories: a short one may end nothing. */
const grants = { living: 0, ended: 0 };

for (let number = 0; number < histories; number += 1) {
  const seed = SEED + number;
  test(`what was answered before a kill holds after it, nothing ended comes back, and no secret is stored: seed ${seed}`, async (t) => {
    const history = await History.begin(t, seed);
    for (let kill = 0; kill < kills; kill += 1) {
      await history.live();
      // One story is enough; those after it may follow from it.
      if (history.ledger.violations.length > 0) break;
    }
    await history.reconcile();
    await history.kill();
    const { ledger } = history;
    console.log(`proof: kills survived: ${history.kills}`);
    console.log(`proof: tokens reconciled: ${ledger.reconciled.size}`);
    t.diagnostic(`${ledger.sent} requests; ${JSON.stringify(ledger.counts)}`);
    history.report();
    assert(ledger.counts['requests broken off'] > 0, 'the kills hit requests');
    const living = ledger.families.filter((family) => family.alive.some(({ life }) => life === ledger.life));
    grants.living += living.length;
    grants.ended += ledger.families.length - living.length;
    if (number === histories - 1) assert(grants.living > 0 && grants.ended > 0, 'some grants have ended, and some live');
  });
}

test('a write that is lost after its answer is noticed, whatever it was', async (t) => {
  const history = await History.begin(t, SEED);
  const { ledger, load } = history;
  const older = `${history.worker.state}-older`;
  t.after(() => rmSync(older, { recursive: true, force: true }));
  const [refreshed, revoked, redeemed] = await Promise.all([1, 2, 3].map(() => load.begin(load.web, load.alice)));
  await Promise.all([refreshed, revoked].map((family) => load.redeem(family)));
  await history.kill();
  cpSync(history.worker.state, older, { recursive: true });
  await history.start();
  await load.redeem(redeemed);
  await load.refresh(refreshed, refreshed.newest);
  await load.revokeFamily(revoked);
  const [client] = load.switched;
  await load.enable(client, false);
  await load.set(100_000);
  const registered = await load.register();
  await history.kill();
  rmSync(history.worker.state, { recursive: true });
  cpSync(older, history.worker.state, { recursive: true });
  await history.start();
  for (const family of [redeemed, refreshed, revoked]) await load.try(family);
  await load.redeem(redeemed);
  await load.refresh(refreshed, refreshed.links[1]);
  await load.inspect(revoked.access[0], revoked);
  load.dice.happens = () => true;
  await load.lookUp();
  ledger.settle();
  for (const story of [
    `redemption of ${redeemed.name} redeemed a code that another had redeemed`,
    `refresh of ${refreshed.name}, token 2 refused a good refresh token`,
    `introspection of a token of ${revoked.name} shows a token alive whose grant or client had ended`,
    `reading of ${client.name} shows true`,
    `reading of ${registered.name} shows false`,
    'reading of the settings shows',
  ]) {
    assert(ledger.violations.some((violation) => violation.includes(story)), `${story}\n${ledger.violations.join('\n')}`);
  }
});
