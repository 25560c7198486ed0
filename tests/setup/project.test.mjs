// The files that the set-up starts from.

import assert from 'node:assert/strict';
import { readFileSync, readdirSync, statSync } from 'node:fs';
import test from 'node:test';
import { addUp, readCargoResult, withExitCode } from '../../scripts/tally.mjs';

/** @param {string} path */
function read(path) {
  return readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');
}

test('each npm script gives its process to Node, so that a signal to npm arrives', () => {
  const { scripts } = JSON.parse(read('package.json'));
  for (const [name, command] of Object.entries(scripts)) assert.match(command, /^exec node [\w/-]+\.mjs\b/, name);
  // npm would wait for such a one, without passing signals on.
  assert.deepEqual(Object.keys(scripts).filter((name) => /^(pre|post)(start|test|lint|build|deploy|install)/.test(name)), []);
});

test('versions are exact, and the lock file names no registry and every platform of workerd', () => {
  const { devDependencies, optionalDependencies } = JSON.parse(read('package.json'));
  for (const [name, version] of Object.entries({ ...devDependencies, ...optionalDependencies })) assert.match(version, /^\d/, name);
  const { packages } = JSON.parse(read('package-lock.json'));
  assert.deepEqual(Object.keys(packages).filter((path) => 'resolved' in packages[path]), []);
  for (const platform of ['darwin-64', 'darwin-arm64', 'linux-64', 'linux-arm64', 'windows-64']) {
    assert.ok(packages[`node_modules/@cloudflare/workerd-${platform}`]?.integrity, platform);
  }
});

test('the secrets of a laptop are not committed', () => {
  assert.match(read('.gitignore'), /^\/\.dev\.vars\*$/m);
});

test('continuous integration runs npm test', () => {
  assert.match(read('.ci/run'), /\nnpm test\nexec npm run test:interop\n$/);
  assert.ok(statSync(new URL('../../.ci/run', import.meta.url)).mode & 0o100);
});

test('an ignored test counts as failed, and so does a run that was cut short', () => {
  const line = 'test result: \x1b[32mok\x1b[0m. 12 passed; 1 failed; 2 ignored; 0 measured; 0 filtered out; finished in 0.01s';
  assert.deepEqual(readCargoResult(line), { passed: 12, failed: 3 });
  assert.equal(readCargoResult('running 12 tests'), undefined);
  assert.deepEqual(addUp([{ passed: 1, failed: 0 }, { passed: 2, failed: 3 }]), { passed: 3, failed: 3 });
  assert.deepEqual(withExitCode({ passed: 5, failed: 0 }, 101), { passed: 5, failed: 1 });
  assert.deepEqual(withExitCode({ passed: 5, failed: 2 }, 101), { passed: 5, failed: 2 });
});

test('what is fuzzed has every crate that its sources name', () => {
  const crates = (/** @type {string} */ manifest) => [...manifest.matchAll(/^([\w-]+) = (?:"|\{ (?:version|path))/gm)].map(([, name]) => name);
  const wanted = crates(read('Cargo.toml')).concat('edgemint');
  const known = crates(read('fuzz/Cargo.toml'));
  const directory = new URL('../native/', import.meta.url);
  const sources = readdirSync(directory, { recursive: true, encoding: 'utf8' }).filter((file) => /^(world|hostile)[./].*rs$/.test(file));
  const text = sources.map((file) => readFileSync(new URL(file, directory), 'utf8')).join('\n');
  // Of what is brought in the crate alone: what stands in the braces is a crate's own.
  const used = text.replace(/^use (\w+)::\{[^;]*;/gm, 'use $1::');
  const named = wanted.filter((name) => new RegExp(`(?<![:\\w])${name.replaceAll('-', '_')}::`).test(used));
  assert.ok(sources.length > 10 && named.length > 5, `${sources} ${named}`);
  assert.deepEqual(named.filter((name) => !known.includes(name)), []);
});
