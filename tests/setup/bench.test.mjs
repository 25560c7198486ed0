// The benchmark's arithmetic and what it writes. How fast anything is, no test says.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import { chart } from '../../bench/chart.mjs';
import { cut, encode, header } from '../../bench/connection.mjs';
import { price } from '../../bench/cost.mjs';
import { judge } from '../../bench/goals.mjs';
import { plan } from '../../bench/options.mjs';
import { report } from '../../bench/report.mjs';
import { LOAD, simulate, tables } from '../../bench/scaling.mjs';
import { CLIENTS, GROWTH, PAGES, SCENARIOS, SHARDS, systemsOf } from '../../bench/scenarios.mjs';
import { compare, compareGrowth, median, overlap, quartiles, summarize } from '../../bench/statistics.mjs';
import { SYSTEMS } from '../../bench/systems.mjs';
import { describe } from '../../bench/workerd.mjs';

const prices = JSON.parse(readFileSync(new URL('../../bench/prices.json', import.meta.url), 'utf8'));

/** @param {number} rps */
const measured = (rps) => summarize([0.9, 1, 1.1].map((part) => ({ rps: rps * part, p50_ms: 1, p99_ms: 2, cpu_ms: 0.5 })));
/** @param {number} rps @param {string[]} [concurrencies] */
const at = (rps, concurrencies = ['1', '16', '64']) => Object.fromEntries(concurrencies.map((one) => [one, measured(rps)]));

/** What a run leaves where everybody is as fast, but Edgemint twice as fast. */
function results() {
  /** @type {Record<string, any>} */
  const scenarios = {};
  for (const name of Object.keys(SCENARIOS)) {
    scenarios[name] = Object.fromEntries(systemsOf(name).map((system) => [system, at(system === 'edgemint' ? 2000 : 1000)]));
  }
  for (const name of [GROWTH, SHARDS, CLIENTS].flatMap(Object.keys)) scenarios[name] = { edgemint: at(500, ['16']) };
  for (const name of Object.keys(PAGES)) scenarios[name] = { edgemint: at(100, ['1']) };
  const memory = Object.fromEntries(Object.keys(SCENARIOS).map((name) => [name, Object.fromEntries(systemsOf(name).map((system) => [system, 2 ** 27]))]));
  const counts = (/** @type {number} */ objects) => ({ requests: 1, counts: { 'requests to GrantShard': objects, 'rows read': 2, 'rows written': 1 } });
  return {
    command: 'npm run bench',
    machine: { processor: 'a processor', cores: 2, memory_gb: 4, kernel: 'a kernel', workerd: '1', node: 'v1', node_of_peers: 'v2', date: '2026-01-01' },
    took: '1 s',
    systems: Object.fromEntries(Object.entries(SYSTEMS).map(([name, { title, about }]) => [name, { version: '1.0.0', title, about }])),
    scenarios,
    memory,
    stored: { growth_1m: { grants: 1_000_000, bytes: 1e9 } },
    drop: { rows: 250_000, requests: 1000, median_ms: 1, p99_ms: 2, longest_ms: 100, first_ms: 5 },
    operations: Object.fromEntries(Object.keys(SCENARIOS).map((name) => [name, counts(['code_exchange', 'refresh', 'introspection', 'check'].includes(name) ? 1 : 0)])),
    operations_of_peer: { refresh: { requests: 1, counts: { 'KV reads': 2, 'KV writes': 1, 'KV deletes': 1 } } },
    size: { wasm: 300_000, js: 7000 },
    start: { answer_ms: 20, answer_iqr: [19, 21], listening_ms: 50, memory_bytes: 2 ** 26, floor: { answer_ms: 10 } },
    ratios: { ...compare(scenarios), ...compareGrowth(scenarios) },
  };
}

test('medians and quartiles lie between neighbours', () => {
  assert.equal(median([3, 1, 2]), 2);
  assert.equal(median([4, 1, 2, 3]), 2.5);
  assert.deepEqual(quartiles([1, 2, 3, 4, 5]), [2, 4]);
  assert.ok(Number.isNaN(median([])));
  assert.ok(overlap([1, 3], [3, 5]) && overlap([2, 3], [1, 5]) && !overlap([1, 2], [3, 4]));
});

test('a ratio is the median of those of the rounds, and its key names scenario and system', () => {
  const one = (/** @type {number[]} */ rounds) => ({ 16: { ...measured(1), rounds } });
  const scenarios = { refresh: { edgemint: one([10, 20, 30]), floor_b: one([20, 20, 20]) }, growth_1k: { edgemint: one([4]) }, growth_1m: { edgemint: one([3]) } };
  assert.deepEqual(compare(scenarios), { 'refresh/floor_b': 1 });
  assert.deepEqual(compareGrowth(scenarios), { 'growth_1m/growth_1k': 0.75 });
});

test('every scenario is compared with every system that has it', () => {
  const { ratios } = results();
  for (const name of Object.keys(SCENARIOS)) {
    for (const system of systemsOf(name).slice(1)) assert.equal(ratios[`${name}/${system}`], 2);
  }
});

test('a goal is met, missed, or was not measured', () => {
  assert.deepEqual(judge(results()).filter(({ met }) => met !== true).map(({ goal }) => goal), [
    // Three rounds are too few.
    'a million grants as fast as a thousand: quartiles of at least seven rounds overlap',
  ]);
  const slow = results();
  slow.ratios['refresh/floor_b'] = 0.79;
  assert.equal(judge(slow).find(({ goal }) => goal.startsWith('refresh at least'))?.met, false);
  assert.equal(judge({ ...results(), drop: undefined }).find(({ goal }) => goal.startsWith('dropping'))?.met, undefined);
});

