// What is measured: how each system is started, on a port and with a directory of its own.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ADMIN_TOKEN, KEY_A } from '../tests/edge/worker.mjs';
import { Served, serve } from './workerd.mjs';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const HERE = join(ROOT, 'bench');

/** @param {string} path from the root */
const read = (path) => readFileSync(join(ROOT, path), 'utf8');
/** @param {string} path @returns {string} the version that a package says it has */
const versionOf = (path) => JSON.parse(read(path)).version;

/** What `wrangler.toml` binds and demands, so that what is measured is what is deployed. */
function configuration() {
  const text = read('wrangler.toml');
  return {
    date: /^compatibility_date = "(.+)"$/m.exec(text)[1],
    flags: JSON.parse(/^compatibility_flags = (\[.+\])$/m.exec(text)[1]),
    objects: [...text.matchAll(/^name = "(.+)"\nclass_name = "(.+)"$/gm)].map(([, name, class_]) => ({ name, class: class_ })),
    replicas: [/^binding = "(.+)"$/m.exec(text)[1]],
  };
}

/** A Worker in Rust, as worker-build leaves it. @param {string} directory @returns {Record<string, string | Uint8Array>} */
const built = (directory) => ({
  'index.js': read(join(directory, 'index.js')),
  'index_bg.wasm': readFileSync(join(ROOT, directory, 'index_bg.wasm')),
});

/**
 * @typedef {object} System
 * @property {string} title
 * @property {() => string} version
 * @property {string} about how it is set up, in a sentence
 * @property {(port: number, directory: string, given: any) => Promise<Served>} start
 */

/** @param {string} floor @param {string} about @returns {System} */
const floor = (floor, about) => ({
  title: `floor ${floor.toUpperCase()}`,
  version: () => versionOf('package.json'),
  about: `\`bench/floor\`: reads the body, ${about}writes a log line of 200 bytes, answers a constant`,
  start(port, directory, { captured }) {
    const { date, flags } = configuration();
    const { status, headers, body } = captured.answer;
    // The runtime says itself how long the body is.
    const own = headers.filter(([/** @type {string} */ name]) => !/^(content-length|transfer-encoding|connection|date)$/i.test(name));
    const answer = [status, ...own.map(([/** @type {string} */ name, /** @type {string} */ value]) => `${name}: ${value}`), '', body].join('\n');
    const vars = { FLOOR: floor, ANSWER: answer };
    const objects = [{ name: 'ROWS', class: 'Rows' }];
    return serve({ modules: built('target/floor'), date, flags, vars, objects }, port, directory);
  },
});

/** @param {string | undefined} store @returns {System} */
const oidcProvider = (store) => ({
  title: store ? 'oidc-provider, SQLite' : 'oidc-provider, Map',
  version: () => versionOf('bench/node_modules/oidc-provider/package.json'),
  about: store
    ? 'Node; every row in SQLite (`node:sqlite`, write-ahead log, `synchronous=FULL`): survives `kill -9`'
    : 'Node; every row in a Map: gone with the process. Shown beside, not a goal',
  start(port, directory) {
    const env = { ...process.env, PORT: String(port), NODE_ENV: 'production', STORE: store ? join(directory, store) : '' };
    return Served.start([nodeOfPeers(), join(HERE, 'peers', 'oidc-provider.mjs')], port, join(directory, 'stderr.log'), env);
  },
});

/** The Node that the peers run on: the newest that npm has for this machine. */
export function nodeOfPeers() {
  return join(HERE, 'node_modules', 'node', 'bin', 'node');
}

/** @type {Record<string, System>} */
export const SYSTEMS = {
  edgemint: {
    title: 'Edgemint',
    version: () => versionOf('package.json'),
    about: 'workerd; the Worker as it is deployed, with development data; grants in one shard; one line of the log a request',
    start(port, directory, { built: other = 'build', v8Flags }) {
      const vars = { MODE: 'development', ISSUER: `http://localhost:${port}`, MASTER_KEY: KEY_A, ADMIN_TOKEN };
      return serve({ modules: built(other), ...configuration(), vars, v8Flags }, port, directory);
    },
  },
  floor_a: floor('a', ''),
  floor_b: floor('b', 'reads, changes and writes one row of a warm Durable Object, '),
  floor_c: floor('c', 'reads one row of a warm Durable Object, '),
  'workers-oauth-provider': {
    title: 'workers-oauth-provider',
    version: () => versionOf('bench/node_modules/@cloudflare/workers-oauth-provider/package.json'),
    about: 'the same workerd; KV in memory, written through to one row; nobody signs in; no log',
    start(port, directory, { counted = false }) {
      const { date, flags } = configuration();
      const modules = {
        'index.js': read('bench/peers/workers-oauth-provider.mjs'),
        'oauth-provider.js': read('bench/node_modules/@cloudflare/workers-oauth-provider/dist/oauth-provider.js'),
      };
      const vars = { ORIGIN: `http://localhost:${port}`, ...(counted && { COUNTED: 'yes' }) };
      return serve({ modules, date, flags, vars, replicas: ['OAUTH_KV'] }, port, directory);
    },
  },
  'oidc-provider': oidcProvider(undefined),
  'oidc-provider-sqlite': oidcProvider('store.sqlite'),
};
