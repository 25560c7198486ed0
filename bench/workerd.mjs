// A Worker under workerd itself: a configuration in Cap'n Proto's text form, one process, one port of loopback, and nothing
// between the socket and the Worker. Miniflare would put a router and a log reader there, which cost more than a floor does.

import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import { join } from 'node:path';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import workerd from 'workerd';

/** The service that keeps a KV namespace. */
const REPLICA = readFileSync(new URL('replica.mjs', import.meta.url), 'utf8');
/** How long a process may take until it listens, in milliseconds. */
const PATIENCE = 20_000;

/**
 * @typedef {object} Description what runs
 * @property {Record<string, string | Uint8Array>} modules the first is the main one; bytes are WebAssembly
 * @property {string} date compatibility date
 * @property {string[]} [flags] compatibility flags
 * @property {Record<string, string>} [vars]
 * @property {{ name: string, class: string }[]} [objects] bindings of Durable Objects
 * @property {string[]} [replicas] bindings of KV namespaces
 * @property {string[]} [v8Flags]
 */

/** @param {string} text as a literal */
const quote = (text) => `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')}"`;

/**
 * The configuration as text. Files that it embeds are in `directory`.
 * @param {Description} description @param {number} port @param {string} directory
 */
export function describe({ modules, date, flags = [], vars = {}, objects = [], replicas = [], v8Flags = [] }, port, directory) {
  const listed = Object.entries(modules).map(([name, content]) => {
    const kind = typeof content === 'string' ? 'esModule' : 'wasm';
    return `(name = ${quote(name)}, ${kind} = embed ${quote(name)})`;
  });
  const bindings = [
    ...Object.entries(vars).map(([name, text]) => `(name = ${quote(name)}, text = ${quote(text)})`),
    ...objects.map((object) => `(name = ${quote(object.name)}, durableObjectNamespace = ${quote(object.class)})`),
    ...replicas.map((name) => `(name = ${quote(name)}, kvNamespace = "replica")`),
  ];
  const classes = (/** @type {string[]} */ names) =>
    names.map((name) => `(className = ${quote(name)}, uniqueKey = ${quote(name)}, enableSql = true)`).join(', ');
  return `using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
    (name = "worker", worker = (
      modules = [${listed.join(', ')}],
      compatibilityDate = ${quote(date)},
      compatibilityFlags = [${flags.map(quote).join(', ')}],
      bindings = [${bindings.join(', ')}],
      durableObjectNamespaces = [${classes(objects.map((object) => object.class))}],
      durableObjectStorage = (localDisk = "disk"),
      globalOutbound = "nowhere",
    )),
    (name = "replica", worker = (
      modules = [(name = "replica.mjs", esModule = embed "replica.mjs")],
      compatibilityDate = ${quote(date)},
      bindings = [(name = "KEPT", durableObjectNamespace = "Kept")],
      durableObjectNamespaces = [${classes(['Kept'])}],
      durableObjectStorage = (localDisk = "disk"),
      globalOutbound = "nowhere",
    )),
    (name = "disk", disk = (path = ${quote(join(directory, 'state'))}, writable = true)),
    (name = "nowhere", network = (allow = [])),
  ],
  v8Flags = [${v8Flags.map(quote).join(', ')}],
  sockets = [(name = "http", address = "127.0.0.1:${port}", http = (), service = "worker")],
);
`;
}

/**
 * Starts it; what it stores lies in `directory` and stays there.
 * @param {Description} description @param {number} port @param {string} directory
 */
export async function serve(description, port, directory) {
  mkdirSync(join(directory, 'state'), { recursive: true });
  for (const [name, content] of Object.entries(description.modules)) writeFileSync(join(directory, name), content);
  writeFileSync(join(directory, 'replica.mjs'), REPLICA);
  const file = join(directory, 'config.capnp');
  writeFileSync(file, describe(description, port, directory));
  // The program itself: what the package links as a command may be a script before it.
  return Served.start([workerd.default, 'serve', file], port, join(directory, 'stderr.log'));
}

/** A process that serves on a port of loopback. */
export class Served {
  /** @type {import('node:child_process').ChildProcess} */ #child;
  #errors = '';

  port = 0;
  /** Milliseconds from its start until it listened. */
  listening = 0;

  get pid() {
    return this.#child.pid;
  }

  /**
   * What it says of itself goes nowhere, as fast as that is: a line of the log is written, and nobody reads it.
   * @param {string[]} command @param {number} port @param {string} errors where standard error goes
   * @param {NodeJS.ProcessEnv} [env]
   */
  static async start([program, ...args], port, errors, env = process.env) {
    const served = new Served();
    served.port = port;
    served.#errors = errors;
    const [out, err] = [openSync('/dev/null', 'w'), openSync(errors, 'w')];
    served.#child = spawn(program, args, { stdio: ['ignore', out, err], env });
    for (const descriptor of [out, err]) closeSync(descriptor);
    const started = performance.now();
    while (!(await listens(port))) {
      if (served.#child.exitCode !== null || performance.now() - started > PATIENCE) {
        await served.stop();
        throw new Error(`${program} does not serve:\n${served.errors()}`);
      }
      await sleep(1);
    }
    served.listening = performance.now() - started;
    return served;
  }

  /** It is not run until `resume`: no timer of it, no collection of garbage. */
  pause() {
    this.#child.kill('SIGSTOP');
  }

  resume() {
    this.#child.kill('SIGCONT');
  }

  /** What it wrote to standard error. */
  errors() {
    return readFileSync(this.#errors, 'utf8').split('\n').slice(0, 20).join('\n');
  }

  /** @returns {{ now: number, peak: number }} memory in bytes */
  memory() {
    const status = readFileSync(`/proc/${this.pid}/status`, 'utf8');
    const read = (/** @type {string} */ name) => Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(status)[1]) * 1024;
    return { now: read('VmRSS'), peak: read('VmHWM') };
  }

  async stop() {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await ended;
  }
}

/** @param {number} port @returns {Promise<boolean>} */
function listens(port) {
  return new Promise((resolve) => {
    const socket = createConnection({ port, host: '127.0.0.1' });
    const tell = (/** @type {boolean} */ open) => {
      socket.destroy();
      resolve(open);
    };
    socket.once('connect', () => tell(true)).once('error', () => tell(false));
  });
}

/** Removes what a process stored. @param {string} directory */
export function forget(directory) {
  rmSync(directory, { recursive: true, force: true });
}
