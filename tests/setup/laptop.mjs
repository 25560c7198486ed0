// A laptop for the set-up's tests: an empty home, a clone with the real scripts, and programs that are
// shell scripts which write down how they were called. Nothing of the machine below shows through.

import { spawn } from 'node:child_process';
import { chmodSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describeMachine } from '../../scripts/machine.mjs';

const PROJECT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const LOCK = '[[package]]\nname = "wasm-bindgen"\nversion = "0.2.999"\n';

/** What `cargo install` of each crate leaves. `worker-build` makes a Worker of two files, and no function is in it. */
const INSTALLED = {
  'worker-build': `echo "worker-build $*" >> "$HOME/calls"
mkdir -p build && echo 'import"./index_bg.wasm";var A=class{};export{A as Entrance,A as Shard};' > build/index.js && printf '\\0asm\\1\\0\\0\\0\\12\\1\\0' > build/index_bg.wasm`,
  'wasm-bindgen': 'echo "wasm-bindgen 0.2.999"',
};

/** A temporary home with everything in it. */
export class Laptop {
  constructor() {
    this.home = realpathSync(mkdtempSync(join(tmpdir(), 'edgemint-laptop-')));
    this.clone = join(this.home, 'clone');
    this.cache = join(this.home, 'cache', 'edgemint');
    this.env = { HOME: this.home, PATH: join(this.home, 'bin'), XDG_CACHE_HOME: join(this.home, 'cache') };
    cpSync(join(PROJECT, 'scripts'), join(this.clone, 'scripts'), { recursive: true });
    this.write('clone/package.json', '{"type":"module"}');
    this.write('clone/package-lock.json', '{"packages":{}}');
    this.write('clone/Cargo.lock', LOCK);
    this.write('clone/src/lib.rs', '// the Worker');
    cpSync(join(PROJECT, 'worker/entry.js'), join(this.clone, 'worker/entry.js'), { recursive: true });
    this.write('clone/wrangler.toml', 'class_name = "Shard"\n');
  }

  /** @param {import('node:test').TestContext} test the laptop is thrown away after it */
  static for(test) {
    const laptop = new Laptop();
    test.after(() => rmSync(laptop.home, { recursive: true, force: true }));
    return laptop;
  }

  /** With Rust and npm, nothing compiled and no package installed. */
  static withToolchains(/** @type {import('node:test').TestContext} */ test) {
    const laptop = Laptop.for(test);
    laptop.installRust();
    laptop.program('made/wasm-opt', 'echo "wasm-opt $*" >> "$HOME/calls"\ncase "$*" in *--strip-debug*) echo stripped >> "$1" ;; esac');
    laptop.program('npm', 'echo "npm $*" >> "$HOME/calls"; mkdir -p node_modules/.bin && cp "$HOME/made/wasm-opt" node_modules/.bin');
    return laptop;
  }

  /** @param {string} path inside the home @param {string} content */
  write(path, content) {
    mkdirSync(dirname(join(this.home, path)), { recursive: true });
    writeFileSync(join(this.home, path), content);
  }

  /**
   * @param {string} name on PATH, or a path inside the home
   * @param {string} body shell
   */
  program(name, body) {
    const path = name.includes('/') ? name : `bin/${name}`;
    // The laptop's PATH has nothing but such programs; they themselves need a few more.
    this.write(path, `#!/bin/sh\nSTARTED_WITH="$PATH"\nPATH=/usr/bin:/bin\n${body}\n`);
    chmodSync(join(this.home, path), 0o755);
  }

  /** @param {{ wasm?: boolean, afterInstall?: string }} [options] afterInstall: what cargo does once the program is there */
  installRust({ wasm = true, afterInstall = '' } = {}) {
    const target = join(this.home, 'sysroot/lib/rustlib/wasm32-unknown-unknown');
    rmSync(target, { recursive: true, force: true });
    if (wasm) mkdirSync(join(target, 'lib'), { recursive: true });
    this.program('rustc', 'echo "$HOME/sysroot"');
    for (const [name, body] of Object.entries(INSTALLED)) this.program(`made/${name}`, body);
    this.program(
      'cargo',
      `echo "cargo $*" >> "$HOME/calls"
[ "$1" = install ] || exit 0
name="\${2%-cli}"
mkdir -p "$6/bin" && cp "$HOME/made/$name" "$6/bin/$name"
${afterInstall}`,
    );
  }

  machine() {
    return describeMachine(this.env, this.clone);
  }

  /** @returns {string[]} how the programs were called, without what differs at each call */
  calls() {
    const file = join(this.home, 'calls');
    if (!existsSync(file)) return [];
    return readFileSync(file, 'utf8').trimEnd().split('\n').map((line) => line.replace(/ --root .*/, ''));
  }

  /**
   * Starts one of the clone's scripts.
   * @param {string} script
   * @param {Record<string, string>} [env]
   */
  start(script, env = {}) {
    const child = spawn(process.execPath, [join(this.clone, 'scripts', script)], {
      cwd: this.clone,
      env: { ...this.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    /** @type {(() => void)[]} */
    const listeners = [];
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text) => {
        output += text;
        listeners.forEach((listener) => listener());
      });
    }
    const ended = new Promise((resolve) => {
      child.on('close', (code) => resolve({ code, output }));
    });
    return {
      child,
      /** @type {Promise<{ code: number | null, output: string }>} */
      ended,
      /** @param {string} text @returns {Promise<void>} once it is printed */
      printed: (text) =>
        new Promise((resolve, reject) => {
          const look = () => output.includes(text) && resolve();
          listeners.push(look);
          look();
          ended.then(() => reject(new Error(`ended without printing ${text}:\n${output}`)));
        }),
    };
  }

  /** Runs one of the clone's scripts to its end. @param {string} script @param {Record<string, string>} [env] */
  run(script, env) {
    return this.start(script, env).ended;
  }
}

/** The last line, where the sentence stands. @param {string} output */
export function lastLine(output) {
  return output.trimEnd().split('\n').at(-1) ?? '';
}
