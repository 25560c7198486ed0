// The whole registry as one JSON document, out of one server and into another. Secrets are in it as what is kept of them.

import { readFile } from 'node:fs/promises';
import { call, walk } from './api.mjs';
import { EXIT, Failure } from './failure.mjs';

/** Grows when the document changes its form. */
const FORMAT = 1;

/**
 * @typedef {import('./api.mjs').Server} Server
 * @typedef {{ format: number, settings: object, scopes: object[], clients: object[], users: object[], connections: object[], 'external-servers': object[] }} Registry
 */

/** @param {Server} server @returns {Promise<string>} */
export async function exportAll(server) {
  const settings = (await call(server, 'GET', '/settings?hashes=true')).body;
  const scopes = await all(server, 'scopes', 'name');
  // Who has a scope is said by the clients.
  for (const scope of scopes) delete scope.clients;
  // Those that registered themselves register anew: what proves them is not shown to anybody.
  const clients = (await all(server, 'clients', 'client_id')).filter((client) => client.expires_at === null);
  const users = await all(server, 'users', 'username');
  // What they hold is worth nothing without the master keys: somebody lets the other server in anew.
  const [connections, servers] = [await all(server, 'connections', 'name'), await all(server, 'external-servers', 'name')];
  for (const item of [...connections, ...servers]) for (const name of ['status', 'broken_since', 'broken_reason', 'has_client_secret']) delete item[name];
  return `${JSON.stringify({ format: FORMAT, settings: sorted(settings), scopes, clients, users, connections, 'external-servers': servers }, null, 2)}\n`;
}

/** @param {Server} server @param {string} collection @param {string} key @returns {Promise<any[]>} in order, whatever the order of the answers */
async function all(server, collection, key) {
  const items = [];
  for await (const item of walk(server, `/${collection}`, { hashes: 'true' })) items.push(sorted(item));
  return items.sort((one, other) => (one[key] < other[key] ? -1 : 1));
}

/** @param {object} item members by name */
const sorted = (item) => Object.fromEntries(Object.entries(item).sort(([one], [other]) => (one < other ? -1 : 1)));

/** What is imported, in this order, and what its items are told apart by. */
const COLLECTIONS = /** @type {const} */ ([['scopes', 'name'], ['clients', 'client_id'], ['users', 'username'], ['connections', 'name'], ['external-servers', 'name']]);

/**
 * @param {Server} server with none of what is imported
 * @param {string} path of the document
 * @param {boolean} resume what is there already stays as it is
 * @param {(text: string) => void} tell
 */
export async function importAll(server, path, resume, tell) {
  const registry = await read(path);
  await call(server, 'PATCH', '/settings', registry.settings);
  tell('settings: changed');
  for (const [collection, key] of COLLECTIONS) {
    let there = 0;
    for (const item of registry[collection]) {
      try {
        await call(server, 'POST', `/${collection}`, item);
      } catch (error) {
        if (!(error instanceof Failure)) throw error;
        if (!resume || error.code !== EXIT.conflict) throw new Failure(error.code, `${collection}, ${item[key]}: ${error.message}`);
        there += 1;
      }
    }
    tell(`${collection}: ${registry[collection].length - there}${there > 0 ? `, and ${there} that were there` : ''}`);
  }
}

/** @param {string} path @returns {Promise<Registry>} */
async function read(path) {
  let registry;
  try {
    // `npm run ctl -- export > file` puts lines of npm's own in front.
    registry = JSON.parse((await readFile(path, 'utf8')).replace(/^(\s*\n|> .*\n)+/, ''));
  } catch (error) {
    throw new Failure(EXIT.usage, `${path} does not read as JSON: ${/** @type {Error} */ (error).message}.`);
  }
  // An export of before there were any.
  if (registry) for (const name of ['connections', 'external-servers']) registry[name] ??= [];
  const whole = registry?.settings && COLLECTIONS.every(([collection]) => Array.isArray(registry[collection]));
  if (registry?.format !== FORMAT || !whole) throw new Failure(EXIT.usage, `${path} is no export of this version (format ${FORMAT}).`);
  return registry;
}
