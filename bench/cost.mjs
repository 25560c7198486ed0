// What a million of each costs, by the prices of prices.json. Pure.

/**
 * @typedef {object} Prices
 * @property {Record<string, number>} dollars_per_million
 * @property {number} object_memory_gb
 *
 * @typedef {Record<string, number>} Counts what one unit asks of the port, by kind: `requests to GrantShard`, `rows written` …
 */

/** How long an object is at work for one request, in milliseconds: it is billed by the wall clock while it is. */
export const OBJECT_MS = 10;

/** @param {Counts} counts @param {string} beginning of a kind's name */
const sum = (counts, beginning) =>
  Object.entries(counts).filter(([kind]) => kind.startsWith(beginning)).reduce((all, [, count]) => all + count, 0);

/**
 * @param {Prices} prices @param {Counts} counts @param {number} cpu milliseconds of processor time of one unit
 * @param {number} [requests] to the Worker in one unit
 * @returns {Record<string, number>} dollars for a million units, by what they are paid for; `total` and, beside it, `log`
 */
export function price({ dollars_per_million: of, object_memory_gb: memory }, counts, cpu, requests = 1) {
  const objects = sum(counts, 'requests to ');
  const parts = {
    requests: requests * of.requests,
    cpu: cpu * of.cpu_ms,
    objects: objects * (of.object_requests + (OBJECT_MS / 1000) * memory * of.object_gb_seconds),
    rows: sum(counts, 'rows written') * of.rows_written + sum(counts, 'rows read') * of.rows_read,
    // Deletions and lists cost what writes do.
    kv: sum(counts, 'KV reads') * of.kv_reads + ['KV writes', 'KV deletes', 'KV lists'].reduce((all, kind) => all + sum(counts, kind), 0) * of.kv_writes,
  };
  const total = Object.values(parts).reduce((all, part) => all + part, 0);
  return { ...parts, total, log: sum(counts, 'log lines') * of.log_events };
}
