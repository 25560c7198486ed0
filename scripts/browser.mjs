// A Chromium for the browser tests: found, else installed.

import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { installWithApt } from './apt.mjs';
import { SetupError } from './failure.mjs';
import { findPrograms, isExecutable } from './machine.mjs';
import { run } from './process.mjs';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable', 'chrome'];
const MAC_APPLICATIONS = [
  'Google Chrome.app/Contents/MacOS/Google Chrome',
  'Chromium.app/Contents/MacOS/Chromium',
  'Google Chrome for Testing.app/Contents/MacOS/Google Chrome for Testing',
];
/** Where a browser lies inside playwright's directory `chromium-<number>`. */
const PLAYWRIGHT_PROGRAMS = [
  'chrome-linux/chrome',
  'chrome-linux64/chrome',
  ...['chrome-mac', 'chrome-mac-arm64', 'chrome-mac-x64'].flatMap((directory) =>
    MAC_APPLICATIONS.map((application) => join(directory, application)),
  ),
];

/**
 * Sees to it that there is a browser, and names it to the children in `EDGEMINT_BROWSER`.
 * @param {import('./machine.mjs').Machine} machine
 * @param {{ isRoot?: boolean, applications?: string[] }} [circumstances] applications: where a Mac keeps its programs
 * @returns {Promise<string>} its path
 */
export async function ensureBrowser(machine, { isRoot = process.getuid?.() === 0, applications } = {}) {
  const find = () => findBrowser(machine, applications);
  const browser = find() ?? (await installWithPlaywright(machine, find)) ?? (await installFromDebian(machine, find, isRoot));
  if (!browser) {
    throw new SetupError(
      'No browser for the browser tests: install Chromium or Google Chrome, or name one with EDGEMINT_BROWSER=/path/to/chromium, and run this again.',
    );
  }
  machine.env.EDGEMINT_BROWSER = browser;
  return browser;
}

/**
 * @param {import('./machine.mjs').Machine} machine
 * @param {string[]} [applications]
 * @returns {string | undefined}
 */
export function findBrowser(machine, applications = ['/Applications', join(machine.home, 'Applications')]) {
  for (const variable of ['EDGEMINT_BROWSER', 'CHROME_BIN']) {
    const named = machine.env[variable];
    if (!named) continue;
    if (isExecutable(named)) return named;
    throw new SetupError(`${variable} names ${named}, which is not a program: correct it or unset it.`);
  }
  return [
    ...NAMES.flatMap((name) => findPrograms(machine, name)),
    ...applications.flatMap((directory) => MAC_APPLICATIONS.map((application) => join(directory, application))),
    ...listPlaywrightBrowsers(machine),
  ].find(isExecutable);
}

/** @param {import('./machine.mjs').Machine} machine @returns {string[]} newest first */
function listPlaywrightBrowsers(machine) {
  const directories = [
    machine.env.PLAYWRIGHT_BROWSERS_PATH,
    join(machine.home, '.cache', 'ms-playwright'),
    join(machine.home, 'Library', 'Caches', 'ms-playwright'),
  ];
  return directories.flatMap((directory) => {
    if (!directory) return [];
    const builds = listDirectory(directory)
      .map((name) => ({ name, build: Number(/^chromium-(\d+)$/.exec(name)?.[1]) }))
      .filter(({ build }) => build > 0)
      .sort((one, other) => other.build - one.build);
    return builds.flatMap(({ name }) => PLAYWRIGHT_PROGRAMS.map((program) => join(directory, name, program)));
  });
}

/** @param {import('./machine.mjs').Machine} machine @param {() => string | undefined} find */
async function installWithPlaywright(machine, find) {
  const cli = join(machine.root, 'node_modules', 'playwright-core', 'cli.js');
  const { code } = await run(machine, 'node', [cli, 'install', '--no-shell', 'chromium'], {
    label: 'Downloading Chromium for the browser tests (a large file)',
    limit: 300,
  });
  return code === 0 ? keepIfWorking(machine, find()) : undefined;
}

/** @param {import('./machine.mjs').Machine} machine @param {() => string | undefined} find @param {boolean} isRoot */
async function installFromDebian(machine, find, isRoot) {
  const label = 'Installing Chromium for the browser tests with apt-get (some minutes)';
  return (await installWithApt(machine, 'chromium', label, isRoot)) ? keepIfWorking(machine, find()) : undefined;
}

/**
 * A downloaded browser may lack the system's libraries, and Ubuntu's package of that name needs a snap daemon.
 * @param {import('./machine.mjs').Machine} machine
 * @param {string | undefined} browser
 */
async function keepIfWorking(machine, browser) {
  if (!browser) return undefined;
  const { code } = await run(machine, browser, ['--version'], { limit: 30 });
  return code === 0 ? browser : undefined;
}

/** @param {string} path */
function listDirectory(path) {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}
