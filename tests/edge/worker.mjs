// The Worker as it is deployed, in the real runtime: workerd through Miniflare, on a port of its own.

import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Log, LogLevel, Miniflare, Response } from 'miniflare';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

export const ADMIN_TOKEN = 'an-administrators-token-of-forty-characters';
export const KEY_A = 'a:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA';
export const KEY_B = 'b:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE';

/** Below the ports that a kernel gives to outgoing connections, so that none of those is in the way. */
const PORTS = { first: 20_000, count: 12_000 };

/** @returns {Promise<number>} a port of 127.0.0.1 that nothing listens on */
export async function findFreePort() {
  for (;;) {
    const port = PORTS.first + Math.floor(Math.random() * PORTS.count);
    const server = createServer().listen({ port, host: '127.0.0.1', exclusive: true });
    // It rejects where the server fails.
    const free = await once(server, 'listening').then(() => true, () => false);
    if (!free) continue;
    server.close();
    await once(server, 'close');
    return port;
  }
}

/**
 * What `wrangler.toml` binds, so that the tests run under what is deployed.
 * @returns {{ date: string, objects: { name: string, class: string }[], replica: string }}
 */
function readConfiguration() {
  const text = readFileSync(join(ROOT, 'wrangler.toml'), 'utf8');
  return {
    date: /^compatibility_date = "(.+)"$/m.exec(text)[1],
    objects: [...text.matchAll(/^name = "(.+)"\nclass_name = "(.+)"$/gm)].map(([, name, class_]) => ({ name, class: class_ })),
    replica: /^binding = "(.+)"$/m.exec(text)[1],
  };
}

/** @typedef {import('miniflare').Request} Outgoing @typedef {import('miniflare').Response} Elsewhere */

/** @typedef {{ MODE?: string, ISSUER?: string, MASTER_KEY?: string, ADMIN_TOKEN?: string }} Vars undefined: not set */

/**
 * @param {string} name
 * @param {Vars} vars
 * @param {((request: Outgoing) => Elsewhere | Promise<Elsewhere>) | null} internet answers what the Worker asks elsewhere; null: whoever is there
 * @param {number} [door] a port of its own, for an isolate beside the first
 */
function describeIsolate(name, vars, internet, door) {
  const { date, objects, replica } = readConfiguration();
  const text = Object.entries(vars).filter(([, value]) => value !== undefined);
  return {
    config: {
      name,
      compatibilityDate: date,
      manifest: {
        mainModule: 'index.js',
        modules: {
          'index.js': { type: 'esm', contents: readFileSync(join(ROOT, 'build', 'index.js'), 'utf8') },
          'index_bg.wasm': { type: 'wasm', contents: new Uint8Array(readFileSync(join(ROOT, 'build', 'index_bg.wasm'))) },
        },
      },
      env: {
        [replica]: { type: 'kv', id: replica },
        ...Object.fromEntries(text.map(([key, value]) => [key, { type: 'text', value }])),
        // The isolate beside the first has the same objects.
        ...Object.fromEntries(
          objects.map((object) => [object.name, { type: 'durable-object', worker: 'edgemint', exportName: object.class }]),
        ),
      },
      exports: Object.fromEntries(objects.map((object) => [object.class, { type: 'durable-object', storage: 'sqlite' }])),
    },
    dev: {
      ...(internet && { outboundService: { type: /** @type {const} */ ('fetcher'), handler: internet } }),
      ...(door === undefined ? {} : { unsafeDirectSockets: [{ host: '127.0.0.1', port: door }] }),
    },
  };
}

/** The processes that this one starts from now on, up to `end`. */
function watchProcesses() {
  /** @type {import('node:child_process').ChildProcess[]} */
  const seen = [];
  /** @param {any} message */
  const note = (message) => seen.push(message.process);
  subscribe('child_process', note);
  return { seen, end: () => unsubscribe('child_process', note) };
}

