// From tokens a day to shards, storage and dollars: the arithmetic of docs/scaling.md, and a simulation of the queues before the
// shards. `node bench/scaling.mjs` prints the tables of that page; `--per-day 1e9 --refresh 0.6 …` those of another load.

import { readFileSync, realpathSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { price } from './cost.mjs';
import { table } from './report.mjs';

/** What is assumed where nothing else is said. */
export const LOAD = {
  /** Access tokens that are issued a day. */
  perDay: 1e9,
  /** Of these: by refreshes, by codes; the rest by clients for themselves. */
  refresh: 0.6,
  code: 0.05,
  /** Questions about each of these tokens: introspection or `/check`. */
  asked: 2,
  /** The busiest second over the mean one. */
  peak: 3,
  /** The part of the load that is in the largest region. */
  largest: 0.4,
  /** What one shard is to answer a second at most: half of the least that Cloudflare's rule of thumb gives for writes. */
  perShard: 100,
  /** Days that a family lives, and the bytes of its row, with all that lies around it in a page. */
  days: 90,
  rowBytes: 1250,
  /** CPU milliseconds of one request, at the edge and in the shard together. */
  cpuMs: 1,
  /** Of a hundred successes so many are logged. */
  logged: 1,
};

const SECONDS = 86_400;
/** What an object may store. */
const MOST_BYTES = 10e9;
/** Rows looked at in one turn of a sweep, and how long until the next (src/objects/grant_shard.rs). */
const SWEEP = { rows: 5000, everySeconds: 60 };

/** @param {typeof LOAD} load */
export function work(load) {
  const issued = load.perDay / SECONDS;
  const byGrant = load.refresh + load.code;
  // A question about a token goes to the shard of its grant, or to the one that was drawn for it.
  const toShards = issued * (byGrant + load.asked);
  // Each code makes a family whose row stays until its table is dropped.
  const families = load.perDay * load.code * load.days;
  const peakInLargest = toShards * load.peak * load.largest;
  const byRate = Math.ceil(peakInLargest / load.perShard);
  const byBytes = Math.ceil((families * load.largest * load.rowBytes) / (MOST_BYTES / 2));
  const shards = Math.max(byRate, byBytes);
  return { issued, toShards, families, peakInLargest, byRate, byBytes, shards, rowsPerShard: (families * load.largest) / shards, bytes: families * load.rowBytes };
}

/** Dollars a month. @param {typeof LOAD} load @param {any} prices */
export function bill(load, prices) {
  const month = load.perDay * 30 / 1e6;
  const one = (/** @type {Record<string, number>} */ counts, requests = 1) => {
    const { total, log } = price(prices, { ...counts, 'log lines': requests }, load.cpuMs * requests, requests);
    return total + (log * load.logged) / 100;
  };
  const own = one({});
  // As docs/benchmark.md counts them, of shards that know of a change of settings and remember no row.
  const refresh = one({ 'requests to GrantShard': 1, 'rows read': 3, 'rows written': 1 });
  // Authorize and consent come before it.
  const code = one({ 'requests to GrantShard': 2, 'requests to AccountShard': 2, 'rows read': 10, 'rows written': 3 }, 3);
  const asked = one({ 'requests to GrantShard': 1, 'rows read': 3 });
  const storage = (work(load).bytes / 1e9) * prices.dollars_per_gb_month.object_storage;
  const parts = {
    'clients for themselves': month * (1 - load.refresh - load.code) * own,
    refreshes: month * load.refresh * refresh,
    'flows with a code': month * load.code * code,
    'questions about tokens': month * load.asked * asked,
    storage,
  };
  return { ...parts, total: Object.values(parts).reduce((all, part) => all + part, 0) };
}

/** Numbers that look random and are the same each time (mulberry32). @param {number} seed */
function dice(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/**
 * Shards as queues: requests come at random, each to the shard that its token names, and a shard does one after another.
 * @param {object} asked
 * @param {number} asked.shards @param {number} asked.perSecond to all of them @param {number} asked.seconds
 * @param {number} asked.serviceMs how long a shard is at work for one
 * @param {number} [asked.hot] the part of all requests that one shard gets beside its share
 * @param {{ from: number, ms: number }} [asked.pause] a shard does nothing for so long: it drops a table
 * @returns {{ waitP50Ms: number, waitP99Ms: number, longestMs: number, busiest: number }} busiest: its part of the time
 */
export function simulate({ shards, perSecond, seconds, serviceMs, hot = 0, pause }) {
  const draw = dice(7);
  const free = new Float64Array(shards);
  const busy = new Float64Array(shards);
  const waits = [];
  let paused = false;
  for (let now = 0; now < seconds * 1000; ) {
    now -= (Math.log(1 - draw()) * 1000) / perSecond;
    if (pause && !paused && now >= pause.from * 1000) {
      free[0] = Math.max(free[0], now) + pause.ms;
      paused = true;
    }
    const shard = draw() < hot ? 0 : Math.floor(draw() * shards);
    // Half of it is always there, the other half varies.
    const service = serviceMs * (0.5 - 0.5 * Math.log(1 - draw()));
    const begins = Math.max(now, free[shard]);
    waits.push(begins - now);
    free[shard] = begins + service;
    busy[shard] += service;
  }
  waits.sort((one, other) => one - other);
  const at = (/** @type {number} */ part) => Math.round(waits[Math.floor((waits.length - 1) * part)] * 10) / 10;
  return { waitP50Ms: at(0.5), waitP99Ms: at(0.99), longestMs: at(1), busiest: Math.max(...busy) / (seconds * 1000) };
}

/** @param {number} number @param {number} [digits] */
const plain = (number, digits = 0) => number.toLocaleString('en', { maximumFractionDigits: digits });
/** @param {number} dollars */
const money = (dollars) => `$${plain(dollars)}`;

/** The tables of docs/scaling.md. @param {typeof LOAD} load @param {any} prices @returns {string} */
export function tables(load, prices) {
  const sizes = [1e6, 1e7, 1e8, 1e9].filter((perDay) => perDay <= load.perDay).map((perDay) => ({ ...load, perDay }));
  const growth = sizes.map((size) => {
    const { issued, toShards, families, peakInLargest, shards, rowsPerShard, bytes } = work(size);
    return [plain(size.perDay), plain(issued), plain(toShards), plain(peakInLargest), plain(shards), plain(families), plain(rowsPerShard), `${plain(bytes / 1e9, 1)} GB`, money(bill(size, prices).total)];
  });
  const parts = Object.entries(bill(load, prices)).map(([name, dollars]) => [name, money(dollars)]);
  const { toShards, shards } = work(load);
  const inLargest = toShards * load.largest;
  const queue = (/** @type {string} */ what, /** @type {Partial<Parameters<typeof simulate>[0]>} */ more) => {
    const { waitP50Ms, waitP99Ms, longestMs, busiest } = simulate({ shards, perSecond: inLargest, seconds: 10, serviceMs: 3, ...more });
    return [what, plain(waitP50Ms, 1), plain(waitP99Ms, 1), plain(longestMs), `${plain(busiest * 100)} %`];
  };
  const peak = inLargest * load.peak;
  const queues = [
    queue('the mean second', {}),
    queue('the busiest second', { perSecond: peak }),
    queue('the busiest second, half the shards', { perSecond: peak, shards: Math.ceil(shards / 2) }),
    queue('the busiest second, a quarter of the shards', { perSecond: peak, shards: Math.ceil(shards / 4) }),
    queue('the same on shards that take 10 ms', { perSecond: peak, serviceMs: 10 }),
    queue('the busiest second, one client with 1 % of all in one shard', { perSecond: peak, hot: 0.01 }),
    queue('the mean second, a shard drops a table in 500 ms', { pause: { from: 5, ms: 500 } }),
  ];
  const perTable = work(load).rowsPerShard / load.days;
  return [
    '### Load, shards, rows, dollars',
    table(['tokens a day', 'issued a second', 'requests to shards a second', 'of these in the largest region at the peak', 'shards of a region', 'live families', 'rows a shard', 'stored', 'dollars a month'], growth),
    `### What ${plain(load.perDay)} tokens a day cost`,
    table(['', 'a month'], parts),
    '### Waiting before a shard of the largest region, in milliseconds',
    table(['', 'median', '99th percentile', 'longest', 'busiest shard at work'], queues),
    '### Tables of a shard',
    table(['', 'number'], [
      ['rows of one table: families that end on one day, and are dropped together', plain(perTable)],
      ['rows that a sweep would look at instead, if families had no end', plain(work(load).rowsPerShard)],
      ['minutes that such a sweep takes', plain((Math.ceil(work(load).rowsPerShard / SWEEP.rows) * SWEEP.everySeconds) / 60)],
    ]),
  ].join('\n\n');
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const dashed = (/** @type {string} */ name) => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  const options = Object.fromEntries(Object.keys(LOAD).map((name) => [dashed(name), { type: /** @type {const} */ ('string') }]));
  const { values } = parseArgs({ options });
  const load = Object.fromEntries(Object.entries(LOAD).map(([name, usual]) => [name, Number(values[dashed(name)] ?? usual)]));
  const prices = JSON.parse(readFileSync(new URL('prices.json', import.meta.url), 'utf8'));
  console.log(tables(/** @type {typeof LOAD} */ (load), prices));
}
