// The benchmark. `npm run bench` builds what it needs and starts this: systems side by side, then growth, cost and start. The
// whole writes `bench/results.json`, `docs/benchmark.md` and `docs/benchmark.svg`; a part of it writes to `target/bench`.

import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, release, tmpdir, totalmem } from 'node:os';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { measureWorker } from '../scripts/size.mjs';
import { formatDuration } from '../scripts/progress.mjs';
import { findFreePort } from '../tests/edge/worker.mjs';
import { register } from './administration.mjs';
import { Arena, Generator } from './arena.mjs';
import { chart } from './chart.mjs';
import { Connection, encode } from './connection.mjs';
import { DRIVERS } from './drivers.mjs';
import { demand } from './drivers/form.mjs';
import { caller, drop, fill } from './growth.mjs';
import { countOperations, countUnits } from './native.mjs';
import { USAGE, plan } from './options.mjs';
import { profile } from './profile.mjs';
import { report } from './report.mjs';
import { CLIENTS, GROWTH, PAGES, SCENARIOS, SHARDS, systemsOf } from './scenarios.mjs';
import { compare, compareGrowth, median, quartiles, round } from './statistics.mjs';
import { SYSTEMS, nodeOfPeers } from './systems.mjs';
import { forget } from './workerd.mjs';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const CONCURRENCIES = [1, 16, 64];
/** Seconds before what is measured of a slice. */
const WARM = 0.3;
/** Starts of which the median is told. */
const STARTS = 10;
const METADATA = '/.well-known/oauth-authorization-server';

/** @typedef {Record<string, Record<string, Record<string, import('./statistics.mjs').Measured>>>} Scenarios */

const args = process.argv.slice(2);
const tell = (/** @type {string} */ line) => console.log(line);

/** @param {string} program @param {string[]} args @returns {string} what it says its version is */
const ask = (program, ...args) => execFileSync(program, args, { encoding: 'utf8' }).trim().split('\n')[0];

function describeMachine() {
  const [processor] = cpus();
  return {
    processor: processor?.model.trim(),
    cores: cpus().length,
    memory_gb: Math.round(totalmem() / 2 ** 30),
    kernel: `${process.platform} ${release()}`,
    workerd: ask(join(ROOT, 'node_modules', '.bin', 'workerd'), '--version').replace('workerd ', ''),
    node: process.version,
    node_of_peers: ask(nodeOfPeers(), '--version'),
    date: new Date().toISOString().slice(0, 10),
  };
}

/**
 * The systems of a scenario, side by side.
 * @param {Generator} generator @param {string} scenario @param {import('./options.mjs').Plan} plan
 */
async function contest(generator, scenario, { systems, rounds, seconds }) {
  const { units } = SCENARIOS[scenario];
  const arena = new Arena(generator);
  try {
    await arena.enter('edgemint', { system: 'edgemint', scenario });
    const others = systemsOf(scenario).slice(1).filter((name) => !systems || systems.includes(name));
    const captured = others.some((name) => name.startsWith('floor_')) ? await arena.capture('edgemint') : undefined;
    for (const system of others) await arena.enter(system, { system, scenario, given: { captured } });
    const measured = await arena.contest({ concurrencies: CONCURRENCIES, rounds, seconds, warm: WARM, units, tell });
    return { measured, memory: Object.fromEntries(Object.keys(measured).map((name) => [name, arena.memory(name).peak])) };
  } finally {
    await arena.leave();
  }
}

/**
 * The same deployment with more and more in it: each is a scenario of its own.
 * @param {Generator} generator @param {string[]} names
 * @param {(name: string) => Promise<{ directory?: string, port?: number, given: object }>} prepare
 * @param {{ rounds: number, seconds: number, concurrencies: number[] }} how
 * @returns {Promise<Scenarios>}
 */
async function compareSizes(generator, names, prepare, { rounds, seconds, concurrencies }) {
  const arena = new Arena(generator);
  const directories = [];
  try {
    for (const name of names) {
      const { directory, port, given } = await prepare(name);
      if (directory) directories.push(directory);
      await arena.enter(name, { system: 'edgemint', scenario: name, given, directory, port });
    }
    const measured = await arena.contest({ concurrencies, rounds, seconds, warm: WARM, tell });
    return Object.fromEntries(names.map((name) => [name, { edgemint: measured[name] }]));
  } finally {
    await arena.leave();
    for (const directory of new Set(directories)) forget(directory);
  }
}

/** What floor A answers when it is started. */
const CONSTANT = { answer: { status: 200, headers: [['content-type', 'application/json']], body: '{"token_endpoint":"none"}' } };

/** From the socket that listens to the first answer of the metadata, and from the start of the process to that socket. @param {string} system */
async function measureStart(system) {
  const [directory, port] = [mkdtempSync(join(tmpdir(), 'edgemint-bench-')), await findFreePort()];
  const [answers, listening, memory] = [[], [], []];
  try {
    // The first of all makes the development data, and is none of them.
    for (let start = 0; start <= STARTS; start += 1) {
      const served = await SYSTEMS[system].start(port, directory, { captured: CONSTANT });
      const from = performance.now();
      const connection = new Connection(port);
      demand(await connection.send(encode(`localhost:${port}`, { path: METADATA })), 200, '"token_endpoint"');
      if (start > 0) {
        answers.push(performance.now() - from);
        listening.push(served.listening);
        memory.push(served.memory().now);
      }
      connection.close();
      await served.stop();
    }
  } finally {
    forget(directory);
  }
  const [low, high] = quartiles(answers);
  return {
    answer_ms: round(median(answers), 3),
    answer_iqr: [round(low, 3), round(high, 3)],
    listening_ms: round(median(listening), 3),
    memory_bytes: median(memory),
  };
}

