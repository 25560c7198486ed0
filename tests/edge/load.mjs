// Clients, people and an administrator who use a server all at once, and tell a ledger what they sent and were answered.

import { administer, askToken, post, redeem } from './caller.mjs';
import { Closed, Family, Principal } from './ledger.mjs';
import { CALLBACK, consent, Person } from './person.mjs';

/** @typedef {import('./ledger.mjs').Access} Access */
/** @typedef {import('./ledger.mjs').Entry} Entry */
/** @typedef {import('./ledger.mjs').Link} Link */
/** @typedef {{ principal: Principal, browser: Person }} Who a person who is signed in */

const LANES = 4;
const SCOPES = 'orders.read reports';
const SETTING = 'refresh.idleSeconds';
/** An introspection needs its caller; the tests' own reads the answer and asserts what here is to be judged later. */
const API = 'demo-api:demo-api-secret';

/**
 * So many at a time.
 * @template T
 * @param {T[]} items
 * @param {(item: T) => Promise<unknown>} act
 */
export async function each(items, act, atOnce = 6) {
  const left = [...items];
  const lane = async () => {
    while (left.length > 0) await act(left.shift());
  };
  await Promise.all(Array.from({ length: atOnce }, lane));
}

export class Load {
  /** @type {{ of: Principal, access: Access, touched: number }[]} tokens that clients got for themselves */
  own = [];
  /** @type {Principal[]} clients that this run registered */
  registered = [];
  /** @type {Principal[]} people that this run made */
  people = [];
  web = new Principal('demo-web', 'demo-web-secret');
  machine = new Principal('demo-machine', 'demo-machine-secret');
  /** @type {Principal[]} clients that are switched off and on while others use them */
  switched = [];
  setting;
  #named = 0;

  /**
   * @param {import('./worker.mjs').Worker} worker
   * @param {import('./ledger.mjs').Ledger} ledger
   * @param {import('./dice.mjs').Dice} dice
   * @param {Who} alice
   * @param {import('./ledger.mjs').Cell} setting
   */
  constructor(worker, ledger, dice, alice, setting) {
    this.worker = worker;
    this.ledger = ledger;
    this.dice = dice;
    this.alice = alice;
    this.setting = setting;
  }

