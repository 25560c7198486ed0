// The browser for the browser tests.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import test from 'node:test';
import { ensureBrowser } from '../../scripts/browser.mjs';
import { Laptop } from './laptop.mjs';

/** A person without rights, on a machine without a Mac's programs. */
const PERSON = { isRoot: false, applications: [] };

test('a browser on PATH is named to the tests', async (t) => {
  const laptop = Laptop.for(t);
  laptop.program('google-chrome', '');
  const machine = laptop.machine();
  await ensureBrowser(machine, PERSON);
  assert.equal(machine.env.EDGEMINT_BROWSER, join(laptop.home, 'bin/google-chrome'));
});

test('the newest browser that playwright downloaded is used', async (t) => {
  const laptop = Laptop.for(t);
  laptop.program('.cache/ms-playwright/chromium-999/chrome-linux/chrome', '');
  laptop.program('.cache/ms-playwright/chromium-1000/chrome-linux/chrome', '');
  assert.match(await ensureBrowser(laptop.machine(), PERSON), /chromium-1000/);
});

test('a browser on a Mac is found among the applications', async (t) => {
  const laptop = Laptop.for(t);
  laptop.program('Applications/Google Chrome.app/Contents/MacOS/Google Chrome', '');
  const browser = await ensureBrowser(laptop.machine(), { isRoot: false, applications: [join(laptop.home, 'Applications')] });
  assert.match(browser, /Google Chrome$/);
});

test('a browser named by hand comes first, and one that is not there is a sentence', async (t) => {
  const laptop = Laptop.for(t);
  laptop.program('chromium', '');
  laptop.program('mine', '');
  laptop.env.CHROME_BIN = join(laptop.home, 'bin/mine');
  assert.equal(await ensureBrowser(laptop.machine(), PERSON), laptop.env.CHROME_BIN);
  laptop.env.CHROME_BIN = '/nowhere';
  await assert.rejects(ensureBrowser(laptop.machine(), PERSON), { message: /^CHROME_BIN names \/nowhere, which is not a program/ });
});

test('without a browser and without a way to get one a sentence says what to do', async (t) => {
  const laptop = Laptop.for(t);
  laptop.program('node', 'exit 1');
  await assert.rejects(ensureBrowser(laptop.machine(), PERSON), { message: /^No browser for the browser tests: install Chromium/ });
});

test('root has apt-get install one when the download fails', async (t) => {
  const laptop = Laptop.for(t);
  laptop.program('node', 'exit 1');
  laptop.program('made/chromium', '');
  laptop.program('apt-get', 'echo "apt-get $3" >> "$HOME/calls"; [ "$3" = update ] || cp "$HOME/made/chromium" "$HOME/bin/"');
  const browser = await ensureBrowser(laptop.machine(), { ...PERSON, isRoot: true });
  assert.equal(browser, join(laptop.home, 'bin/chromium'));
  assert.deepEqual(laptop.calls(), ['apt-get update', 'apt-get install']);
});

test('an installed browser that does not run is no browser', async (t) => {
  const laptop = Laptop.for(t);
  laptop.program('made/chromium', 'exit 127');
  laptop.program('node', 'cp "$HOME/made/chromium" "$HOME/bin/"');
  await assert.rejects(ensureBrowser(laptop.machine(), PERSON), { message: /^No browser/ });
});
