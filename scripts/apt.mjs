// Debian's package manager, for software that is not npm's.

import { findPrograms } from './machine.mjs';
import { run } from './process.mjs';

/**
 * Installs a package, where there is such a manager and we may use it.
 * @param {import('./machine.mjs').Machine} machine
 * @param {string} name
 * @param {string} label of the progress line
 * @param {boolean} [isRoot]
 * @returns {Promise<boolean>} whether it is installed now
 */
export async function installWithApt(machine, name, label, isRoot = process.getuid?.() === 0) {
  const [apt] = findPrograms(machine, 'apt-get');
  if (!apt || !isRoot) return false;
  const env = { ...machine.env, DEBIAN_FRONTEND: 'noninteractive' };
  const wait = ['-o', 'DPkg::Lock::Timeout=120'];
  // The lists may be old but good enough: a failed update alone stops nothing.
  await run(machine, apt, [...wait, 'update'], { env, label: 'Updating the package lists', limit: 300 });
  const { code, tail } = await run(machine, apt, [...wait, 'install', '-y', '--no-install-recommends', name], {
    env,
    label,
    limit: 900,
  });
  if (code !== 0) for (const line of tail) console.error(`  | ${line}`);
  return code === 0;
}