  /** @param {string} kind */
  #name(kind) {
    this.#named += 1;
    return `${kind}-${this.#named}`;
  }

  /** What may be used by everybody from the start. */
  async prepare() {
    for (let number = 0; number < 2; number += 1) this.switched.push(await this.register());
  }

  /** Everybody at once, until the ledger is closed. */
  async run() {
    const lanes = [this.administrate(), this.actAlone(), ...Array.from({ length: LANES }, () => this.useGrants())];
    for (const { status, reason } of await Promise.allSettled(lanes.map((lane) => lane))) {
      if (status === 'rejected' && !(reason instanceof Closed)) throw reason;
    }
  }

  /** A person and a client: consents, codes, refresh tokens, revocations. */
  async useGrants() {
    /** @type {Family[]} */
    const mine = this.ledger.families.filter((family) => family.newest && this.dice.happens(5)).slice(-5);
    for (;;) {
      const family = mine.length > 0 ? this.dice.pick(mine) : undefined;
      const act = this.dice.weigh({ begin: family?.newest ? 30 : 300, refresh: 40, inspect: 8, revokeAccess: 8, revokeFamily: 6, redeemAgain: 6, steal: 3 });
      if (act === 'begin' || !family?.newest) {
        const client = this.dice.happens(25) ? this.dice.pick(this.switched) : this.web;
        const begun = await this.begin(client, this.alice, this.dice.happens(30) ? 2 : 1);
        if (begun?.code === undefined) continue;
        mine.push(begun);
        // Some codes wait for another life.
        if (!this.dice.happens(10)) await this.redeem(begun, this.dice.happens(40) ? 2 : 1);
      } else if (act === 'refresh') {
        const { newest } = family;
        await this.refresh(family, newest, this.dice.happens(30) ? 2 : 1);
        // The answer was lost, says the client, and asks again.
        if (this.dice.happens(20)) await this.refresh(family, newest);
      } else if (act === 'inspect') await this.inspect(this.dice.pick(family.access), family);
      else if (act === 'revokeAccess') await this.revokeAccess(this.dice.pick(family.access), family);
      else if (act === 'revokeFamily') await Promise.all([this.revokeFamily(family), ...(this.dice.happens(30) ? [this.refresh(family, family.newest)] : [])]);
      else if (act === 'redeemAgain') await this.redeem(family);
      else await this.refresh(family, family.links[0]);
    }
  }

  /** A client that acts for itself. */
  async actAlone() {
    for (;;) {
      const client = this.dice.happens(30) ? this.dice.pick(this.switched) : this.machine;
      await this.issue(client);
      const known = this.own.slice(-20);
      if (known.length === 0) continue;
      const { of, access } = this.dice.pick(known);
      if (this.dice.happens(20)) await this.revokeAccess(access, of);
      else await this.inspect(access, of);
    }
  }

  /** An administrator, one request after the other. */
  async administrate() {
    for (;;) {
      const act = this.dice.weigh({ register: 20, switch: 30, set: 15, end: 15, narrow: 10, person: 10 });
      if (act === 'register') await this.register();
      else if (act === 'switch') {
        const client = this.dice.pick(this.switched);
        if ((await this.enable(client, false)).status === 200) await this.enable(client, true);
      } else if (act === 'set') await this.set(86_400 + this.dice.below(1_000_000));
      else if (act === 'end') await this.endGrant();
      else if (act === 'narrow') await this.narrow();
      else await this.loseAPerson();
    }
  }

  /** Every string that only its holder and the server may know, by what it is. @returns {[string, string][]} */
  secrets() {
    const principals = [...this.registered, ...this.people].filter(({ secret }) => secret !== '');
    return [
      ...this.ledger.secrets(),
      ...this.own.map(({ of, access }) => /** @type {[string, string]} */ ([`a token of ${of.name} itself`, access.token])),
      ...principals.map(({ name, secret }) => /** @type {[string, string]} */ ([`the secret of ${name}`, secret])),
      ...[...this.alice.browser.cookies].map(([name, value]) => /** @type {[string, string]} */ ([`the cookie ${name}`, value])),
    ];
  }

  /** From the authorization request to the code, the form sent so many times at once. @param {Principal} client @param {Who} who */
  async begin(client, who, times = 1) {
    const page = await this.ledger.record(`authorization request of ${client.name}`, () => who.browser.authorize(client.name, { prompt: 'consent' }), (entry) => {
      if (!entry.text.includes('name="pending"') && !client.mayBeDisabled(entry)) this.ledger.complain(entry, 'showed no consent page');
    });
    if (page.status !== 200 || !page.text.includes('value="all"')) return undefined;
    const family = new Family(client, who.principal, client.narrowings.length > 0 ? 'reports' : '');
    this.ledger.families.push(family);
    Object.assign(family, { name: `grant ${this.ledger.families.length} of ${client.name}`, browser: who.browser });
    family.form = consent({ ...page, headers: new Headers() }, 'all');
    await this.allow(family, times);
    return family;
  }

  /** @param {Family} family */
  async allow(family, times = 1) {
    await this.#times(times, async () => {
      const entry = await this.ledger.record(`consent to ${family.name}`, () => family.browser.submit('/consent', family.form), this.ledger.consented(family));
      family.consents.push(entry);
      family.code ??= entry.location?.searchParams.get('code') ?? undefined;
    }, family);
  }

  /** @param {Family} family */
  async redeem(family, times = 1) {
    await this.#times(times, async () => {
      const ask = () => redeem(this.worker, family.code, credentials(family.client));
      family.redeemed(await this.ledger.record(`redemption of ${family.name}`, ask, this.ledger.redeemed(family)));
    }, family);
  }

  /** @param {Family} family @param {Link} link */
  async refresh(family, link, times = 1) {
    await this.#times(times, async () => {
      const fields = { grant_type: 'refresh_token', refresh_token: link.token, ...(family.scope && { scope: family.scope }) };
      const ask = () => askToken(this.worker, credentials(family.client), fields);
      const what = `refresh of ${family.name}, token ${family.links.indexOf(link) + 1}`;
      family.refreshed(link, await this.ledger.record(what, ask, this.ledger.refreshed(family, link)));
    }, family);
  }

  /** @param {number} times @param {() => Promise<void>} act @param {Family} family */
  async #times(times, act, family) {
    family.touched = this.ledger.life;
    await Promise.all(Array.from({ length: times }, act));
  }

  /** @param {Access} access @param {Family | Principal} of */
  async inspect(access, of) {
    const ask = () => post(this.worker, '/introspect', API, { token: access.token });
    const entry = await this.ledger.record(`introspection of a token of ${of.name}`, ask, this.ledger.inspected(access, of));
    access.seen.push(entry);
    if (of instanceof Family && entry.body?.active === true) of.alive.push(entry);
    return entry;
  }

  /** @param {Access} access @param {Family | Principal} of */
  async revokeAccess(access, of) {
    if (of instanceof Family) of.touched = this.ledger.life;
    access.revocations.push(await this.#revoke(access.token, of instanceof Family ? of.client : of, `an access token of ${of.name}`));
  }

  /** @param {Family} family */
  async revokeFamily(family) {
    family.touched = this.ledger.life;
    // Any generation will do.
    const { token } = this.dice.pick(family.links);
    family.endings.push(await this.#revoke(token, family.client, family.name));
  }

  /** @param {string} token @param {Principal} client @param {string} what */
  #revoke(token, client, what) {
    return this.ledger.record(`revocation of ${what}`, () => post(this.worker, '/revoke', credentials(client), { token }), (entry) => {
      const refused = entry.status === 401 && client.mayBeDisabled(entry);
      if (entry.status !== 200 && !refused) this.ledger.complain(entry, 'was refused');
    });
  }

  /** @param {Principal} client */
  async issue(client) {
    const ask = () => askToken(this.worker, credentials(client), { grant_type: 'client_credentials' });
    const entry = await this.ledger.record(`token for ${client.name} itself`, ask, (judged) => this.ledger.issued(client, judged));
    if (entry.status !== 200) return;
    const access = { token: entry.body.access_token, received: entry.done, issue: entry, revocations: [], seen: [] };
    this.own.push({ of: client, access, touched: this.ledger.life });
  }

  /** @param {string} what @param {string} method @param {string} path @param {object | undefined} body @param {number} expected */
  #administer(what, method, path, body, expected) {
    return this.ledger.record(what, () => administer(this.worker, method, path, body), (entry) => {
      if (entry.status !== expected) this.ledger.complain(entry, 'was refused');
    });
  }

  async register() {
    const client = new Principal(this.#name('client'), '');
    client.exists.initial = false;
    client.scope.initial = SCOPES;
    const metadata = {
      client_id: client.name,
      redirect_uris: [CALLBACK],
      grant_types: ['authorization_code', 'refresh_token', 'client_credentials'],
      scope: SCOPES,
    };
    this.registered.push(client);
    const entry = await this.#administer(`registration of ${client.name}`, 'POST', '/admin/clients', metadata, 201);
    client.exists.write(true, entry);
    if (entry.status === 201) client.secret = entry.body.client_secret;
    return client;
  }

  /** @param {Principal} client */
  async enable(client, enabled = true) {
    const what = `${enabled ? 'enabling' : 'disabling'} of ${client.name}`;
    const entry = await this.#administer(what, 'PATCH', `/admin/clients/${client.name}`, { enabled }, 200);
    client.enabled.write(enabled, entry);
    if (!enabled) client.disablings.push(entry);
    return entry;
  }

  /** @param {number} value */
  async set(value) {
    const entry = await this.#administer(`setting of ${value}`, 'PATCH', '/admin/settings', { [SETTING]: value }, 200);
    this.setting.write(value, entry);
  }

  /** A client of its own with one grant, which the administrator looks up and ends. */
  async endGrant() {
    const client = await this.register();
    if (client.secret === '') return;
    const family = await this.begin(client, this.alice);
    if (family?.code === undefined) return;
    await this.redeem(family);
    const list = await this.#administer(`list of ${family.name}`, 'GET', `/admin/grants?client_id=${client.name}`, undefined, 200);
    if (list.status !== 200 || family.newest === undefined) return;
    const ids = list.body.items.map((/** @type {any} */ { id }) => id);
    if (ids.length !== 1) this.ledger.complain(list, 'does not show one grant');
    else family.endings.push(await this.#administer(`end of ${family.name}`, 'DELETE', `/admin/grants/${ids[0]}`, undefined, 204));
  }

  /** A client of its own that loses a scope while tokens of it are out. */
  async narrow() {
    const client = await this.register();
    if (client.secret === '') return;
    await this.issue(client);
    const family = await this.begin(client, this.alice);
    if (family?.code === undefined) return;
    await this.redeem(family);
    family.scope = 'reports';
    await this.take(client);
    for (const access of family.access) await this.inspect(access, family);
  }

  /** @param {Principal} client */
  async take(client) {
    const entry = await this.#administer(`narrowing of ${client.name}`, 'PATCH', `/admin/clients/${client.name}`, { scope: 'reports' }, 200);
    client.scope.write('reports', entry);
    client.narrowings.push(entry);
    return entry;
  }

  /** A person who signs in, allows something, and is disabled. */
  async loseAPerson() {
    const principal = new Principal(this.#name('person'), 'through-the-mirror');
    principal.exists.initial = false;
    this.people.push(principal);
    const account = { username: principal.name, password: principal.secret };
    principal.exists.write(true, await this.#administer(`account of ${principal.name}`, 'POST', '/admin/users', account, 201));
    if (principal.exists.isOpen()) return;
    const browser = new Person(this.worker);
    const page = await this.ledger.record(`authorization request of ${principal.name}`, () => browser.authorize('demo-web', { prompt: 'consent' }));
    if (page.status !== 200) return;
    const shown = { ...page, headers: new Headers() };
    const signedIn = await this.ledger.record(`login of ${principal.name}`, () => browser.signIn(shown, principal.name, principal.secret), (entry) => {
      if (!entry.text.includes('value="all"')) this.ledger.complain(entry, 'was refused');
    });
    if (signedIn.status !== 200) return;
    const family = await this.begin(this.web, { principal, browser });
    if (family?.code !== undefined) await this.redeem(family);
    await this.disablePerson(principal);
  }

  /** @param {Principal} person */
  async disablePerson(person) {
    const entry = await this.#administer(`disabling of ${person.name}`, 'PATCH', `/admin/users/${person.name}`, { enabled: false }, 200);
    person.enabled.write(false, entry);
    person.disablings.push(entry);
    return entry;
  }

  /** Reads what an administrator changed; then repeats what was not answered. */
  async lookUp() {
    const records = [
      ...this.registered.map((of) => ({ of, path: `/admin/clients/${of.name}` })),
      ...this.people.map((of) => ({ of, path: `/admin/users/${of.name}` })),
    ];
    // What everybody knows stays to be looked at now and then.
    const asked = records.filter(({ of }) => of.exists.isOpen() || of.enabled.isOpen() || of.scope.isOpen() || this.dice.happens(10));
    await each(asked, async ({ of, path }) => {
      const entry = await this.ledger.record(`reading of ${of.name}`, () => administer(this.worker, 'GET', path));
      const exists = entry.status === 200;
      this.#read(of.exists, exists, entry);
      // What the truth says of this cannot change any more.
      of.exists.write(exists, { ...entry, status: 200 });
      if (!exists) return;
      this.#read(of.enabled, entry.body.enabled, entry);
      if (entry.body.scope !== undefined) this.#read(of.scope, entry.body.scope, entry);
    });
    const settings = await this.ledger.record('reading of the settings', () => administer(this.worker, 'GET', '/admin/settings'));
    this.#read(this.setting, settings.body?.[SETTING], settings);
    this.setting.write(settings.body?.[SETTING], settings);
    for (const of of [...this.registered, ...this.people]) await this.#repeat(of);
  }

  /** @param {import('./ledger.mjs').Cell} cell @param {any} value @param {Entry} entry */
  #read(cell, value, entry) {
    if (!cell.mayShow(value, entry)) this.ledger.complain(entry, `shows ${value}, which is not what was last written`);
  }

  /**
   * A change whose answer did not come is repeated, also where the truth shows it: not every shard may have heard of it.
   * That is answered: nothing else is under way.
   * @param {Principal} of
   */
  async #repeat(of) {
    const isLost = (/** @type {Entry | undefined} */ entry) => entry !== undefined && entry.status !== 200;
    const repeated = [];
    if (isLost(of.disablings.at(-1))) repeated.push(await (this.people.includes(of) ? this.disablePerson(of) : this.enable(of, false)));
    if (isLost(of.narrowings.at(-1))) repeated.push(await this.take(of));
    const off = of.enabled.possible(Infinity, Infinity).includes(false);
    if (this.switched.includes(of) && off) repeated.push(await this.enable(of, true));
    for (const entry of repeated.filter(isLost)) this.ledger.complain(entry, 'was repeated in vain');
  }

  /** What somebody holds, tried: what broke off again, what was given still, what was ended no more. @param {Family} family */
  async try(family) {
    const { touched } = family;
    await this.#try(family);
    // To be looked at again is no reason to be looked at again.
    family.touched = touched;
  }

  /** @param {Family} family */
  async #try(family) {
    if (family.code === undefined || this.dice.happens(10)) await this.allow(family);
    if (family.code === undefined) return;
    const unredeemed = family.access.length === 0;
    if (unredeemed) await this.redeem(family);
    await each(family.access, (access) => this.inspect(access, family), 2);
    if (family.newest === undefined) return;
    const { newest } = family;
    const uncertain = newest.uses.length > 0;
    if (uncertain || this.dice.happens(40)) {
      await this.refresh(family, newest, this.dice.happens(50) ? 2 : 1);
      if (this.dice.happens(30)) await this.refresh(family, newest);
    }
    // A second time, and nothing may have changed.
    if (!unredeemed && this.dice.happens(10)) await this.redeem(family);
  }
}

/** @param {Principal} client */
const credentials = ({ name, secret }) => `${name}:${secret}`;
