// A deployment with many grants in it. The rows are made by the shard's own code and written into its database while nothing
// runs; a million flows would take an hour.

import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { ADMIN_TOKEN, findFreePort } from '../tests/edge/worker.mjs';
import { Connection, encode } from './connection.mjs';
import { administer } from './drivers/edgemint.mjs';
import { demand } from './drivers/form.mjs';
import { makeRows } from './native.mjs';
import { quantile, round } from './statistics.mjs';
import { SYSTEMS } from './systems.mjs';

/** All grants lie in this one: the hardest case. */
const SHARD = 'weur-0';

/** @param {string} directory @param {string} class_ of objects @returns {DatabaseSync} of the only object of the class */
function databaseOf(directory, class_) {
  const below = join(directory, 'state', class_);
  // Beside those of objects lies one of workerd's own.
  const files = readdirSync(below).filter((file) => /^[0-9a-f]{64}\.sqlite$/.test(file));
  if (files.length !== 1) throw new Error(`${files.length} databases in ${below}`);
  return new DatabaseSync(join(below, files[0]));
}

/** One connection to a system beside the load generator's. @param {number} port */
export function caller(port) {
  const connection = new Connection(port);
  const host = `localhost:${port}`;
  return {
    site: /** @type {any} */ ({ given: { adminToken: ADMIN_TOKEN } }),
    send: (/** @type {import('./connection.mjs').Request} */ request) => connection.send(encode(host, request)),
    close: () => connection.close(),
  };
}

/**
 * A deployment that is not running, with so many grants in its shard.
 * @param {string} directory @param {{ grants: number, used: number }} size of how many the tokens are given back
 * @param {object} [options]
 * @param {number} [options.ended] so many more that are over, in a table that is to be dropped
 * @returns {Promise<{ port: number, families: { access: string, refresh: string }[], bytes: number, tables: string[] }>}
 */
export async function fill(directory, { grants, used }, { ended = 0 } = {}) {
  const port = await findFreePort();
  const served = await SYSTEMS.edgemint.start(port, directory, {});
  const { site, send, close } = caller(port);
  try {
    demand(await send(administer(site, 'PATCH', '/admin/settings', { 'grants.shardsPerRegion': 1 })), 200);
    // The shard begins to be with the first that is asked of it.
    const machine = { authorization: `Basic ${btoa('demo-machine:demo-machine-secret')}` };
    const form = { 'content-type': 'application/x-www-form-urlencoded', ...machine };
    const issued = await send({ method: 'POST', path: '/token', headers: form, body: 'grant_type=client_credentials&scope=reports' });
    const { access_token: token } = JSON.parse(issued.text);
    demand(await send({ method: 'POST', path: '/revoke', headers: form, body: `token=${token}` }), 200);
  } finally {
    close();
    await served.stop();
  }
  const registry = databaseOf(directory, 'RegistryObject');
  const row = (/** @type {string} */ table, /** @type {string} */ owner) =>
    String(registry.prepare(`SELECT row FROM "${table}" WHERE owner = ?`).get(owner).row);
  const [client, policy] = [row('clients', 'demo-web'), row('policy', '')];
  registry.close();
  const wanted = { issuer: `http://localhost:${port}`, shard: SHARD, client, policy };
  const database = databaseOf(directory, 'GrantShard');
  database.exec('PRAGMA synchronous = OFF; PRAGMA cache_size = -1000000; BEGIN');
  /** @type {Map<string, import('node:sqlite').StatementSync>} */
  const inserts = new Map();
  const keep = (/** @type {[string, string, string, string]} */ [table, ...values]) => {
    let insert = inserts.get(table);
    if (!insert) {
      // As `src/edge/disk.rs` makes them.
      database.exec(`CREATE TABLE IF NOT EXISTS "${table}" (owner TEXT NOT NULL, key TEXT NOT NULL, row TEXT NOT NULL, PRIMARY KEY (owner, key)) WITHOUT ROWID`);
      insert = database.prepare(`INSERT INTO "${table}" VALUES (?, ?, ?)`);
      inserts.set(table, insert);
    }
    insert.run(...values);
  };
  const families = await makeRows({ ...wanted, count: grants, samples: used }, keep);
  // Given so long ago that all of them is over.
  if (ended > 0) await makeRows({ ...wanted, count: ended, samples: 0, ago: 200 * 86_400 }, keep);
  database.exec('COMMIT; PRAGMA wal_checkpoint(TRUNCATE)');
  const { size } = database.prepare('SELECT page_count * page_size AS size FROM pragma_page_count, pragma_page_size').get();
  database.close();
  return { port, families, bytes: Number(size), tables: [...inserts.keys()] };
}

/** Rows of a table that is dropped. */
const DROPPED = 250_000;
/** Seconds that the shard is watched for. */
const WATCHED = 8;

/**
 * What a request to the shard waits while an alarm of it drops a table, one request after another.
 * @param {string} directory
 */
export async function drop(directory) {
  const { port, families, tables } = await fill(directory, { grants: 1000, used: 1000 }, { ended: DROPPED });
  const served = await SYSTEMS.edgemint.start(port, directory, {});
  const { send, close } = caller(port);
  const times = [];
  const headers = { 'content-type': 'application/x-www-form-urlencoded', authorization: `Basic ${btoa('demo-api:demo-api-secret')}` };
  try {
    const begun = performance.now();
    for (let at = 0; performance.now() - begun < WATCHED * 1000; at += 1) {
      const from = performance.now();
      const body = `token=${families[at % families.length].access}`;
      demand(await send({ method: 'POST', path: '/introspect', headers, body }), 200, '"active":true');
      times.push(performance.now() - from);
    }
  } finally {
    close();
    await served.stop();
  }
  const database = databaseOf(directory, 'GrantShard');
  const left = database.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").all().map(({ name }) => String(name));
  database.close();
  const gone = tables.filter((table) => !left.includes(table));
  if (gone.length === 0) throw new Error(`no table was dropped of ${tables}`);
  // The first requests of a process take longer, too; the alarm rings among those that follow.
  const waited = times.slice(1);
  return { rows: DROPPED, requests: times.length, median_ms: round(quantile(waited, 0.5), 3), p99_ms: round(quantile(waited, 0.99), 3), longest_ms: round(Math.max(...waited), 3), first_ms: round(times[0], 3) };
}