/** A running deployment. */
export class Worker {
  /** @type {Miniflare} */ #runtime;
  /** @type {import('node:child_process').ChildProcess} what serves and stores */ #process;
  #ownsState = false;

  /** Its address, and what its clients know it by. */
  issuer = '';
  port = 0;
  /** The directory of what it stores. */
  state = '';
  /** @type {string[]} origins of its isolates; the first is the issuer's */
  doors = [];
  /** @type {{ level: string, message: string }[]} what it wrote to its log */
  log = [];

  /**
   * @param {object} [options]
   * @param {Vars} [options.vars] instead of those of development
   * @param {string} [options.state] of an earlier deployment, to be kept
   * @param {number} [options.port] of an earlier deployment
   * @param {number} [options.isolates] how many serve, over the same storage
   * @param {((request: Outgoing) => Elsewhere | Promise<Elsewhere>) | null} [options.internet] answers in place of the internet; null: it is asked; else nobody answers
   * @returns {Promise<Worker>}
   */
  static async start({ vars = {}, state, port, isolates = 1, internet = () => new Response(null, { status: 502 }) } = {}) {
    const worker = new Worker();
    worker.port = port ?? (await findFreePort());
    worker.issuer = `http://localhost:${worker.port}`;
    worker.state = state ?? mkdtempSync(join(tmpdir(), 'edgemint-edge-'));
    worker.#ownsState = state === undefined;
    worker.doors = [worker.issuer];
    const all = { MODE: 'development', ISSUER: worker.issuer, MASTER_KEY: KEY_A, ADMIN_TOKEN, ...vars };
    const workers = [describeIsolate('edgemint', all, internet)];
    while (workers.length < isolates) {
      const door = await findFreePort();
      workers.push(describeIsolate(`beside-${workers.length}`, all, internet, door));
      worker.doors.push(`http://127.0.0.1:${door}`);
    }
    const watch = watchProcesses();
    worker.#runtime = new Miniflare({
      host: '127.0.0.1',
      port: worker.port,
      cf: false,
      log: new Log(LogLevel.NONE),
      logRequests: false,
      // What runs for an issuer of https is asked over https, by whatever way.
      ...(all.ISSUER?.startsWith('https:') && { upstream: all.ISSUER }),
      resourcePersistencePath: worker.state,
      handleStructuredLogs: ({ level, message }) => worker.log.push({ level, message }),
      workers,
    });
    await worker.#runtime.ready.finally(() => watch.end());
    const own = `127.0.0.1:${worker.port}`;
    worker.#process = watch.seen.find(({ spawnargs }) => spawnargs.some((argument) => argument.endsWith(own)));
    return worker;
  }

  /** @returns {number | undefined} milliseconds of processor time that the runtime has used; where the kernel tells it */
  processorTime() {
    const stat = `/proc/${this.#process?.pid}/stat`;
    if (!existsSync(stat)) return undefined;
    // proc(5): after the name in parentheses the state is the third field; utime and stime are the 14th and 15th, in ticks.
    const fields = readFileSync(stat, 'utf8').split(') ').pop().split(' ');
    return (Number(fields[11]) + Number(fields[12])) * 10;
  }

  /** Kills the runtime in the middle of whatever it does: no handler of it runs, and nothing more is written. */
  async crash() {
    if (!this.#process.kill('SIGKILL')) throw new Error('the runtime was dead already');
    // At once, or Miniflare would start another.
    await this.#runtime.dispose();
  }

  /** Ends the runtime; what is stored stays for another start. */
  async halt() {
    await this.#runtime.dispose();
  }

  /** Ends the runtime and removes what only this deployment stored. */
  async stop() {
    await this.halt();
    if (this.#ownsState) this.forget();
  }

  /** Removes what is stored. */
  forget() {
    rmSync(this.state, { recursive: true, force: true });
  }

  /** @returns {string[]} what no request may cause: panics and the runtime's own errors */
  failures() {
    return this.log.filter(({ level, message }) => level === 'error' || /panicked|Uncaught/.test(message)).map(({ message }) => message);
  }
}
