// The document that a run leaves: every number in it is of that run. Pure.

import { OBJECT_MS, price } from './cost.mjs';
import { judge } from './goals.mjs';
import { CLIENTS, GROWTH, PAGES, SCENARIOS, SHARDS, systemsOf } from './scenarios.mjs';
import { DECISIVE, overlap } from './statistics.mjs';

/** The peer on the same platform, of which operations are counted, too. */
const PEER = 'workers-oauth-provider';

/** @param {number | null} number @param {number} [digits] */
const plain = (number, digits = 2) => (number === null || number === undefined ? '–' : number.toLocaleString('en', { maximumFractionDigits: digits }));
/** @param {number} rps */
const rate = (rps) => plain(rps, rps < 100 ? 1 : 0);
/** @param {string[]} head @param {string[][]} rows @returns {string} */
export const table = (head, rows) => [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');

/** @param {any} results @param {import('./cost.mjs').Prices & { as_of: string, source: string[] }} prices */
export function report(results, prices) {
  const { machine } = results;
  return `${[
    '# Benchmark',
    `Everything on this page was written by one run of \`${results.command}\` on ${machine.date}, which took ${results.took}. Nobody has edited it: a run replaces it. Raw results, with every round, are in \`bench/results.json\`; how it is measured and why is in [decision 033](decisions/033-benchmark.md).`,
    `The machine: ${machine.processor}, ${machine.cores} cores, ${machine.memory_gb} GB, ${machine.kernel}; workerd ${machine.workerd}; Node ${machine.node}, and ${machine.node_of_peers} for the peers. Load generator and system share it. What counts is the ratio of two numbers of one run, not a number.`,
    '## Beside others',
    'Edgemint\'s requests a second over the other\'s, at concurrency 16: above 1 it is ahead. Each is the median of the ratios of the rounds.',
    '![Requests a second at concurrency 16](benchmark.svg)',
    ratios(results),
    '## Goals',
    goals(results),
    '## Scenarios',
    'Medians over the rounds; in brackets the quartiles of requests a second. CPU is processor time of the system\'s process for one unit. Memory is the most that the process had, of the scenario.',
    ...Object.keys(SCENARIOS).filter((name) => results.scenarios[name]).map((name) => scenario(results, name)),
    '## Growth',
    growth(results),
    '## Cost',
    cost(results, prices),
    '## Size, start, memory',
    start(results),
    '## Administration of ten thousand clients',
    administration(results),
    '## Systems',
    systems(results),
  ].join('\n\n')}\n`;
}

/** @param {any} results */
function ratios({ ratios, scenarios }) {
  const names = Object.keys(SCENARIOS).filter((name) => scenarios[name]);
  const others = ['floor', 'workers-oauth-provider', 'oidc-provider-sqlite', 'oidc-provider'];
  const cell = (/** @type {string} */ name, /** @type {string} */ other) => {
    const system = other === 'floor' ? SCENARIOS[name].floor : other;
    const ratio = ratios[`${name}/${system}`];
    return ratio === undefined ? '' : `${plain(ratio)}${other === 'floor' ? ` (${system.at(-1).toUpperCase()})` : ''}`;
  };
  const head = ['scenario', 'its floor', 'workers-oauth-provider', 'oidc-provider, SQLite', 'oidc-provider, Map'];
  return table(head, names.map((name) => [SCENARIOS[name].title, ...others.map((other) => cell(name, other))]));
}

/** @param {any} results */
function goals(results) {
  const verdicts = judge(results);
  const said = (/** @type {boolean | undefined} */ met) => (met === undefined ? 'not measured' : met ? 'yes' : '**no**');
  const missed = verdicts.filter(({ met }) => met !== true).length;
  const summary = missed === 0 ? 'All are met.' : `${verdicts.length - missed} of ${verdicts.length} are met.`;
  return `${summary}\n\n${table(['goal', 'measured', 'met'], verdicts.map(({ goal, measured, met }) => [goal, measured, said(met)]))}`;
}

/** @param {any} results @param {string} name */
function scenario({ scenarios, systems, memory }, name) {
  const { title, about } = SCENARIOS[name];
  const rows = systemsOf(name).filter((system) => scenarios[name][system]).flatMap((system) =>
    Object.entries(scenarios[name][system]).map(([concurrency, measured], at) => [
      at === 0 ? systems[system].title : '',
      concurrency,
      `${rate(measured.rps)} (${measured.iqr.map(rate).join('–')})`,
      plain(measured.p50_ms),
      plain(measured.p99_ms),
      plain(measured.cpu_ms, 3),
      at === 0 ? `${Math.round(memory[name][system] / 2 ** 20)} MB` : '',
    ]));
  const head = ['system', 'concurrency', 'req/s', 'p50 ms', 'p99 ms', 'CPU ms', 'memory'];
  return `### ${title}\n\nOne unit: ${about}.\n\n${table(head, rows)}`;
}

