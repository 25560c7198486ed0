// A KV namespace for workerd, which has the binding and no store behind it: a Worker that answers what the binding asks.
// Kinder than Cloudflare's to whoever uses it: what was read or written once is in memory, as in a location that has it
// cached, and a write is one row of one object on the same machine. Only what is kept survives a restart.

import { DurableObject } from 'cloudflare:workers';

/** @typedef {{ value: ArrayBuffer, metadata: string | null, until: number }} Entry */

/** The one object that keeps it. */
export class Kept extends DurableObject {
  /** @param {any} state @param {any} env */
  constructor(state, env) {
    super(state, env);
    this.sql = state.storage.sql;
    this.sql.exec('CREATE TABLE IF NOT EXISTS kept (key TEXT PRIMARY KEY, value BLOB, metadata TEXT, until REAL) WITHOUT ROWID');
  }

  /** @returns {[string, Entry][]} */
  all() {
    return this.sql.exec('SELECT key, value, metadata, until FROM kept').raw().toArray()
      .map(([key, value, metadata, until]) => [key, { value, metadata, until }]);
  }

  /** @param {string} key @param {Entry} entry */
  put(key, { value, metadata, until }) {
    this.sql.exec('INSERT OR REPLACE INTO kept VALUES (?, ?, ?, ?)', key, value, metadata, until);
  }

  /** @param {string} key */
  drop(key) {
    this.sql.exec('DELETE FROM kept WHERE key = ?', key);
  }
}

/** @type {Promise<Map<string, Entry>> | undefined} */
let memory;

/** Later than any time. */
const NEVER = 1e15;

export default {
  /** @param {Request} request @param {any} env */
  async fetch(request, env) {
    const kept = env.KEPT.getByName('kept');
    memory ??= kept.all().then((/** @type {[string, Entry][]} */ all) => new Map(all));
    const known = await memory;
    const url = new URL(request.url);
    const key = decodeURIComponent(url.pathname.slice(1));
    const live = (/** @type {Entry | undefined} */ entry) => entry !== undefined && entry.until > Date.now();
    switch (request.method) {
      case 'PUT': {
        const [value, ttl] = [await request.arrayBuffer(), url.searchParams.get('expiration_ttl')];
        const at = url.searchParams.get('expiration');
        const until = ttl ? Date.now() + Number(ttl) * 1000 : at ? Number(at) * 1000 : NEVER;
        const entry = { value, metadata: request.headers.get('cf-kv-metadata'), until };
        known.set(key, entry);
        await kept.put(key, entry);
        return new Response(null);
      }
      case 'DELETE':
        known.delete(key);
        await kept.drop(key);
        return new Response(null);
      default: {
        if (key === '') return Response.json(list(known, url.searchParams, live));
        const entry = known.get(key);
        if (!live(entry)) return new Response(null, { status: 404 });
        return new Response(entry.value, { headers: entry.metadata ? { 'cf-kv-metadata': entry.metadata } : {} });
      }
    }
  },
};

/**
 * @param {Map<string, Entry>} known @param {URLSearchParams} params @param {(entry: Entry) => boolean} live
 */
function list(known, params, live) {
  const prefix = params.get('prefix') ?? '';
  const keys = [...known]
    .filter(([name, entry]) => name.startsWith(prefix) && live(entry))
    .map(([name, { metadata }]) => ({ name, ...(metadata && { metadata: JSON.parse(metadata) }) }));
  return { keys, list_complete: true, cacheStatus: null };
}