/** What the peer on the same platform asks of KV, by scenario. */
async function countOfPeer() {
  const [directory, port] = [mkdtempSync(join(tmpdir(), 'edgemint-bench-')), await findFreePort()];
  const served = await SYSTEMS['workers-oauth-provider'].start(port, directory, { counted: true });
  const { send, close } = caller(port);
  /** @type {Record<string, { requests: number, counts: Record<string, number> }>} */
  const counted = {};
  try {
    for (const [scenario, driver] of Object.entries(DRIVERS['workers-oauth-provider'].scenarios)) {
      counted[scenario] = await countUnits(driver, send, async () => JSON.parse((await send({ path: '/counts' })).text));
    }
  } finally {
    close();
    await served.stop();
    forget(directory);
  }
  return counted;
}

/** @param {import('./options.mjs').Plan} plan */
async function measure(plan) {
  const wants = (/** @type {string} */ part) => plan.parts.includes(part);
  const generator = new Generator();
  /** @type {any} what is written */
  const results = { command: ['npm run bench', ...(args.length ? ['--', ...args] : [])].join(' '), machine: describeMachine(), systems: {}, scenarios: {}, ratios: {}, memory: {} };
  try {
    for (const scenario of plan.scenarios) {
      tell(scenario);
      const { measured, memory } = await contest(generator, scenario, plan);
      results.scenarios[scenario] = measured;
      results.memory[scenario] = memory;
    }
    const how = { rounds: plan.growthRounds, seconds: plan.seconds, concurrencies: [16] };
    if (wants('growth')) {
      tell('growth: shards');
      Object.assign(results.scenarios, await compareSizes(generator, Object.keys(SHARDS), async (name) => ({ given: { shards: SHARDS[name] } }), how));
    }
    if (wants('growth')) {
      tell('growth: live grants');
      results.stored = {};
      Object.assign(results.scenarios, await compareSizes(generator, Object.keys(GROWTH), async (name) => {
        const directory = mkdtempSync(join(tmpdir(), 'edgemint-bench-'));
        const { port, families, bytes } = await fill(directory, GROWTH[name]);
        results.stored[name] = { ...GROWTH[name], bytes };
        return { directory, port, given: { families } };
      }, how));
    }
    if (wants('clients') || wants('administration')) {
      tell('clients: registering ten thousand');
      const { directory, port, clients } = await register(CLIENTS.clients_10k);
      if (wants('administration')) {
        for (const name of Object.keys(PAGES)) {
          const arena = new Arena(generator);
          await arena.enter(name, { system: 'edgemint', scenario: name, directory, port });
          const measured = await arena.contest({ concurrencies: [1], rounds: Math.min(plan.rounds, 3), seconds: plan.seconds, warm: WARM, tell });
          await arena.leave();
          results.scenarios[name] = { edgemint: measured[name] };
        }
      }
      // Those with ten of them are asked beside those with all of them, so each has its own deployment.
      Object.assign(results.scenarios, await compareSizes(generator, Object.keys(CLIENTS), async (name) => {
        if (CLIENTS[name] === clients.length) return { directory, port, given: { clients } };
        const few = await register(CLIENTS[name]);
        return { directory: few.directory, port: few.port, given: { clients: few.clients } };
      }, how));
    }
    if (wants('drop')) {
      tell('drop: a table of 250,000 rows');
      const directory = mkdtempSync(join(tmpdir(), 'edgemint-bench-'));
      try {
        results.drop = await drop(directory);
      } finally {
        forget(directory);
      }
    }
    if (wants('operations')) {
      tell('operations');
      results.operations = await countOperations();
      results.operations_of_peer = await countOfPeer();
    }
    if (wants('start')) {
      tell('start');
      results.start = { ...(await measureStart('edgemint')), floor: await measureStart('floor_a') };
    }
  } finally {
    generator.stop();
  }
  results.size = measureWorker(join(ROOT, 'build', 'index.js'));
  const met = new Set(Object.values(results.scenarios).flatMap((systems) => Object.keys(systems)));
  for (const name of met) {
    const { title, about, version } = SYSTEMS[name];
    results.systems[name] = { version: version(), title, about };
  }
  results.ratios = { ...compare(results.scenarios), ...compareGrowth(results.scenarios) };
  return results;
}

/** @param {string} directory @param {Record<string, string>} files by name */
function write(directory, files) {
  mkdirSync(directory, { recursive: true });
  for (const [name, text] of Object.entries(files)) {
    writeFileSync(join(directory, name), text);
    tell(`Written: ${join(directory, name).slice(ROOT.length)}`);
  }
}

if (args.includes('--help')) {
  tell(USAGE);
} else {
  await run(plan(args));
}

/** @param {import('./options.mjs').Plan} wanted */
async function run(wanted) {
  if (wanted.profile) {
    await profile(wanted.profile, 'target/profile');
    return;
  }
  const begun = performance.now();
  const results = await measure(wanted);
  results.took = formatDuration(performance.now() - begun);
  const prices = JSON.parse(readFileSync(new URL('prices.json', import.meta.url), 'utf8'));
  const json = `${JSON.stringify(results, null, 1)}\n`;
  const documents = { 'benchmark.md': report(results, prices), 'benchmark.svg': chart(results) };
  if (wanted.whole) {
    write(join(ROOT, 'bench'), { 'results.json': json });
    write(join(ROOT, 'docs'), documents);
  } else {
    write(join(ROOT, 'target', 'bench'), { 'results.json': json, ...documents });
    for (const [name, ratio] of Object.entries(results.ratios)) tell(`${name.padEnd(48)} ${ratio}`);
  }
  tell(`after ${results.took}`);
}
