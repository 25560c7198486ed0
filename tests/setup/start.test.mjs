// `npm start`: the port, and how it ends. Wrangler's part is played by a script with a child that serves,
// as workerd does for wrangler.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import test from 'node:test';
import { Laptop, lastLine } from './laptop.mjs';

/** @param {string} serverCode what the server does besides serving */
function wranglerWith(serverCode) {
  return `
const { spawn } = require('node:child_process');
const port = process.argv[process.argv.indexOf('--port') + 1];
const server = 'require("node:http").createServer((request, response) => response.end("ok")).listen(' + port + ', "127.0.0.1");';
spawn(process.execPath, ['-e', server + ${JSON.stringify(serverCode)}], { stdio: 'inherit' });
console.log(process.argv.slice(2).join(' '));
setInterval(() => {}, 1000);
`;
}

/** @param {import('node:test').TestContext} t @param {string} wrangler */
function laptopWithWrangler(t, wrangler) {
  const laptop = Laptop.withToolchains(t);
  laptop.write('clone/node_modules/wrangler/package.json', '{"type":"commonjs"}');
  laptop.write('clone/node_modules/wrangler/bin/wrangler.js', wrangler);
  return laptop;
}

/** @param {string} [address] */
async function occupyPort(address = '127.0.0.1') {
  const server = createServer().listen(0, address);
  await once(server, 'listening');
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
  return { server, port };
}

async function findFreePort() {
  const { server, port } = await occupyPort();
  server.close();
  await once(server, 'close');
  return port;
}

/** @param {number} port */
async function isFree(port) {
  const server = createServer().listen(port, '127.0.0.1');
  const [error] = await Promise.race([once(server, 'listening'), once(server, 'error').catch((reason) => [reason])]);
  server.close();
  return error === undefined;
}

test('a taken port is a sentence before anything is installed or built', async (t) => {
  const laptop = Laptop.withToolchains(t);
  const { server, port } = await occupyPort();
  t.after(() => server.close());
  const { code, output } = await laptop.run('start.mjs', { PORT: String(port) });
  assert.equal(code, 1);
  assert.match(output.trim(), new RegExp(`^Port ${port} is in use: .*\`PORT=\\d+ npm start\`\\.$`));
  assert.deepEqual(laptop.calls(), []);
});

for (const port of ['abc', '0', '65536', '-1', '80.5', ' 8787', '1e3']) {
  test(`PORT=${JSON.stringify(port)} is refused in a sentence`, async (t) => {
    const { code, output } = await Laptop.for(t).run('start.mjs', { PORT: port });
    assert.equal(code, 1);
    assert.match(output.trim(), /^PORT is ".*": it must be a number from 1 to 65535.*$/);
  });
}

for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) {
  test(`${signal} ends the server and wrangler's children`, async (t) => {
    const laptop = laptopWithWrangler(t, wranglerWith(''));
    const port = await findFreePort();
    const { child, ended, printed } = laptop.start('start.mjs', { PORT: String(port) });
    await printed('Ctrl-C stops it');
    child.kill(signal);
    const { code, output } = await ended;
    assert.equal(code, 0, output);
    assert.ok(await isFree(port));
    assert.match(output, new RegExp(`^dev --port ${port} --ip 127.0.0.1 --var ISSUER:http://localhost:${port} `, 'm'));
    assert.match(output, new RegExp(`^Edgemint serves http://localhost:${port}$`, 'm'));
  });
}

test('a child that ignores the signal is killed within five seconds', async (t) => {
  const laptop = laptopWithWrangler(t, wranglerWith('process.on("SIGINT", () => {}); process.on("SIGTERM", () => {});'));
  const port = await findFreePort();
  const { child, ended, printed } = laptop.start('start.mjs', { PORT: String(port) });
  await printed('Ctrl-C stops it');
  const started = Date.now();
  child.kill('SIGTERM');
  const { code, output } = await ended;
  assert.equal(code, 0, output);
  assert.ok(Date.now() - started < 5000);
  assert.ok(await isFree(port));
});

test('a wrangler that ends by itself is a failure', async (t) => {
  const laptop = laptopWithWrangler(t, 'console.error("no such flag"); process.exit(3);');
  const { code, output } = await laptop.run('start.mjs', { PORT: String(await findFreePort()) });
  assert.equal(code, 1);
  assert.match(output, /no such flag\n/);
  assert.match(lastLine(output), /^The server ended by itself \(wrangler dev, code 3\)/);
});
