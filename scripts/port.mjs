// The port that `npm start` serves on.

import { connect, createServer } from 'node:net';
import { SetupError } from './failure.mjs';

const DEFAULT_PORT = 8787;
/** What `localhost` may mean; a server on either would be reached instead of us. */
const ADDRESSES = ['127.0.0.1', '::1'];

/** @param {NodeJS.ProcessEnv} env @returns {number} */
export function readPort(env) {
  const text = env.PORT ?? '';
  if (text === '') return DEFAULT_PORT;
  const port = Number(text);
  if (!/^\d+$/.test(text) || port < 1 || port > 65535) {
    throw new SetupError(`PORT is ${JSON.stringify(text)}: it must be a number from 1 to 65535, for example \`PORT=8788 npm start\`.`);
  }
  return port;
}

/** @param {number} port */
export async function demandFreePort(port) {
  for (const address of ADDRESSES) {
    if ((await answers(port, address)) || !(await canListen(port, address))) {
      const other = port === 65535 ? DEFAULT_PORT : port + 1;
      throw new SetupError(`Port ${port} is in use: stop what listens there, or take another one, for example \`PORT=${other} npm start\`.`);
    }
  }
}

/**
 * Some systems let a second server listen beside one that listens on every address: ask, too.
 * @param {number} port @param {string} address @returns {Promise<boolean>}
 */
function answers(port, address) {
  return new Promise((resolve) => {
    const socket = connect({ port, host: address, timeout: 1000 });
    const settle = (/** @type {boolean} */ answer) => {
      socket.destroy();
      resolve(answer);
    };
    socket.once('connect', () => settle(true));
    socket.once('timeout', () => settle(false));
    socket.once('error', () => settle(false));
  });
}

/** @param {number} port @param {string} address @returns {Promise<boolean>} */
function canListen(port, address) {
  return new Promise((resolve) => {
    const server = createServer();
    // A machine without IPv6 has no ::1 to be taken.
    server.once('error', (error) => resolve(/** @type {NodeJS.ErrnoException} */ (error).code !== 'EADDRINUSE'));
    server.listen({ port, host: address, exclusive: true }, () => server.close(() => resolve(true)));
  });
}
