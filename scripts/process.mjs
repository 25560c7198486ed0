// Child processes. Each is a process group of its own, so that a signal to us ends the child's children too:
// npm forwards a signal only to its own child, and wrangler leaves workerd behind when it is killed.

import { spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { SetupError } from './failure.mjs';
import { Progress } from './progress.mjs';

/** How long a group may take to end by itself before it is killed. */
const GRACE = 4000;
const TAIL_LINES = 15;
const SIGNAL_NUMBERS = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 };

/** @type {Set<number>} process groups that have not been seen to end */
const groups = new Set();
let handlersInstalled = false;
let stopping = false;
let interruptedCode = /** @type {number | undefined} */ (undefined);

/**
 * The exit code after SIGINT or SIGTERM, instead of the customary 128 + n.
 * @param {number | undefined} code
 */
export function exitAfterSignalWith(code) {
  interruptedCode = code;
}

/** @param {number} pid @param {NodeJS.Signals | 0} signal @returns {boolean} whether the group had a process */
function signalGroup(pid, signal) {
  try {
    process.kill(-pid, signal);
    return true;
  } catch {
    return false;
  }
}

/**
 * Ends a group: SIGINT, and SIGKILL for what is left after the grace.
 * @param {number} pid the group's leader
 */
export async function stopGroup(pid) {
  const deadline = Date.now() + GRACE;
  let alive = signalGroup(pid, 'SIGINT');
  while (alive && Date.now() < deadline) {
    await sleep(50);
    alive = signalGroup(pid, 0);
  }
  if (alive) signalGroup(pid, 'SIGKILL');
  groups.delete(pid);
}

/** Ends every child that still runs. */
export async function stopAll() {
  await Promise.all([...groups].map(stopGroup));
}

/** From here on a signal ends the children before it ends us. */
export function stopChildrenOnSignal() {
  if (handlersInstalled) return;
  handlersInstalled = true;
  for (const signal of /** @type {(keyof typeof SIGNAL_NUMBERS)[]} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) {
    process.on(signal, async () => {
      // A terminal's Ctrl-C arrives twice: from the terminal and from npm.
      if (stopping) return;
      stopping = true;
      await stopAll();
      process.exit(interruptedCode ?? 128 + SIGNAL_NUMBERS[signal]);
    });
  }
}

/**
 * @typedef {object} Options
 * @property {string} [cwd]
 * @property {NodeJS.ProcessEnv} [env]
 * @property {'show' | 'echo' | 'hide'} [output] show: the child writes to the terminal itself; echo: through us,
 *   so that lines can be read; hide: only a failure shows it
 * @property {string} [label] of the progress line while output is hidden
 * @property {boolean} [aside] the progress line goes to the other stream: this one is for what somebody reads
 * @property {(line: string) => string | void} [read] sees each line; what it returns is the progress
 * @property {number} [limit] seconds
 * @property {boolean} [interactive] the child may ask questions: it gets the terminal and our process group
 *
 * @typedef {{ code: number, tail: string[], timedOut: boolean }} Ending
 */

/**
 * Runs a child to its end. A child that fails is an ending, not an exception; one that can't be started has code 127.
 * @param {import('./machine.mjs').Machine} machine
 * @param {string} command
 * @param {string[]} args
 * @param {Options} [options]
 * @returns {Promise<Ending>}
 */
export async function run(machine, command, args, options = {}) {
  stopChildrenOnSignal();
  const output = options.output ?? 'hide';
  const progress = options.label && output === 'hide' ? new Progress(options.label, options.aside ? process.stderr : process.stdout) : undefined;
  /** @type {string[]} */
  const tail = [];
  const child = spawn(command, args, {
    cwd: options.cwd ?? machine.root,
    env: options.env ?? machine.env,
    stdio: [options.interactive ? 'inherit' : 'ignore', ...streams(output)],
    detached: !options.interactive,
  });
  if (child.pid && !options.interactive) groups.add(child.pid);

  const readLine = (/** @type {string} */ line) => {
    tail.push(line);
    if (tail.length > TAIL_LINES) tail.shift();
    const detail = options.read?.(line);
    if (detail) progress?.update(detail);
  };
  const flushers = [
    splitLines(child.stdout, readLine, output === 'echo' ? process.stdout : undefined),
    splitLines(child.stderr, readLine, output === 'echo' ? process.stderr : undefined),
  ];

  let timedOut = false;
  const timer = options.limit && setTimeout(() => {
    timedOut = true;
    if (child.pid) void stopGroup(child.pid);
  }, options.limit * 1000);

  const code = await new Promise((resolve) => {
    child.on('error', (error) => {
      tail.push(error.message);
      resolve(127);
    });
    child.on('close', (status, signal) => resolve(status ?? (signal ? 128 : 1)));
  });
  if (timer) clearTimeout(timer);
  // We are ending too: that the child did is no failure to report.
  if (stopping) await new Promise(() => {});
  for (const flush of flushers) flush();
  if (child.pid && !signalGroup(child.pid, 0)) groups.delete(child.pid);
  progress?.finish(code === 0 ? 'done' : timedOut ? 'gave up' : 'failed');
  return { code, tail: tail.filter((line) => line.trim() !== ''), timedOut };
}

/**
 * As `run`, but a child that fails stops the script.
 * @param {import('./machine.mjs').Machine} machine
 * @param {string} command
 * @param {string[]} args
 * @param {Options & { failure: string }} options failure: what failed and what to do
 */
export async function runOrFail(machine, command, args, options) {
  const ending = await run(machine, command, args, options);
  if (ending.code !== 0) throw new SetupError(options.failure, ending.tail);
}

/** @param {'show' | 'echo' | 'hide'} output @returns {('inherit' | 'pipe')[]} */
function streams(output) {
  return output === 'show' ? ['inherit', 'inherit'] : ['pipe', 'pipe'];
}

/**
 * @param {import('node:stream').Readable | null} stream
 * @param {(line: string) => void} read
 * @param {NodeJS.WriteStream} [echo]
 * @returns {() => void} hands over what is left without an end of line
 */
function splitLines(stream, read, echo) {
  let rest = '';
  stream?.setEncoding('utf8').on('data', (text) => {
    echo?.write(text);
    // A carriage return rewrites a line: cargo's progress bar.
    const lines = (rest + text).split(/[\r\n]+/);
    rest = lines.pop() ?? '';
    lines.forEach(read);
  });
  return () => {
    if (rest) read(rest);
    rest = '';
  };
}
