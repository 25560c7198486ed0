// Edgemint's own code outside the runtime: the program of `bench/native`.

import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ADMIN_TOKEN, KEY_A } from '../tests/edge/worker.mjs';
import { SCENARIOS } from './scenarios.mjs';
import { scenarios as drivers } from './drivers/edgemint.mjs';

const TARGET = process.env.CARGO_TARGET_DIR ?? fileURLToPath(new URL('../target', import.meta.url));
const PROGRAM = join(TARGET, 'release', 'edgemint-bench');

/** @param {string[]} args */
function start(args) {
  const env = { ...process.env, MASTER_KEY: KEY_A, ADMIN_TOKEN };
  const child = spawn(PROGRAM, args, { stdio: ['pipe', 'pipe', 'inherit'], env });
  const ended = new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => (code === 0 ? resolve(undefined) : reject(new Error(`edgemint-bench ${args[0]} failed`))));
  });
  // Whoever reads its lines sees that they end, and asks then.
  ended.catch(() => {});
  return { input: child.stdin, lines: createInterface({ input: child.stdout }), ended };
}

/**
 * Rows of live grants, and tokens of some of them.
 * @param {object} wanted
 * @param {string} wanted.issuer @param {string} wanted.shard
 * @param {string} wanted.client as the registry keeps it @param {string} wanted.policy
 * @param {number} wanted.count @param {number} wanted.samples @param {number} [wanted.ago] seconds since they were given
 * @param {(row: [table: string, owner: string, key: string, row: string]) => void} keep
 * @returns {Promise<{ access: string, refresh: string }[]>}
 */
export async function makeRows({ issuer, shard, client, policy, count, samples, ago = 0 }, keep) {
  const { input, lines, ended } = start(['rows', issuer, shard, String(count), String(samples), String(ago)]);
  input.end(`${client}\n${policy}\n`);
  const families = [];
  for await (const line of lines) {
    const made = JSON.parse(line);
    if (Array.isArray(made)) keep(/** @type {[string, string, string, string]} */ (made));
    else families.push(made);
  }
  await ended;
  return families;
}

/** Units of which the operations are counted, after as many that warm what is remembered. */
const UNITS = 20;

/**
 * What one unit of each scenario asks of the port to the world.
 * @returns {Promise<Record<string, { requests: number, counts: Record<string, number> }>>} means, by scenario
 */
export async function countOperations() {
  /** @type {Record<string, { requests: number, counts: Record<string, number> }>} */
  const counted = {};
  for (const scenario of Object.keys(SCENARIOS)) counted[scenario] = await countOf(scenario);
  return counted;
}

/** @param {string} scenario */
async function countOf(scenario) {
  const { input, lines, ended } = start(['operations', 'http://localhost:8787']);
  const answers = lines[Symbol.asyncIterator]();
  /** @type {Record<string, number>} */
  let latest = {};
  const send = async (/** @type {import('./connection.mjs').Request} */ request) => {
    const headers = Object.fromEntries(Object.entries(request.headers ?? {}).map(([name, value]) => [name.toLowerCase(), value]));
    input.write(`${JSON.stringify({ method: 'GET', body: '', ...request, headers })}\n`);
    const { value, done } = await answers.next();
    if (done) throw new Error('edgemint-bench operations ended');
    const answer = JSON.parse(value);
    latest = answer.counts;
    return answer;
  };
  const counted = await countUnits(drivers[scenario], send, () => latest);
  input.end();
  await ended;
  return counted;
}

/**
 * @param {import('./drivers.mjs').Scenario} driver
 * @param {(request: import('./connection.mjs').Request) => Promise<any>} send
 * @param {() => Record<string, number> | Promise<Record<string, number>>} count what the last request asked for, by kind
 * @returns {Promise<{ requests: number, counts: Record<string, number> }>} means of a unit
 */
export async function countUnits(driver, send, count) {
  const many = async (/** @type {number} */ wanted, /** @type {(at: number, send: any) => Promise<any>} */ act) => {
    const results = [];
    for (let at = 0; at < wanted; at += 1) results.push(await act(at, send));
    return results;
  };
  // All that drivers use of one.
  const site = /** @type {any} */ ({ send, many, given: { adminToken: ADMIN_TOKEN }, material: undefined });
  site.material = await driver.prepare?.(site);
  await driver.supply?.(site, 2 * UNITS);
  /** @type {Record<string, number>} */
  const counts = {};
  let requests = 0;
  await count();
  for (let at = 0; at < 2 * UNITS; at += 1) {
    const unit = driver.unit(site, at % 16);
    let step = unit.next();
    while (!step.done) {
      const answer = await send(step.value);
      const asked = await count();
      if (at >= UNITS) {
        requests += 1;
        for (const [kind, number] of Object.entries(asked)) counts[kind] = (counts[kind] ?? 0) + Number(number) / UNITS;
      }
      step = unit.next(answer);
    }
  }
  return { requests: requests / UNITS, counts };
}
