// Installs what is missing. Run as often as you like: what is there is left alone, and the network is not asked.

import { join } from 'node:path';
import { ensureBrowser } from './browser.mjs';
import { ensureDevelopmentSecrets } from './development-secrets.mjs';
import { runScript } from './failure.mjs';
import { describeMachine } from './machine.mjs';
import { ensureNode, ensurePackages } from './packages.mjs';
import { compileAhead, ensureRust, ensureWasmTarget } from './rust.mjs';
import { ensureTools } from './tools.mjs';

/**
 * @param {import('./machine.mjs').Machine} machine
 * @param {{ browser?: boolean }} [wanted]
 */
export async function setUp(machine, { browser = false } = {}) {
  // Who wants more than toolchains wants the Worker: the network and the compiler needn't wait for each other.
  await setUpToolchains(machine, { meanwhile: () => compileAhead(machine) });
  const tools = await ensureTools(machine);
  // worker-build downloads each of these that it isn't given.
  machine.env.WORKER_BUILD_BIN = tools['worker-build'];
  machine.env.WASM_BINDGEN_BIN = tools['wasm-bindgen'];
  machine.env.WASM_OPT_BIN = join(machine.root, 'node_modules', '.bin', 'wasm-opt');
  machine.env.ESBUILD_BIN = join(machine.root, 'node_modules', '.bin', 'esbuild');
  ensureDevelopmentSecrets(machine);
  if (browser) await ensureBrowser(machine);
}

/**
 * What linting needs: Rust with the WebAssembly target, and the npm packages.
 * @param {import('./machine.mjs').Machine} machine
 * @param {{ meanwhile?: () => Promise<void> }} [options]
 */
export async function setUpToolchains(machine, options) {
  await ensureRust(machine);
  await ensureWasmTarget(machine);
  await ensurePackages(machine, options);
  ensureNode(machine);
}

await runScript(import.meta.url, async () => {
  await setUp(describeMachine(), { browser: process.argv.includes('--browser') });
  console.log('Everything is there.');
});
