// What clients know of a server that dies now and then: every request they sent, and what was answered, or that the
// connection broke off and nobody can tell. From that follows what may be true, and what must be.
//
// Only intervals are compared: what a request did, it did between being sent and being answered. A request that broke
// off or was answered 503 *may* have done it; one that was answered 200 *has*. An answer is a violation where no order
// of events explains it.

/** Windows of the server, in milliseconds: `refresh.graceSeconds`, `authCode.retrySeconds`, `authCode.expirySeconds`. */
const GRACE = 10_000;
const RETRY = 10_000;
const CODE = 60_000;
/** The clock of an object stands still while it works. */
const SLACK = 100;
/** After so long nobody delivers any more what was answered 503. */
const LATE = 16_000;

/**
 * One request.
 * @typedef {object} Entry
 * @property {string} what
 * @property {number} life of the server: one more after each crash
 * @property {number} sent in milliseconds since 1970
 * @property {number} done answered or broken off then; what was answered 503 may take effect yet
 * @property {number} status 0: it broke off
 * @property {string} text
 * @property {any} [body]
 * @property {URL} [location]
 */

/** @typedef {{ token: string, received: number, uses: Entry[], successor?: Link }} Link a refresh token, and its next */
/** @typedef {{ token: string, received: number, issue?: Entry, revocations: Entry[], seen: Entry[] }} Access an access token */

/** @param {Entry} entry */
const isUnknown = ({ status }) => status === 0 || status === 503;
/** @param {Entry} entry */
const isDone = ({ status }) => status >= 200 && status < 400;
/** @param {Entry} entry */
const mayBeDone = (entry) => isDone(entry) || isUnknown(entry);

/** A request that is not sent any more. */
export class Closed extends Error {}

/** One value that requests change one after the other. */
export class Cell {
  /** @type {{ value: any, entry: Entry }[]} */
  #writes = [];

  /** @param {any} initial */
  constructor(initial) {
    this.initial = initial;
  }

  /** @param {any} value @param {Entry} entry the request that sets it */
  write(value, entry) {
    this.#writes.push({ value, entry });
  }

  /** The values that a reader may find between these instants. @param {number} from @param {number} to */
  possible(from, to) {
    const base = this.#writes.findLast(({ entry }) => isDone(entry) && entry.done <= from);
    const later = this.#writes.filter((write) => {
      const { entry } = write;
      return write !== base && mayBeDone(entry) && entry.sent < to && (base === undefined || entry.sent >= base.entry.sent);
    });
    return [base === undefined ? this.initial : base.value, ...later.map(({ value }) => value)];
  }

  /** Whether a reader may find this. @param {any} value @param {Entry} entry */
  mayShow(value, { sent, done }) {
    return this.possible(sent, done).includes(value);
  }

  /** Whether nobody knows. */
  isOpen() {
    return this.possible(Infinity, Infinity).length > 1;
  }
}

/** A client or a person. Disabling a person ends all they gave; what a client has is dead only while it is disabled. */
export class Principal {
  enabled = new Cell(true);
  exists = new Cell(true);
  /** Scopes it may have, as one string; changed while nothing of it is under way. */
  scope = new Cell('');
  /** @type {Entry[]} */
  disablings = [];
  /** @type {Entry[]} changes that took scopes away */
  narrowings = [];

  /** @param {string} name @param {string} secret */
  constructor(name, secret) {
    this.name = name;
    this.secret = secret;
  }

  /** @param {Entry} entry */
  mayBeDisabled({ sent, done }) {
    return this.enabled.possible(sent, done).includes(false);
  }

  /** @param {Entry} entry */
  isDisabled({ sent, done }) {
    return this.enabled.possible(sent, done).every((value) => value === false);
  }

  /** Whether a disabling may end what was begun then: none that was taken back before. @param {Entry} entry @param {number} begun */
  mayReach(entry, begun) {
    return mayBeDone(entry) && (entry.done >= begun || this.enabled.possible(begun, begun).includes(false));
  }
}

/** What one consent gave: a code, and the tokens that came of it. */
export class Family {
  /** @type {Entry[]} */ consents = [];
  /** @type {Entry[]} */ redemptions = [];
  /** @type {Link[]} in order of their generations */ links = [];
  /** @type {Access[]} */ access = [];
  /** @type {Entry[]} requests that are to end it, whole */ endings = [];
  /** @type {Entry[]} proofs that it lives */ alive = [];
  /** @type {string | undefined} */ code;
  name = '';
  /** @type {string[][]} the fields of the consent form */ form = [];
  /** @type {import('./person.mjs').Person} */ browser;
  /** The life of the server in which it was last used. */
  touched = 0;

