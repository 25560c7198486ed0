// The administration with ten thousand clients, beside a request that asks nothing of anybody (the floor). Measured in the
// real runtime; written to `bench/results.json`. Run by `npm run bench`, which builds the Worker first.

import { writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import { ADMIN_TOKEN, Worker } from '../tests/edge/worker.mjs';

const CLIENTS = 10_000;
/** At a time, while they are registered. */
const HANDS = 8;
const REQUESTS = 100;

/** @typedef {{ rps: number, p50_ms: number, p99_ms: number, cpu_ms: number | null }} Measured */

/** @type {Record<string, string>} what is asked, by scenario */
const SCENARIOS = {
  floor: '/healthz',
  admin_list: '/admin/clients?limit=50',
  admin_page: '/admin/clients?limit=50&after=bench-05000',
  admin_search_one: '/admin/clients?limit=50&q=bench-09999',
  admin_search_none: '/admin/clients?limit=50&q=nobody-is-called-so',
};

/** @param {Worker} worker @param {string} token */
async function register(worker, token) {
  let next = 0;
  const hand = async () => {
    while (next < CLIENTS) {
      const id = `bench-${String(next++).padStart(5, '0')}`;
      const response = await fetch(`${worker.issuer}/admin/clients`, {
        method: 'POST',
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
        body: JSON.stringify({
          client_id: id,
          client_name: `The application of ${id}`,
          redirect_uris: [`https://${id}.example/callback`],
          scope: 'orders.read orders.write',
          token_endpoint_auth_method: 'none',
        }),
      });
      if (response.status !== 201) throw new Error(`${id}: ${response.status} ${await response.text()}`);
      await response.arrayBuffer();
    }
  };
  await Promise.all(Array.from({ length: HANDS }, hand));
}

/** @param {Worker} worker @param {string} token @param {string} path @returns {Promise<Measured>} one after the other */
async function measure(worker, token, path) {
  const ask = async () => {
    const response = await fetch(`${worker.issuer}${path}`, { headers: { authorization: `Bearer ${token}` } });
    if (response.status !== 200) throw new Error(`${path}: ${response.status} ${await response.text()}`);
    await response.arrayBuffer();
  };
  for (let warm = 0; warm < 10; warm += 1) await ask();
  const times = [];
  const [before, started] = [worker.processorTime(), performance.now()];
  for (let index = 0; index < REQUESTS; index += 1) {
    const from = performance.now();
    await ask();
    times.push(performance.now() - from);
  }
  const seconds = (performance.now() - started) / 1000;
  times.sort((one, other) => one - other);
  const round = (/** @type {number} */ number) => Math.round(number * 100) / 100;
  return {
    rps: round(REQUESTS / seconds),
    p50_ms: round(times[Math.floor(REQUESTS / 2)]),
    p99_ms: round(times[Math.floor(REQUESTS * 0.99)]),
    cpu_ms: before === undefined ? null : round((worker.processorTime() - before) / REQUESTS),
  };
}

const worker = await Worker.start();
try {
  console.log(`Registering ${CLIENTS} clients: a minute or two.`);
  await register(worker, ADMIN_TOKEN);
  /** @type {Record<string, { edgemint: { 1: Measured } }>} */
  const scenarios = {};
  for (const [name, path] of Object.entries(SCENARIOS)) {
    scenarios[name] = { edgemint: { 1: await measure(worker, ADMIN_TOKEN, path) } };
    const { rps, p50_ms: p50, p99_ms: p99, cpu_ms: cpu } = scenarios[name].edgemint[1];
    console.log(`${name.padEnd(20)} ${rps} req/s, p50 ${p50} ms, p99 ${p99} ms, processor ${cpu ?? '?'} ms a request`);
  }
  const floor = scenarios.floor.edgemint[1].rps;
  const ratios = Object.fromEntries(
    Object.entries(scenarios).map(([name, { edgemint }]) => [`${name}/floor`, Math.round((edgemint[1].rps / floor) * 1000) / 1000]),
  );
  const [processor] = cpus();
  const results = {
    machine: { cores: cpus().length, processor: processor?.model, node: process.version, clients: CLIENTS },
    systems: { edgemint: { version: '0.1.0' } },
    scenarios,
    ratios,
  };
  writeFileSync(fileURLToPath(new URL('results.json', import.meta.url)), `${JSON.stringify(results, null, 2)}\n`);
  console.log('Written: bench/results.json');
} finally {
  await worker.stop();
}