/** @param {any} results */
function growth({ scenarios, stored, drop, ratios }) {
  const grants = Object.entries(GROWTH).map(([name, size]) => [name, `${plain(size.grants)} live grants in one shard, ${plain(size.used)} of them used`]);
  const clients = Object.entries(CLIENTS).map(([name, count]) => [name, `${plain(count)} clients`]);
  const shards = Object.entries(SHARDS).map(([name, count]) => [name, `refreshes over ${plain(count)} ${count === 1 ? 'shard' : 'shards'} on one machine`]);
  const rows = [...grants, ...shards, ...clients].filter(([name]) => scenarios[name]).map(([name, what]) => {
    const { rps, iqr, p50_ms: p50, p99_ms: p99, cpu_ms: cpu } = scenarios[name].edgemint[DECISIVE];
    const bytes = stored?.[name]?.bytes;
    return [what, `${rate(rps)} (${iqr.map(rate).join('–')})`, plain(p50), plain(p99), plain(cpu, 3), bytes ? `${plain(bytes / 1e6, 0)} MB` : ''];
  });
  const said = [table(['', 'req/s', 'p50 ms', 'p99 ms', 'CPU ms', 'stored'], rows)];
  const [small, large] = [scenarios.growth_1k, scenarios.growth_1m].map((one) => one?.edgemint[DECISIVE]);
  if (small && large) {
    const overlaps = overlap(small.iqr, large.iqr) ? 'overlap' : 'do not overlap';
    said.push(`Of grants a refresh and an introspection in turn, each of a grant drawn from those that are used, which are spread over all; of clients \`client_credentials\` of one that is drawn. Medians of ${large.rounds.length} alternating rounds at concurrency 16. The quartiles of a million grants and a thousand ${overlaps}; the ratio is ${plain(ratios['growth_1m/growth_1k'])}. Where 20,000 are used it is ${plain(ratios['growth_1m_spread/growth_1k'])}: an object remembers one or two thousand rows, and reads and writes the others in pages that nobody else touched.`);
  }
  if (ratios['shards_8/shards_1']) {
    said.push(`Beside others Edgemint has one shard, as a floor has one object and a peer one file. With the eight that a deployment has by default, all of them on this one machine and its one disk, refreshes are ${plain(ratios['shards_8/shards_1'])} of that: each writes to a file of its own. On Cloudflare each is an object somewhere, with its own processor and disk.`);
  }
  if (drop) {
    said.push(`A table of ${plain(drop.rows)} grants that are over was dropped by the shard's alarm while ${plain(drop.requests)} introspections went to the same shard, one after another: the median took ${plain(drop.median_ms)} ms, the 99th percentile ${plain(drop.p99_ms)} ms, the one that met the drop ${plain(drop.longest_ms)} ms.`);
  }
  return said.join('\n\n');
}

