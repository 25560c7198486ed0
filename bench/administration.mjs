// Ten thousand clients: what the administration of them takes, and whether one that gets a token minds the others.

import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ADMIN_TOKEN, findFreePort } from '../tests/edge/worker.mjs';
import { Connection, encode } from './connection.mjs';
import { administer } from './drivers/edgemint.mjs';
import { demand } from './drivers/form.mjs';
import { SYSTEMS } from './systems.mjs';

/** At a time, while they are registered. */
const HANDS = 8;

/**
 * A deployment that is not running, with so many clients that get tokens for themselves.
 * @param {number} count
 * @returns {Promise<{ directory: string, port: number, clients: { id: string, secret: string }[] }>}
 */
export async function register(count) {
  const [directory, port] = [mkdtempSync(join(tmpdir(), 'edgemint-bench-')), await findFreePort()];
  const served = await SYSTEMS.edgemint.start(port, directory, {});
  const site = /** @type {any} */ ({ given: { adminToken: ADMIN_TOKEN } });
  /** @type {{ id: string, secret: string }[]} */
  const clients = [];
  let next = 0;
  const connections = Array.from({ length: HANDS }, () => new Connection(port));
  try {
    await Promise.all(connections.map(async (connection) => {
      while (next < count) {
        const id = `bench-${String(next++).padStart(5, '0')}`;
        const body = { client_id: id, client_name: `The application of ${id}`, grant_types: ['client_credentials'], scope: 'orders.read reports' };
        const answer = await connection.send(encode(`localhost:${port}`, administer(site, 'POST', '/admin/clients', body)));
        demand(answer, 201, '"client_secret"');
        clients.push({ id, secret: JSON.parse(answer.text).client_secret });
      }
    }));
  } finally {
    for (const connection of connections) connection.close();
    await served.stop();
  }
  return { directory, port, clients };
}
