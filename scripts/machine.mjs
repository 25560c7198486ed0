// The machine a script runs on: the clone, the environment, and where programs and caches are.

import { accessSync, constants, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, dirname, isAbsolute, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * @typedef {object} Machine
 * @property {string} root the clone
 * @property {NodeJS.ProcessEnv} env a copy that set-up adds to, and that every child gets
 * @property {string} home
 * @property {string} cargoHome
 * @property {string} cache where compiled tools are kept, shared by all clones
 */

/**
 * @param {NodeJS.ProcessEnv} [env]
 * @param {string} [root]
 * @returns {Machine}
 */
export function describeMachine(env = process.env, root = dirname(dirname(fileURLToPath(import.meta.url)))) {
  const home = env.HOME || homedir();
  // The XDG specification says that a relative path is to be ignored.
  const xdg = env.XDG_CACHE_HOME && isAbsolute(env.XDG_CACHE_HOME) ? env.XDG_CACHE_HOME : join(home, '.cache');
  return {
    root,
    env: { ...env },
    home,
    cargoHome: env.CARGO_HOME || join(home, '.cargo'),
    cache: join(xdg, 'edgemint'),
  };
}

/** @param {string} path */
export function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

/** @param {string} path */
export function isDirectory(path) {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
}

/**
 * Every program of that name: on PATH, then in the directories named.
 * @param {Machine} machine
 * @param {string} name
 * @param {string[]} [further]
 * @returns {string[]} paths
 */
export function findPrograms(machine, name, further = []) {
  const directories = [...(machine.env.PATH ?? '').split(delimiter), ...further];
  return [...new Set(directories.filter(Boolean).map((directory) => join(directory, name)))].filter(isExecutable);
}

/**
 * Lets children find the programs of a directory.
 * @param {Machine} machine
 * @param {string} directory
 * @param {'first' | 'last'} place
 */
export function addToPath(machine, directory, place) {
  const path = (machine.env.PATH ?? '').split(delimiter).filter((entry) => entry && entry !== directory);
  machine.env.PATH = (place === 'first' ? [directory, ...path] : [...path, directory]).join(delimiter);
}
