// `npm run bench -- --profile refresh`: where the processor's time of one scenario goes, by perf and the names of functions. The
// Worker is built once more for it, with names; what is measured is otherwise what is deployed. Linux, with `perf` installed.

import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ADMIN_TOKEN, findFreePort } from '../tests/edge/worker.mjs';
import { Generator } from './arena.mjs';
import { SCENARIOS } from './scenarios.mjs';
import { SYSTEMS } from './systems.mjs';
import { forget } from './workerd.mjs';

/** Samples a second. */
const FREQUENCY = '1999';
const SECONDS = 5;
/** Codes are used up: as many as fill about that long. */
const CODES = 2500;
/** Lines of each list. */
const LINES = 45;

/** What a function that is at work belongs to; the first that fits. @type {[string, (name: string, file: string) => boolean][]} */
const KINDS = [
  ['kernel', (_, file) => file.includes('kernel')],
  ['wasm and JavaScript, compiled', (name, file) => name.startsWith('JS:') || /JIT|perf-/.test(file)],
  ['memory (malloc, memmove)', (name, file) => /tcmalloc/i.test(name) || file.includes('libc')],
  ['sqlite', (name) => name.includes('sqlite3')],
  ['V8: built-in functions', (name) => name.startsWith('Builtins_')],
  ['V8: collection of garbage', (name) => /MarkCompact|Scavenger|cppgc.*(Sweep|Mark)/.test(name)],
  ['V8: else', (name) => /v8::|cppgc/.test(name)],
  ['workerd', () => true],
];

/** A name without what the compiler added: hashes, tiers, marks of the map. @param {string} name */
const plain = (name) => name.replace(/-\d+-(turbofan|liftoff)$/, '').replace(/\[[0-9a-f]{16}\]/g, '').replace(/::h[0-9a-f]{16}\b/g, '').replace(/^JS:[+*~^]?/, 'JS:');

/**
 * @param {string} script what `perf script` prints @param {number} microseconds of processor time a unit
 * @returns {string} lists, of all time: by kind, by the innermost function of ours, by all functions of ours on the stack
 */
export function analyze(script, microseconds) {
  const [kinds, innermost, inclusive] = [new Map(), new Map(), new Map()];
  const count = (/** @type {Map<string, number>} */ map, /** @type {string} */ key) => map.set(key, (map.get(key) ?? 0) + 1);
  let samples = 0;
  for (const block of script.split('\n\n')) {
    const frames = [...block.matchAll(/^\s*[0-9a-f]+ (.*) \(([^()]*)\)$/gm)].map(([, name, file]) => ({ name, file }));
    if (frames.length === 0) continue;
    samples += 1;
    const [{ name, file }] = frames;
    count(kinds, KINDS.find(([, fits]) => fits(name, file))[0]);
    const ours = frames.filter((frame) => frame.name.startsWith('JS:')).map((frame) => plain(frame.name));
    count(innermost, ours[0] ?? '(the runtime itself, outside any call of ours)');
    for (const one of new Set(ours)) count(inclusive, one);
  }
  const list = (/** @type {string} */ title, /** @type {Map<string, number>} */ map, lines = LINES) => [
    `\n${title}`,
    ...[...map].sort(([, one], [, other]) => other - one).slice(0, lines).map(([key, number]) =>
      `${((100 * number) / samples).toFixed(1).padStart(6)} % ${((number / samples) * microseconds).toFixed(1).padStart(8)} µs  ${key.slice(0, 140)}`),
  ];
  return [
    ...list('By kind of what is at work', kinds),
    ...list('By the innermost function of ours, with what it calls of the runtime', innermost),
    ...list('By every function of ours on the stack', inclusive, 2 * LINES),
  ].join('\n');
}

/** @param {string} scenario @param {string} built the directory of the Worker that has names */
export async function profile(scenario, built) {
  if (!SCENARIOS[scenario]) throw new Error(`There is no scenario ${scenario}: ${Object.keys(SCENARIOS).join(', ')}.`);
  const [directory, port] = [mkdtempSync(join(tmpdir(), 'edgemint-bench-')), await findFreePort()];
  const data = join(directory, 'perf.data');
  const generator = new Generator();
  const served = await SYSTEMS.edgemint.start(port, directory, { built, v8Flags: ['--perf-basic-prof'] });
  try {
    const target = { system: 'edgemint', scenario, port, pid: served.pid, given: { adminToken: ADMIN_TOKEN } };
    await generator.ask('open', { name: 'it', target });
    const units = SCENARIOS[scenario].units && CODES;
    const load = (/** @type {number} */ warm) => generator.ask('measure', { name: 'it', load: { concurrency: 16, seconds: SECONDS, warm, units } });
    if (units) await generator.ask('supply', { name: 'it', units });
    await load(1);
    if (units) await generator.ask('supply', { name: 'it', units });
    const perf = spawn('perf', ['record', '-F', FREQUENCY, '-g', '-o', data, '-p', String(served.pid)], { stdio: 'ignore' });
    await Promise.race([sleep(500), once(perf, 'error').then(([error]) => Promise.reject(error))]);
    const { rps, cpu_ms: cpu } = await load(0.1);
    perf.kill('SIGINT');
    await once(perf, 'exit');
    const script = execFileSync('perf', ['script', '-i', data, '-F', 'comm,ip,sym,dso'], { encoding: 'utf8', maxBuffer: 2 ** 30, stdio: ['ignore', 'pipe', 'ignore'] });
    console.log(`${scenario} at concurrency 16: ${Math.round(rps)}/s, ${(cpu * 1000).toFixed(0)} µs of the processor each`);
    console.log(analyze(script, cpu * 1000));
  } finally {
    generator.stop();
    await served.stop();
    forget(directory);
    rmSync(`/tmp/perf-${served.pid}.map`, { force: true });
  }
}
