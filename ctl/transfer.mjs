// The whole registry as one JSON document, out of one server and into another. Secrets are in it as what is kept of them.

import { readFile } from 'node:fs/promises';
import { call, walk } from './api.mjs';
import { EXIT, Failure } from './failure.mjs';

/** Grows when the document changes its form. */
const FORMAT = 1;

/**
 * @typedef {import('./api.mjs').Server} Server
 * @typedef {{ format: number, settings: object, scopes: object[], clients: object[], users: object[] }} Registry
 */

/** @param {Server} server @returns {Promise<string>} */
export async function exportAll(server) {
  const settings = (await call(server, 'GET', '/settings?hashes=true')).body;
  const scopes = await all(server, 'scopes', 'name');
  // Who has a scope is said by the clients.
  for (const scope of scopes) delete scope.clients;
  const clients = await all(server, 'clients', 'client_id');
  const users = await all(server, 'users', 'username');
  return `${JSON.stringify({ format: FORMAT, settings: sorted(settings), scopes, clients, users }, null, 2)}\n`;
}

/** @param {Server} server @param {string} collection @param {string} key @returns {Promise<any[]>} in order, whatever the order of the answers */
async function all(server, collection, key) {
  const items = [];
  for await (const item of walk(server, `/${collection}`, { hashes: 'true' })) items.push(sorted(item));
  return items.sort((one, other) => (one[key] < other[key] ? -1 : 1));
}

/** @param {object} item members by name */
const sorted = (item) => Object.fromEntries(Object.entries(item).sort(([one], [other]) => (one < other ? -1 : 1)));

/**
 * @param {Server} server with none of what is imported
 * @param {string} path of the document
 * @param {(text: string) => void} tell
 */
export async function importAll(server, path, tell) {
  const registry = await read(path);
  await call(server, 'PATCH', '/settings', registry.settings);
  tell('settings: changed');
  for (const collection of /** @type {const} */ (['scopes', 'clients', 'users'])) {
    for (const item of registry[collection]) await call(server, 'POST', `/${collection}`, item);
    tell(`${collection}: ${registry[collection].length}`);
  }
}

/** @param {string} path @returns {Promise<Registry>} */
async function read(path) {
  let registry;
  try {
    registry = JSON.parse(await readFile(path, 'utf8'));
  } catch (error) {
    throw new Failure(EXIT.usage, `${path} does not read as JSON: ${/** @type {Error} */ (error).message}.`);
  }
  if (registry?.format !== FORMAT) throw new Failure(EXIT.usage, `${path} is no export of this version (format ${FORMAT}).`);
  return registry;
}
