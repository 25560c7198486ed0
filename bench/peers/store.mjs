// The stores of `oidc-provider`: a Map, which is gone with the process, and SQLite, which has on the disk what was answered.

import { DatabaseSync } from 'node:sqlite';

/** @param {string | undefined} file @returns {(name: string) => object} what the provider calls for each model */
export function open(file) {
  return file ? openDatabase(file) : openMap();
}

function openMap() {
  /** @type {Map<string, any>} */
  const rows = new Map();
  /** Keys by what they are found by beside. @type {Map<string, string>} */
  const byUid = new Map();
  /** @type {Map<string, Set<string>>} */
  const byGrant = new Map();
  return (/** @type {string} */ name) => {
    const key = (/** @type {string} */ id) => `${name}:${id}`;
    return {
      async upsert(/** @type {string} */ id, /** @type {any} */ payload) {
        rows.set(key(id), payload);
        if (name === 'Session') byUid.set(payload.uid, key(id));
        if (payload.grantId) {
          const keys = byGrant.get(payload.grantId) ?? new Set();
          byGrant.set(payload.grantId, keys.add(key(id)));
        }
      },
      find: async (/** @type {string} */ id) => rows.get(key(id)),
      findByUid: async (/** @type {string} */ uid) => rows.get(byUid.get(uid)),
      findByUserCode: async () => undefined,
      async consume(/** @type {string} */ id) {
        rows.get(key(id)).consumed = Math.floor(Date.now() / 1000);
      },
      async destroy(/** @type {string} */ id) {
        rows.delete(key(id));
      },
      async revokeByGrantId(/** @type {string} */ grantId) {
        for (const one of byGrant.get(grantId) ?? []) rows.delete(one);
        byGrant.delete(grantId);
      },
    };
  };
}

/** @param {string} file */
function openDatabase(file) {
  const database = new DatabaseSync(file);
  // In the write-ahead log a transaction is on the disk when it returns; each statement here is one.
  database.exec(`
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    CREATE TABLE IF NOT EXISTS kept (
      name TEXT, id TEXT, payload TEXT NOT NULL, uid TEXT, grant_id TEXT, expires INTEGER, PRIMARY KEY (name, id)
    ) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS kept_uid ON kept (uid) WHERE uid IS NOT NULL;
    CREATE INDEX IF NOT EXISTS kept_grant ON kept (grant_id) WHERE grant_id IS NOT NULL;
  `);
  const now = () => Math.floor(Date.now() / 1000);
  const put = database.prepare('INSERT OR REPLACE INTO kept VALUES (?, ?, ?, ?, ?, ?)');
  const get = database.prepare('SELECT payload FROM kept WHERE name = ? AND id = ? AND (expires IS NULL OR expires > ?)');
  const getByUid = database.prepare('SELECT payload FROM kept WHERE uid = ? AND name = ?');
  const use = database.prepare("UPDATE kept SET payload = json_set(payload, '$.consumed', ?) WHERE name = ? AND id = ?");
  const drop = database.prepare('DELETE FROM kept WHERE name = ? AND id = ?');
  const revoke = database.prepare('DELETE FROM kept WHERE grant_id = ?');
  const read = (/** @type {any} */ row) => (row ? JSON.parse(row.payload) : undefined);
  return (/** @type {string} */ name) => ({
    async upsert(/** @type {string} */ id, /** @type {any} */ payload, /** @type {number | undefined} */ lifetime) {
      const uid = name === 'Session' ? payload.uid : null;
      put.run(name, id, JSON.stringify(payload), uid, payload.grantId ?? null, lifetime ? now() + lifetime : null);
    },
    find: async (/** @type {string} */ id) => read(get.get(name, id, now())),
    findByUid: async (/** @type {string} */ uid) => read(getByUid.get(uid, name)),
    findByUserCode: async () => undefined,
    async consume(/** @type {string} */ id) {
      use.run(now(), name, id);
    },
    async destroy(/** @type {string} */ id) {
      drop.run(name, id);
    },
    async revokeByGrantId(/** @type {string} */ grantId) {
      revoke.run(grantId);
    },
  });
}