/** @param {any} results @param {import('./cost.mjs').Prices & { as_of: string, source: string[] }} prices */
function cost({ operations, operations_of_peer: peer, scenarios }, prices) {
  if (!operations) return 'Not measured.';
  const kinds = ['requests to GrantShard', 'requests to AccountShard', 'requests to Registry', 'rows read', 'rows written', 'KV reads', 'KV writes', 'signatures', 'log lines'];
  const names = Object.keys(operations);
  const count = (/** @type {number | undefined} */ number) => plain(Math.round((number ?? 0) * 100) / 100);
  const counted = names.map((name) => [SCENARIOS[name].title, count(operations[name].requests), ...kinds.map((kind) => count(operations[name].counts[kind]))]);
  const dollars = (/** @type {number} */ number) => number.toFixed(2);
  const priceOf = (/** @type {any} */ counted, /** @type {string} */ system, /** @type {string} */ name) =>
    price(prices, counted[name].counts, scenarios[name]?.[system]?.[DECISIVE]?.cpu_ms ?? 0, counted[name].requests);
  const priced = names.map((name) => {
    const of = priceOf(operations, 'edgemint', name);
    return [SCENARIOS[name].title, ...[of.requests, of.cpu, of.objects, of.rows, of.kv, of.total, of.log].map(dollars)];
  });
  const beside = Object.keys(peer ?? {}).map((name) => {
    const [of, own] = [priceOf(peer, PEER, name), priceOf(operations, 'edgemint', name)];
    return [SCENARIOS[name].title, ...['KV reads', 'KV writes', 'KV deletes', 'KV lists'].map((kind) => count(peer[name].counts[kind])), dollars(of.cpu), dollars(of.kv), dollars(of.total), dollars(own.total)];
  });
  return [
    'What one unit asks of the port to the world (`src/host.rs`), once the client is known: means of twenty, counted by running the same requests against the same code outside the runtime, with objects that remember no row: those that do read fewer.',
    table(['', 'requests', ...kinds], counted),
    `Dollars for a million of each at the list prices of ${prices.as_of} in \`bench/prices.json\` (${prices.source.map((url) => `<${url}>`).join(', ')}), beyond what the plan includes; the processor time is that of this machine, and an object is taken to be at work for ${OBJECT_MS} ms a request. The log is beside the total: how much of it is kept is a setting (\`log.successPercent\`).`,
    table(['', 'requests', 'CPU', 'objects', 'rows', 'KV', 'total', 'and the log'], priced),
    ...(beside.length > 0 ? [`The same for \`${PEER}\`, whose operations of KV are counted where it calls the binding. \`oidc-provider\` runs where somebody has a machine, and is paid for by the hour.`, table(['', 'KV reads', 'KV writes', 'KV deletes', 'KV lists', 'CPU', 'KV', 'total', 'Edgemint'], beside)] : []),
  ].join('\n\n');
}

/** @param {any} results */
function start({ size, start }) {
  const rows = [
    ['Worker, gzipped', `${plain(size.wasm + size.js)} bytes (wasm ${plain(size.wasm)}, JavaScript ${plain(size.js)})`],
    ...(start
      ? [
          ['from the listening socket to the first answer of the metadata', `${plain(start.answer_ms)} ms (${start.answer_iqr.map((/** @type {number} */ one) => plain(one)).join('–')}), the median of ten restarts; floor A: ${plain(start.floor.answer_ms)} ms`],
          ['from the start of workerd to the listening socket', `${plain(start.listening_ms)} ms`],
          ['memory after the first answer', `${plain(start.memory_bytes / 2 ** 20, 0)} MB`],
        ]
      : []),
  ];
  return table(['what', 'measured'], rows);
}

/** @param {any} results */
function administration({ scenarios }) {
  const rows = Object.entries(PAGES).filter(([name]) => scenarios[name]).map(([name, path]) => {
    const { rps, p50_ms: p50, p99_ms: p99, cpu_ms: cpu } = scenarios[name].edgemint[1];
    return [`\`${path}\``, rate(rps), plain(p50), plain(p99), plain(cpu, 2)];
  });
  return `One request after another. The first asks nothing of any object.\n\n${table(['request', 'req/s', 'p50 ms', 'p99 ms', 'CPU ms'], rows)}`;
}

/** @param {any} results */
function systems({ systems }) {
  return table(['system', 'version', 'set up as'], Object.values(systems).map(({ title, version, about }) => [title, version, about]));
}
