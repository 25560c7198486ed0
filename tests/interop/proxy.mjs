// A proxy from the system's packages, under the configuration that docs/protecting-an-api.md gives.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { findFreePort } from '../edge/worker.mjs';

const GUIDE = readFileSync(new URL('../../docs/protecting-an-api.md', import.meta.url), 'utf8');
const LIMIT = 10_000;

/**
 * The block of the guide, with the ports of this run.
 * @param {string} language @param {{ edgemint: number, service: number, own: number }} ports
 */
export function configuration(language, ports) {
  const [, block] = GUIDE.split(`\`\`\`${language}\n`);
  assert.ok(block, `the guide has a block of ${language}`);
  const [text] = block.split('```');
  const replaced = text.replaceAll(':8787', `:${ports.edgemint}`).replaceAll(':3000', `:${ports.service}`);
  return replaced.replaceAll(':8080', `:${ports.own}`);
}

/** A running proxy. */
export class Proxy {
  /** @type {import('node:child_process').ChildProcess} */ #process;
  #scratch = '';
  #output = '';
  origin = '';

  /**
   * @param {(ports: { own: number }, scratch: string) => { file: string, text: string, command: string, args: string[] }} describe
   */
  static async start(describe) {
    const proxy = new Proxy();
    const own = await findFreePort();
    proxy.origin = `http://127.0.0.1:${own}`;
    proxy.#scratch = mkdtempSync(join(tmpdir(), 'edgemint-proxy-'));
    const { file, text, command, args } = describe({ own }, proxy.#scratch);
    writeFileSync(join(proxy.#scratch, file), text);
    const env = { ...process.env, HOME: proxy.#scratch, XDG_DATA_HOME: proxy.#scratch, XDG_CONFIG_HOME: proxy.#scratch };
    proxy.#process = spawn(command, args, { cwd: proxy.#scratch, env, stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [proxy.#process.stdout, proxy.#process.stderr]) stream.on('data', (text) => (proxy.#output += text));
    await proxy.#listens(own);
    return proxy;
  }

  /** @param {number} port */
  async #listens(port) {
    const deadline = Date.now() + LIMIT;
    while (Date.now() < deadline && this.#process.exitCode === null) {
      const socket = connect(port, '127.0.0.1');
      const open = await new Promise((resolve) => {
        socket.once('connect', () => resolve(true));
        socket.once('error', () => resolve(false));
      });
      socket.destroy();
      if (open) return;
      await sleep(50);
    }
    await this.stop();
    throw new Error(`the proxy does not listen:\n${this.#output}`);
  }

  async stop() {
    if (this.#process.exitCode === null) {
      const ended = once(this.#process, 'exit');
      this.#process.kill('SIGTERM');
      await ended;
    }
    rmSync(this.#scratch, { recursive: true, force: true });
  }
}
