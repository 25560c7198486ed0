// The load generator, a process of its own. It is told what to do by messages, one at a time, and answers each. What a system
// has been given (codes, tokens, cookies) stays here from one slice to the next.

import { readFileSync } from 'node:fs';
import { Connection, encode, headers } from './connection.mjs';
import { quantile } from './statistics.mjs';
import { DRIVERS } from './drivers.mjs';

/**
 * @typedef {object} Target
 * @property {string} system
 * @property {string} scenario
 * @property {number} port
 * @property {number} pid
 * @property {Record<string, any>} [given] what the driver must know beside
 *
 * @typedef {object} Load
 * @property {number} concurrency
 * @property {number} seconds at most
 * @property {number} warm seconds before what is measured
 * @property {number} [units] at most, where each needs something that is used up
 */

/** What is at work in a target: connections, and what the driver keeps. */
export class Site {
  /** @type {Connection[]} */ #connections = [];
  /** @type {any} what the driver has prepared */
  material = undefined;

  /** @param {Target} target */
  constructor({ system, scenario, port, pid, given = {} }) {
    this.system = system;
    this.scenario = scenario;
    this.port = port;
    this.pid = pid;
    this.given = given;
    this.host = `localhost:${port}`;
    this.driver = DRIVERS[system];
  }

  /** @param {number} count */
  connections(count) {
    while (this.#connections.length < count) this.#connections.push(new Connection(this.port));
    return this.#connections.slice(0, count);
  }

  /** One request beside the measured ones. @param {import('./connection.mjs').Request} request @param {Connection} [connection] */
  send(request, [connection] = this.connections(1)) {
    return connection.send(encode(this.host, request));
  }

  /**
   * Something done many times, by several hands.
   * @template T @param {number} count @param {(at: number, send: (request: import('./connection.mjs').Request) => Promise<import('./connection.mjs').Answer>) => Promise<T>} act
   * @returns {Promise<T[]>}
   */
  async many(count, act, hands = 16) {
    /** @type {T[]} */
    const results = new Array(count);
    let next = 0;
    await Promise.all(this.connections(Math.min(hands, count)).map(async (connection) => {
      while (next < count) {
        const at = next++;
        results[at] = await act(at, (request) => this.send(request, [connection]));
      }
    }));
    return results;
  }

  /** Milliseconds of processor time that the system has used. */
  processorTime() {
    // proc(5): after the name in parentheses the state is the third field; utime and stime are the 14th and 15th, in ticks.
    const fields = readFileSync(`/proc/${this.pid}/stat`, 'utf8').split(') ').pop().split(' ');
    return (Number(fields[11]) + Number(fields[12])) * 10;
  }

  close() {
    for (const connection of this.#connections) connection.close();
  }
}

/**
 * A slice: so many hands, each one unit after another.
 * @param {Site} site @param {Load} load @returns {Promise<import('./statistics.mjs').Slice & { units: number }>}
 */
async function measure(site, { concurrency, seconds, warm, units = Infinity }) {
  const scenario = site.driver.scenarios[site.scenario];
  const begun = performance.now();
  const warmUnits = Number.isFinite(units) ? Math.ceil(units * 0.15) : Infinity;
  let [started, done] = [0, 0];
  /** @type {number[]} */
  const times = [];
  let [from, last, processor] = [0, 0, 0];
  await Promise.all(site.connections(concurrency).map(async (connection, hand) => {
    for (;;) {
      const now = performance.now();
      if (from === 0 && (now - begun >= warm * 1000 || done >= warmUnits)) [from, processor] = [now, site.processorTime()];
      if (started >= units || (from > 0 && now - from >= seconds * 1000)) return;
      started += 1;
      const unit = scenario.unit(site, hand);
      let step = unit.next();
      while (!step.done) step = unit.next(await connection.send(encode(site.host, step.value)));
      const end = performance.now();
      done += 1;
      if (from > 0 && now >= from) {
        times.push(end - now);
        last = end;
      }
    }
  }));
  const spent = site.processorTime() - processor;
  if (times.length === 0) throw new Error(`${site.system}, ${site.scenario}: nothing was measured`);
  return {
    units: times.length,
    rps: times.length / ((last - from) / 1000),
    p50_ms: quantile(times, 0.5),
    p99_ms: quantile(times, 0.99),
    cpu_ms: spent / times.length,
  };
}

/** What each message asks for. @type {Record<string, (message: any) => Promise<any>>} */
const TASKS = {
  /** A system is ready to be used: what its driver needs is made. */
  async open({ name, target }) {
    const site = new Site(target);
    sites.set(name, site);
    site.material = await site.driver.scenarios[site.scenario].prepare?.(site);
    return null;
  },
  /** What is used up is made anew, in that number. */
  async supply({ name, units }) {
    const site = sites.get(name);
    await site.driver.scenarios[site.scenario].supply?.(site, units);
    return null;
  },
  async measure({ name, load }) {
    return measure(sites.get(name), load);
  },
  /** The last request of one unit as it is sent, and its answer: what a floor is to be sent, and to answer. */
  async capture({ name }) {
    const site = sites.get(name);
    const unit = site.driver.scenarios[site.scenario].unit(site, 0);
    let [step, request, answer] = [unit.next(), undefined, undefined];
    while (!step.done) {
      request = step.value;
      answer = await site.send(request);
      step = unit.next(answer);
    }
    return { request, answer: { status: answer.status, headers: headers(answer.head), body: answer.text } };
  },
  async close({ name }) {
    sites.get(name)?.close();
    sites.delete(name);
    return null;
  },
};

/** @type {Map<string, Site>} */
const sites = new Map();

process.on('message', async (/** @type {any} */ { task, ...message }) => {
  try {
    process.send({ result: await TASKS[task](message) });
  } catch (error) {
    process.send({ error: error instanceof Error ? error.stack : String(error) });
  }
});
// Whoever started it is gone.
process.on('disconnect', () => process.exit());
