// Systems side by side: all are started, one at a time is loaded, and the others are stopped meanwhile (SIGSTOP), so that not
// even a timer of theirs runs. Rounds alternate, so that whatever else the machine does meets all of them.

import { fork } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ADMIN_TOKEN, findFreePort } from '../tests/edge/worker.mjs';
import { summarize } from './statistics.mjs';
import { SYSTEMS } from './systems.mjs';
import { forget } from './workerd.mjs';

/** The process that makes the load. */
export class Generator {
  #child = fork(fileURLToPath(new URL('generator.mjs', import.meta.url)));
  /** @type {Promise<any>} */ #last = Promise.resolve();

  /** One task after the other. @param {string} task @param {object} [message] @returns {Promise<any>} */
  ask(task, message = {}) {
    const asked = this.#last.then(() => new Promise((resolve, reject) => {
      const lost = () => reject(new Error('the load generator died'));
      this.#child.once('exit', lost);
      this.#child.once('message', (/** @type {any} */ { result, error }) => {
        this.#child.off('exit', lost);
        if (error === undefined) resolve(result);
        else reject(new Error(error));
      });
      this.#child.send({ task, ...message });
    }));
    this.#last = asked.catch(() => {});
    return asked;
  }

  stop() {
    this.#child.disconnect();
  }
}

/** Systems that run. */
export class Arena {
  /** @type {Map<string, { served: import('./workerd.mjs').Served, directory: string, lasting: boolean, scenario: string }>} */ #contenders = new Map();

  /** @param {Generator} generator */
  constructor(generator) {
    this.generator = generator;
  }

  /**
   * Starts one, has its driver prepare what it needs, and stops it until it is its turn.
   * @param {string} name what it is called here
   * @param {{ system: string, scenario: string, given?: object, directory?: string, port?: number }} options directory: of what an
   *   earlier one stored; it is not removed
   */
  async enter(name, { system, scenario, given = {}, directory, port }) {
    const own = directory ?? mkdtempSync(join(tmpdir(), 'edgemint-bench-'));
    const all = { adminToken: ADMIN_TOKEN, ...given };
    const served = await SYSTEMS[system].start(port ?? (await findFreePort()), own, all);
    this.#contenders.set(name, { served, directory: own, lasting: directory !== undefined, scenario });
    const target = { system, scenario, port: served.port, pid: served.pid, given: all };
    await this.#tell(name, 'open', { target });
    served.pause();
    return served;
  }

  /** @param {string} name @param {string} task @param {object} [message] */
  async #tell(name, task, message = {}) {
    try {
      return await this.generator.ask(task, { name, ...message });
    } catch (error) {
      const said = this.#contenders.get(name).served.errors();
      throw new Error(`${name}: ${error instanceof Error ? error.message : error}\n${said}`, { cause: error });
    }
  }

  /** What one unit of it sends at last, and is answered. @param {string} name */
  async capture(name) {
    return this.#awake(name, async () => {
      await this.#tell(name, 'supply', { units: 1 });
      return this.#tell(name, 'capture');
    });
  }

  /** @template T @param {string} name @param {() => Promise<T>} act */
  async #awake(name, act) {
    const { served } = this.#contenders.get(name);
    served.resume();
    try {
      return await act();
    } finally {
      served.pause();
    }
  }

  /** @param {string} name @param {import('./generator.mjs').Load} load */
  slice(name, load) {
    return this.#awake(name, async () => {
      if (load.units) await this.#tell(name, 'supply', { units: load.units });
      return this.#tell(name, 'measure', { load });
    });
  }

  /**
   * @param {object} plan
   * @param {number[]} plan.concurrencies
   * @param {number} plan.rounds
   * @param {number} plan.seconds
   * @param {number} plan.warm
   * @param {Record<string, number>} [plan.units]
   * @param {(line: string) => void} plan.tell
   * @returns {Promise<Record<string, Record<string, import('./statistics.mjs').Measured>>>} contender → concurrency
   */
  async contest({ concurrencies, rounds, seconds, warm, units, tell }) {
    const names = [...this.#contenders.keys()];
    // Compilers get to know the code first.
    for (const name of names) await this.slice(name, { concurrency: 16, seconds: 0.2, warm: seconds, units: units?.[16] });
    /** @type {Record<string, Record<string, import('./statistics.mjs').Slice[]>>} */
    const slices = Object.fromEntries(names.map((name) => [name, Object.fromEntries(concurrencies.map((one) => [one, []]))]));
    for (let round = 0; round < rounds; round += 1) {
      // The first of one round is the last of the next.
      const order = round % 2 === 0 ? names : names.toReversed();
      for (const concurrency of concurrencies) {
        for (const name of order) {
          slices[name][concurrency].push(await this.slice(name, { concurrency, seconds, warm, units: units?.[concurrency] }));
        }
      }
    }
    const measured = Object.fromEntries(names.map((name) => [
      name,
      Object.fromEntries(concurrencies.map((one) => [one, summarize(slices[name][one])])),
    ]));
    for (const name of names) {
      const rates = concurrencies.map((one) => `${one}: ${measured[name][one].rps}/s`).join(', ');
      tell(`  ${name.padEnd(24)} ${rates}`);
    }
    return measured;
  }

  /** @param {string} name */
  memory(name) {
    return this.#contenders.get(name).served.memory();
  }

  async leave() {
    for (const [name, { served, directory, lasting }] of this.#contenders) {
      await this.generator.ask('close', { name });
      await served.stop();
      if (!lasting) forget(directory);
    }
    this.#contenders.clear();
  }
}