  /** @param {Principal} client @param {Principal} person @param {string} scope asked for at a refresh */
  constructor(client, person, scope = '') {
    this.client = client;
    this.person = person;
    this.scope = scope;
  }

  get begun() {
    return Math.min(...this.consents.map(({ sent }) => sent));
  }

  /** The instant from which the code was out for sure. */
  get given() {
    return Math.min(...this.consents.filter(({ location }) => location?.searchParams.has('code')).map(({ done }) => done));
  }

  get newest() {
    return this.links.at(-1);
  }

  /** Whether something that was sent by then may have ended it. @param {Entry} by */
  mayHaveEnded(by) {
    const before = (/** @type {Entry} */ entry) => entry !== by && entry.sent < by.done;
    const direct = this.endings.some((entry) => before(entry) && mayBeDone(entry) && !this.#wasSurvived(entry, by));
    const principals = this.client.mayBeDisabled(by)
      || this.person.disablings.some((entry) => before(entry) && this.person.mayReach(entry, this.begun));
    const replayed = this.links.some((link) =>
      link.uses.some((use) => before(use) && !isDone(use) && this.mayBeReplay(link, use) && !this.#wasSurvived(use, by)));
    const codeReplayed = this.redemptions.some((entry) => before(entry) && !isDone(entry) && this.#mayBeLate(entry));
    return direct || principals || replayed || codeReplayed;
  }

  /** Whether an answer that had come by then shows that it has ended. @param {Entry} by */
  hasEnded(by) {
    const before = (/** @type {Entry} */ entry) => entry !== by && entry.done <= by.sent;
    const direct = this.endings.some((entry) => before(entry) && isDone(entry));
    const principals = this.client.isDisabled(by)
      || this.person.disablings.some((entry) => before(entry) && isDone(entry) && this.given <= entry.sent);
    // A refresh token that was ours and is refused stays refused: whatever the reason, it was an end.
    const refused = this.links.some((link) => link.uses.some((use) => before(use) && use.status === 400 && !this.client.mayBeDisabled(use)));
    const first = this.redemptions.find(({ status }) => status === 200);
    const codeReplayed = this.redemptions.some((entry) =>
      before(entry) && entry.status === 400 && first && entry.sent > first.done + RETRY + SLACK);
    const seen = this.access.some(({ revocations, seen }) =>
      seen.some((entry) => before(entry) && entry.body?.active === false && !this.client.mayBeDisabled(entry) && !revocations.some((one) => one.sent < entry.done)));
    return direct || principals || refused || codeReplayed || seen;
  }

  /** Whether this use of a refresh token may count as its theft. @param {Link} link @param {Entry} use */
  mayBeReplay(link, use) {
    const others = link.uses.filter((other) => other !== use && mayBeDone(other) && other.sent < use.done);
    const first = Math.min(...others.map(({ sent }) => sent));
    const successorUsed = link.successor?.uses.some((other) => mayBeDone(other) && other.sent < use.done);
    return successorUsed === true || first + GRACE - SLACK <= use.done;
  }

  /** Whether this redemption may have come after the time in which a client may have lost the answer. @param {Entry} entry */
  #mayBeLate(entry) {
    const others = this.redemptions.filter((other) => other !== entry && mayBeDone(other) && other.sent < entry.done);
    return Math.min(...others.map(({ sent }) => sent)) + RETRY - SLACK <= entry.done;
  }

  /** Whether it was seen alive after the process died that may have done this. @param {Entry} ending @param {Entry} by */
  #wasSurvived(ending, by) {
    return isUnknown(ending) && this.alive.some((proof) => proof.life > ending.life && proof.done <= by.sent);
  }

  /** @param {Entry} entry */
  redeemed(entry) {
    this.redemptions.push(entry);
    if (entry.status === 200) this.#receive(entry);
  }

  /** @param {Link} link @param {Entry} entry */
  refreshed(link, entry) {
    link.uses.push(entry);
    if (entry.status !== 200) return;
    this.alive.push(entry);
    this.#receive(entry, link);
  }

  /** @param {Entry} entry @param {Link} [from] */
  #receive({ body, done }, from) {
    this.access.push({ token: body.access_token, received: done, revocations: [], seen: [] });
    const known = this.links.find(({ token }) => token === body.refresh_token);
    const link = known ?? { token: body.refresh_token, received: done, uses: [] };
    if (!known) this.links.push(link);
    if (from && from.successor === undefined) from.successor = link;
  }
}

/** Everything that was sent, and what is wrong with it. */
export class Ledger {
  /** @type {string[]} stories of what no order of events explains */
  violations = [];
  /** @type {Family[]} */
  families = [];
  /** @type {Set<string>} tokens and codes whose fate was looked at */
  reconciled = new Set();
  /** @type {Record<string, number>} */
  counts = {};
  life = 0;
  sent = 0;
  open = true;
  /** @type {{ entry: Entry, judge: (entry: Entry) => void }[]} */
  #pending = [];

