// The Rust toolchain: cargo, rustc and the WebAssembly target.

import { dirname, join } from 'node:path';
import { SetupError } from './failure.mjs';
import { addToPath, findPrograms, isDirectory } from './machine.mjs';
import { run, runOrFail } from './process.mjs';

export const WASM_TARGET = 'wasm32-unknown-unknown';

/**
 * Sees to it that cargo and rustc run and are on the children's PATH.
 * @param {import('./machine.mjs').Machine} machine
 */
export async function ensureRust(machine) {
  const further = [join(machine.cargoHome, 'bin')];
  for (const name of ['cargo', 'rustc']) {
    const [program] = findPrograms(machine, name, further);
    if (!program) {
      throw new SetupError(
        `Rust is not installed (no ${name} found): install it from https://rustup.rs, open a new terminal, and run this again.`,
      );
    }
    addToPath(machine, dirname(program), 'last');
  }
}

/**
 * Sees to it that the active toolchain compiles to WebAssembly.
 * @param {import('./machine.mjs').Machine} machine
 */
export async function ensureWasmTarget(machine) {
  const sysroot = await findSysroot(machine);
  if (hasWasmTarget(sysroot)) return;
  const [rustup] = findPrograms(machine, 'rustup', [join(machine.cargoHome, 'bin')]);
  const byHand = `The Rust toolchain in ${sysroot} lacks the target ${WASM_TARGET}`;
  if (!rustup) {
    throw new SetupError(
      `${byHand}, and there is no rustup to add it: install Rust from https://rustup.rs, or the target with what installed Rust.`,
    );
  }
  await runOrFail(machine, rustup, ['target', 'add', WASM_TARGET], {
    label: `Adding the Rust target ${WASM_TARGET}`,
    limit: 600,
    failure: `${byHand}, and rustup could not add it: check the network, then run \`rustup target add ${WASM_TARGET}\`.`,
  });
  // A rustc that does not belong to rustup may come first on PATH.
  if (!hasWasmTarget(await findSysroot(machine))) {
    throw new SetupError(`${byHand}, and it is not rustup's toolchain: put rustup's (~/.cargo/bin) first on PATH.`);
  }
}

/**
 * Compiles what worker-build is going to ask cargo for, so that cargo has nothing left to do then.
 * That it fails is told there.
 * @param {import('./machine.mjs').Machine} machine
 */
export async function compileAhead(machine) {
  await run(machine, 'cargo', ['build', '--package', 'edgemint-worker', '--lib', '--release', '--target', WASM_TARGET], {
    env: { ...machine.env, WASM_BINDGEN_USE_JS_SYS: '1' },
  });
}

/** @param {string} sysroot */
function hasWasmTarget(sysroot) {
  return isDirectory(join(sysroot, 'lib', 'rustlib', WASM_TARGET, 'lib'));
}

/** @param {import('./machine.mjs').Machine} machine */
async function findSysroot(machine) {
  let sysroot = '';
  const { code, tail } = await run(machine, 'rustc', ['--print', 'sysroot'], {
    read: (line) => {
      if (line.trim() !== '') sysroot = line.trim();
    },
  });
  if (code !== 0) {
    throw new SetupError('rustc does not run: try `rustup default stable`, or install Rust from https://rustup.rs again.', tail);
  }
  return sysroot;
}