test('the document has a table of every scenario, and the chart a bar of every system', () => {
  const all = results();
  const text = report(all, prices);
  for (const { title } of Object.values(SCENARIOS)) assert.ok(text.includes(`\n### ${title}\n`), title);
  assert.doesNotMatch(text, /undefined|NaN|\[object/);
  for (const block of text.trim().split('\n\n').filter((part) => part.startsWith('| '))) {
    const widths = new Set(block.split('\n').map((line) => line.split('|').length));
    assert.equal(widths.size, 1, block);
  }
  const svg = chart(all);
  assert.match(svg, /^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg" /);
  const bars = Object.keys(SCENARIOS).flatMap(systemsOf).length;
  assert.equal(svg.match(/<rect x=/g)?.length, bars);
  assert.doesNotMatch(svg, /NaN|undefined/);
});

test('what costs what stands in the table of prices', () => {
  const { total, rows, objects, log } = price(prices, { 'requests to GrantShard': 1, 'rows written': 1, 'rows read': 2, 'log lines': 1 }, 1);
  assert.equal(rows, 1.002);
  assert.ok(Math.abs(objects - 0.166) < 1e-9);
  assert.ok(Math.abs(total - (0.3 + 0.02 + 0.166 + 1.002)) < 1e-9);
  assert.equal(log, 0.6);
  // A deletion and a list cost what a write does.
  assert.equal(price(prices, { 'KV reads': 2, 'KV writes': 1, 'KV deletes': 1, 'KV lists': 1 }, 0).kv, 16);
  // Of the peer beside Edgemint: reads, writes, deletions, lists; CPU, KV, total; Edgemint's.
  assert.match(report(results(), prices), /^\| refresh \| 2 \| 1 \| 1 \| 0 \| 0\.01 \| 11\.00 \| 11\.31 \| 1\.48 \|$/m);
});

test('less is measured where less is asked for, and what nobody knows is refused', () => {
  assert.equal(plan([]).whole, true);
  const some = plan(['--only', 'client_credentials,growth', '--systems', 'edgemint,floor-a', '--rounds', '3']);
  assert.deepEqual([some.whole, some.scenarios, some.parts, some.systems, some.rounds], [false, ['client_credentials'], ['growth'], ['edgemint', 'floor_a'], 3]);
  assert.throws(() => plan(['--only', 'nothing']), /There is no scenario nothing/);
  assert.throws(() => plan(['--systems', 'nobody']), /There is no system nobody/);
  assert.throws(() => plan(['--rounds', 'many']), /many is no number/);
});

test('an answer is cut from the stream at its length or at its last chunk', () => {
  const whole = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: y\r\n\r\nhiHTTP/1.1 204';
  assert.deepEqual(cut(whole), { answer: { status: 200, head: 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: y', text: 'hi' }, rest: 'HTTP/1.1 204' });
  for (let length = 0; length < whole.indexOf('hi') + 2; length += 1) assert.equal(cut(whole.slice(0, length)), undefined);
  const chunked = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n1\r\n!\r\n0\r\n\r\n';
  assert.equal(cut(chunked)?.answer.text, 'hi!');
  for (let length = 0; length < chunked.length; length += 1) assert.equal(cut(chunked.slice(0, length)), undefined);
  assert.equal(header('HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: y', 'x'), 'y');
  assert.equal(encode('h', { method: 'POST', path: '/', body: 'é' }), 'POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\né');
});

test('a configuration of workerd quotes what it is given', () => {
  const text = describe({ modules: { 'index.js': '', 'a.wasm': new Uint8Array() }, date: '2026-01-01', vars: { A: 'a "b"\\\nc' } }, 80, '/d');
  assert.match(text, /\(name = "A", text = "a \\"b\\"\\\\\\nc"\)/);
  assert.match(text, /\(name = "a\.wasm", wasm = embed "a\.wasm"\)/);
});

test('versions of the peers are exact, and their lock file names no registry', () => {
  const read = (/** @type {string} */ path) => JSON.parse(readFileSync(new URL(`../../bench/${path}`, import.meta.url), 'utf8'));
  const { dependencies, optionalDependencies } = read('package.json');
  for (const [name, version] of Object.entries({ ...dependencies, ...optionalDependencies })) assert.match(String(version), /^\d/, name);
  const { packages } = read('package-lock.json');
  assert.deepEqual(Object.keys(packages).filter((path) => 'resolved' in packages[path]), []);
});

test('a shard that is asked more than it can answer keeps people waiting, and more shards do not', () => {
  const load = { perSecond: 600, seconds: 20, serviceMs: 10 };
  const [few, many] = [4, 16].map((shards) => simulate({ ...load, shards }));
  assert.ok(few.waitP99Ms > 1000, `${few.waitP99Ms}`);
  assert.ok(many.waitP99Ms < 100, `${many.waitP99Ms}`);
});

test('the tables of the page about scaling are those that its script prints', () => {
  const page = readFileSync(new URL('../../docs/scaling.md', import.meta.url), 'utf8');
  assert.ok(page.includes(`\n${tables(LOAD, prices)}\n`), 'run `node bench/scaling.mjs`, and put what it prints into docs/scaling.md');
});