  /**
   * Sends a request and notes what came of it. It is judged when all that were under way with it have ended.
   * @param {string} what
   * @param {() => Promise<{ status: number, headers: Headers, text: string, body?: any, location?: URL }>} ask
   * @param {(entry: Entry) => void} [judge] not called for an answer that says nothing
   */
  async record(what, ask, judge = () => {}) {
    if (!this.open) throw new Closed(what);
    /** @type {Entry} */
    const entry = { what, life: this.life, sent: Date.now(), done: Infinity, status: 0, text: '' };
    this.#pending.push({ entry, judge });
    this.sent += 1;
    try {
      const { status, headers, text, body, location } = await ask();
      Object.assign(entry, { status, text, body, location });
      entry.done = Date.now() + (status === 503 ? LATE : 0);
      if (status === 503) this.count('answers 503');
      if (status >= 500 && !(status === 503 && headers.has('retry-after'))) this.complain(entry, 'is an error of the server');
    } catch (error) {
      entry.done = Date.now();
      entry.text = `${error.message}: ${error.cause?.message}`;
      this.count('requests broken off');
      if (this.open) this.complain(entry, 'broke off while the server ran');
    }
    return entry;
  }

  /** @param {string} what */
  count(what) {
    this.counts[what] = (this.counts[what] ?? 0) + 1;
  }

  /** @param {Entry} entry @param {string} why */
  complain({ what, life, sent, done, status, text, location }, why) {
    const answer = status === 0 ? `broke off (${text})` : `${status} ${location ?? text}`.slice(0, 300);
    this.violations.push(`life ${life}, ${sent}–${done}: ${what} ${why}: ${answer}`);
  }

  /** Every string that only its holder and the server may know, by what it is. @returns {[string, string][]} */
  secrets() {
    return this.families.flatMap(({ name, code, form, links, access }) => /** @type {[string, string][]} */ ([
      [`the form of ${name}`, form[0][1]],
      ...(code === undefined ? [] : [[`the code of ${name}`, code]]),
      ...[...links, ...access].map(({ token }) => [`a token of ${name}`, token]),
    ]));
  }

  /** Judges what has ended: all requests have. */
  settle() {
    for (const { entry, judge } of this.#pending.splice(0)) {
      if (!isUnknown(entry)) judge(entry);
    }
  }

  /** Of a consent. @param {Family} family */
  consented(family) {
    return (/** @type {Entry} */ entry) => {
      const code = entry.location?.searchParams.get('code') ?? undefined;
      if (code !== undefined) {
        if (code !== family.code) this.complain(entry, 'gave a second code');
        if (family.hasEnded(entry)) this.complain(entry, 'gave the code of a grant that had ended');
        return;
      }
      const redeemed = family.redemptions.some((other) => other.sent < entry.done);
      const late = entry.done > family.begun + CODE - SLACK;
      const refused = family.client.mayBeDisabled(entry) || family.mayHaveEnded(entry);
      if (!redeemed && !late && !refused) this.complain(entry, 'gave no code');
    };
  }

