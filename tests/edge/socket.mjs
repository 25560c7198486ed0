// HTTP by hand, for what no client library would send.

import { once } from 'node:events';
import { connect } from 'node:net';

/** An answer that takes longer is none. */
const LIMIT = 10_000;

/** @typedef {{ status: number, head: string, headers: Map<string, string>, body: string }} Answer status 0: the connection was closed; head: as it came */

/**
 * One request on a connection of its own.
 * @param {number} port
 * @param {string} method
 * @param {string} target
 * @param {object} [options]
 * @param {Record<string, string>} [options.headers]
 * @param {(string | Uint8Array)[]} [options.chunks] the body, sent chunked
 * @param {string | Uint8Array} [options.raw] the body as it is
 * @param {boolean} [options.close] we hang up when it is sent
 * @returns {Promise<Answer>}
 */
export async function exchange(port, method, target, { headers = {}, chunks, raw = '', close = false } = {}) {
  const socket = connect({ port, host: '127.0.0.1' });
  const timer = setTimeout(() => socket.destroy(new Error(`no answer to ${method} ${target} within ${LIMIT / 1000} s`)), LIMIT);
  /** @type {Buffer[]} */
  const received = [];
  socket.on('data', (data) => received.push(data));
  try {
    await once(socket, 'connect');
    const all = { host: `localhost:${port}`, connection: 'close', ...(chunks && { 'transfer-encoding': 'chunked' }), ...headers };
    if (raw.length > 0 && !('content-length' in all)) all['content-length'] = String(raw.length);
    socket.write(`${method} ${target} HTTP/1.1\r\n${Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`, 'latin1');
    for (const chunk of chunks ?? []) {
      socket.write(`${Buffer.byteLength(chunk).toString(16)}\r\n`);
      socket.write(chunk);
      socket.write('\r\n');
    }
    if (chunks) socket.write('0\r\n\r\n');
    socket.write(raw);
    if (close) socket.end();
    await once(socket, 'close');
  } catch (error) {
    // A server may hang up on what it will not read; it may not hang.
    if (!['ECONNRESET', 'EPIPE'].includes(error.code)) throw error;
  } finally {
    clearTimeout(timer);
    socket.destroy();
  }
  return parse(Buffer.concat(received).toString('latin1'));
}

/** @param {string} text @returns {Answer} */
function parse(text) {
  const [head, ...rest] = text.split('\r\n\r\n');
  const [first, ...lines] = head.split('\r\n');
  const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(first)?.[1] ?? 0);
  const headers = new Map(lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]));
  return { status, head, headers, body: rest.join('\r\n\r\n') };
}
