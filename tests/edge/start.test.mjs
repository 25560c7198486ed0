// `npm start` as a person types it: npm, wrangler and workerd, in a copy of the clone with a state of its own.

import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { hashSources } from '../../scripts/build.mjs';
import { inspect, isActive, makeTokens } from './caller.mjs';
import { until } from './until.mjs';
import { findFreePort } from './worker.mjs';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** What `npm start` needs of a clone. The packages are only read. */
const COPIED = ['package.json', 'package-lock.json', 'Cargo.toml', 'Cargo.lock', 'askama.toml', 'wrangler.toml', 'src', 'scripts', 'build'];
/** Packages and tools are there, and the Worker is built. */
const READY_LIMIT = 60_000;
const END_LIMIT = 5000;

const clone = mkdtempSync(join(tmpdir(), 'edgemint-start-'));
/** @type {Set<import('node:child_process').ChildProcess>} */
const running = new Set();

before(() => {
  for (const name of COPIED) cpSync(join(ROOT, name), join(clone, name), { recursive: true });
  symlinkSync(join(ROOT, 'node_modules'), join(clone, 'node_modules'));
  // Whoever compiled it: what is built is what is tested.
  writeFileSync(join(clone, 'build', '.sources'), hashSources(clone));
});

after(async () => {
  for (const npm of running) {
    npm.kill('SIGTERM');
    await once(npm, 'exit');
  }
  rmSync(clone, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
});

/** Every process there is, but for those that are over. @returns {{ pid: number, parent: number, command: string }[]} */
function listProcesses() {
  const lines = execFileSync('ps', ['-A', '-o', 'pid=,ppid=,stat=,args='], { encoding: 'utf8', maxBuffer: 1 << 26 }).split('\n');
  return lines.flatMap((line) => {
    const [, pid, parent, state, command] = /^\s*(\d+)\s+(\d+)\s+(\S+)\s+(.*)$/.exec(line) ?? [];
    return pid && !state.startsWith('Z') ? [{ pid: Number(pid), parent: Number(parent), command }] : [];
  });
}

/** A process and all beneath it. @param {number} pid */
function listFamily(pid) {
  const all = listProcesses();
  const family = new Set([pid]);
  for (let size = 0; size !== family.size; ) {
    size = family.size;
    for (const { pid: child, parent } of all) if (family.has(parent)) family.add(child);
  }
  return all.filter((one) => family.has(one.pid));
}

/** @param {number} port @param {string} host */
async function isFree(port, host) {
  const server = createServer().listen({ port, host, exclusive: true });
  const free = await Promise.race([once(server, 'listening').then(() => true), once(server, 'error').then(() => false)]);
  server.close();
  return free;
}

/** @param {string} url */
async function status(url) {
  try {
    const response = await fetch(url, { redirect: 'manual' });
    await response.arrayBuffer();
    return response.status;
  } catch {
    return 0;
  }
}

/** `PORT=n npm start`, until it says what to try. @param {number} port */
async function start(port) {
  const env = { ...process.env, PORT: String(port) };
  delete env.NODE_TEST_CONTEXT;
  const npm = spawn('npm', ['start'], { cwd: clone, env, stdio: ['ignore', 'pipe', 'pipe'] });
  running.add(npm);
  let output = '';
  for (const stream of [npm.stdout, npm.stderr]) stream.setEncoding('utf8').on('data', (text) => (output += text));
  npm.once('exit', () => running.delete(npm));
  await until(
    `npm start serves: ${output}`,
    () => {
      assert.equal(npm.exitCode, null, output);
      return output.includes(`Edgemint serves http://localhost:${port}`);
    },
    READY_LIMIT,
  );
  return { npm, read: () => output };
}

/** Ends it as its owner would, and looks for what is left. @param {import('node:child_process').ChildProcess} npm @param {number} port @param {NodeJS.Signals} signal */
async function stop(npm, port, signal) {
  const family = listFamily(npm.pid);
  assert(family.some(({ command }) => /workerd/.test(command)), JSON.stringify(family));
  const pids = new Set(family.map(({ pid }) => pid));
  const ended = once(npm, 'exit');
  // To npm alone, as a process manager sends it; a terminal would tell all of them.
  npm.kill(signal);
  await until(
    'nothing is left',
    async () => npm.exitCode !== null && !listProcesses().some(({ pid }) => pids.has(pid)) && (await isFree(port, '127.0.0.1')),
    END_LIMIT,
  );
  assert.deepEqual(await ended, [0, null]);
  assert.equal(await status(`http://127.0.0.1:${port}/healthz`), 0);
}

test('npm start serves at both names, and what it stored is there when it is started again', async () => {
  const port = await findFreePort();
  const first = await start(port);
  // As much of a Worker as the callers need.
  const worker = { issuer: `http://localhost:${port}`, doors: [`http://localhost:${port}`] };
  assert.equal(await status(`http://localhost:${port}/healthz`), 200);
  assert.equal(await status(`http://127.0.0.1:${port}/healthz`), 200);
  assert.equal(await status(`http://localhost:${port}/`), 200);
  const elsewhere = await fetch(`http://127.0.0.1:${port}/`, { redirect: 'manual' });
  assert.deepEqual([elsewhere.status, elsewhere.headers.get('location')], [303, `http://localhost:${port}/`]);
  const secrets = readFileSync(join(clone, '.dev.vars'), 'utf8');
  assert(!first.read().includes(/^ADMIN_TOKEN=(.+)$/m.exec(secrets)[1]), 'it does not show the secrets');

  const tokens = await makeTokens(worker);
  const { sub } = JSON.parse(await inspect(worker, tokens.access_token));
  await stop(first.npm, port, 'SIGINT');

  const second = await start(port);
  assert.equal(readFileSync(join(clone, '.dev.vars'), 'utf8'), secrets);
  assert.equal(await isActive(worker, tokens.access_token), true);
  const again = await makeTokens(worker);
  assert.equal(JSON.parse(await inspect(worker, again.access_token)).sub, sub);
  await stop(second.npm, port, 'SIGTERM');
});
