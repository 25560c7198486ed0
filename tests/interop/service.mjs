// A service that knows nothing of OAuth: it answers what it was asked, and by whom it was told it is.

import { createServer } from 'node:http';
import { once } from 'node:events';

/** @returns {Promise<{ port: number, stop: () => Promise<void> }>} */
export async function startService() {
  const server = createServer((request, response) => {
    const body = { method: request.method, url: request.url, headers: request.headers };
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify(body));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
  return {
    port,
    stop: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