  /** Of a redemption. @param {Family} family */
  redeemed(family) {
    return (/** @type {Entry} */ entry) => {
      this.reconciled.add(family.code);
      const others = family.redemptions.filter((other) => other !== entry);
      if (entry.status === 200) {
        if (others.some(({ status, sent }) => status === 200 && sent <= entry.sent)) this.complain(entry, 'redeemed a code that another had redeemed');
        if (family.hasEnded(entry)) this.complain(entry, 'redeemed the code of a grant that had ended');
        if (family.client.isDisabled(entry)) this.complain(entry, 'was answered to a disabled client');
        if (entry.sent > family.given + CODE + SLACK) this.complain(entry, 'redeemed a code after its end');
        return;
      }
      if (this.#refusesClient(family.client, entry)) return;
      const used = others.some((other) => mayBeDone(other) && other.sent < entry.done);
      if (used && !others.some(isDone)) this.count('codes whose tokens may have been lost');
      const late = entry.done > family.begun + CODE - SLACK;
      const withdrawn = family.client.narrowings.some((change) => mayBeDone(change) && change.sent < entry.done);
      if (!used && !late && !withdrawn && !family.mayHaveEnded(entry)) this.complain(entry, 'refused a good code');
    };
  }

  /** Of a refresh. @param {Family} family @param {Link} link */
  refreshed(family, link) {
    return (/** @type {Entry} */ entry) => {
      this.reconciled.add(link.token);
      if (entry.status !== 200) {
        if (this.#refusesClient(family.client, entry)) return;
        if (family.hasEnded(entry)) this.count('refreshes refused that must be');
        else if (family.mayHaveEnded(entry) || family.mayBeReplay(link, entry)) this.count('refreshes refused that may be');
        else this.complain(entry, 'refused a good refresh token');
        return;
      }
      if (entry.body.refresh_token !== link.successor.token) this.complain(entry, 'gave a second successor');
      if (link.successor === link) this.complain(entry, 'gave the same refresh token again');
      if (family.hasEnded(entry)) this.complain(entry, 'refreshed a grant that had ended');
      if (family.client.isDisabled(entry)) this.complain(entry, 'was answered to a disabled client');
      const first = Math.min(...link.uses.filter(({ status }) => status === 200).map(({ done }) => done));
      if (entry.sent > first + GRACE + SLACK) this.complain(entry, 'refreshed with a used token after its grace');
      const used = link.successor.uses.some((use) => use.status === 200 && use.done < entry.sent);
      if (used) this.complain(entry, 'refreshed with a token whose successor was used');
    };
  }

  /** Of an introspection. @param {Access} access @param {Family | Principal} of */
  inspected(access, of) {
    return (/** @type {Entry} */ entry) => {
      this.reconciled.add(access.token);
      const revoked = (/** @type {(one: Entry) => boolean} */ holds) => access.revocations.some(holds);
      const { client } = of instanceof Family ? of : { client: of };
      const before = access.seen.some((other) => other.done <= entry.sent && other.body?.active === false && !client.mayBeDisabled(other));
      if (entry.status !== 200 && !isUnknown(entry)) this.complain(entry, 'is no answer of an introspection');
      if (entry.body?.active === true) {
        const dead = revoked((one) => isDone(one) && one.done <= entry.sent);
        const ended = of instanceof Family ? of.hasEnded(entry) : this.#hasEnded(of, access, entry);
        if (dead) this.complain(entry, 'shows a revoked token alive');
        if (ended) this.complain(entry, 'shows a token alive whose grant or client had ended');
        if (before) this.complain(entry, 'shows a token alive that was dead');
        const scopes = client.scope.possible(entry.sent, entry.done);
        if (scopes.every(Boolean) && !scopes.some((scope) => isWithin(entry.body.scope, scope))) this.complain(entry, 'shows a scope that was taken away');
        return;
      }
      const excused = revoked((one) => mayBeDone(one) && one.sent < entry.done);
      const ended = of instanceof Family ? of.mayHaveEnded(entry) : this.#mayHaveEnded(of, access, entry);
      if (!excused && !ended) this.complain(entry, 'shows a token dead that nothing has ended');
    };
  }

  /** Of a token that a client got for itself. @param {Principal} client @param {Entry} entry */
  issued(client, entry) {
    if (entry.status === 200) {
      if (client.isDisabled(entry)) this.count('tokens of disabled clients, from copies');
    } else if (!client.mayBeDisabled(entry)) this.complain(entry, 'refused a good client');
  }

  /** @param {Principal} client @param {Entry} entry */
  #refusesClient(client, entry) {
    if (entry.status !== 401) return false;
    if (!client.mayBeDisabled(entry)) this.complain(entry, 'refused a good client');
    return true;
  }

  /**
   * A client's own token that an old copy issued is dead from the start, also once the client is enabled again.
   * @param {Principal} client @param {Access} access @param {Entry} by
   */
  #mayHaveEnded(client, access, by) {
    const { issue } = access;
    const late = issue !== undefined && client.disablings.some((entry) => mayBeDone(entry) && entry.sent < issue.done);
    return late || client.mayBeDisabled(by) || client.narrowings.some((entry) => mayBeDone(entry) && entry.sent < by.done);
  }

  /** @param {Principal} client @param {Access} access @param {Entry} by */
  #hasEnded(client, access, by) {
    return client.isDisabled(by) || (access.issue !== undefined && client.isDisabled(access.issue));
  }
}

/** @param {string} some @param {string} all */
function isWithin(some, all) {
  const names = new Set(all.split(' '));
  return some.split(' ').every((name) => names.has(name));
}
