// What a developer may ask for beside the whole: fewer scenarios, fewer systems, shorter. Pure.

import { parseArgs } from 'node:util';
import { SCENARIOS, systemsOf } from './scenarios.mjs';

/** What is measured beside the scenarios, by name. */
export const PARTS = ['growth', 'clients', 'administration', 'drop', 'operations', 'start'];

/**
 * @typedef {object} Plan
 * @property {boolean} whole nothing was left out: what comes of it is a result
 * @property {string[]} scenarios
 * @property {string[]} parts
 * @property {string[] | undefined} systems undefined: all
 * @property {number} rounds of the scenarios
 * @property {number} growthRounds of what is compared by the spread of its rounds
 * @property {number} seconds of one slice
 * @property {string} [profile] the scenario to be taken apart, and nothing else
 */

/** At least seven: their quartiles are to be compared. */
const GROWTH_ROUNDS = 7;
const ROUNDS = 5;
const SECONDS = 1.2;

export const USAGE = `npm run bench                     all of it
npm run bench -- --only client_credentials,refresh --systems edgemint,floor-a --rounds 3 --seconds 0.5
npm run bench -- --profile refresh  where the processor's time goes; needs perf

  --only      scenarios (${Object.keys(SCENARIOS).join(', ')}) or parts (${PARTS.join(', ')})
  --systems   edgemint and others that it is compared with
  --rounds    of each scenario (${ROUNDS})
  --seconds   of one system in one round (${SECONDS})`;

/** @param {string[]} args @returns {Plan} or an error whose message says what is wrong */
export function plan(args) {
  const options = /** @type {const} */ ({ only: { type: 'string' }, systems: { type: 'string' }, profile: { type: 'string' }, rounds: { type: 'string' }, seconds: { type: 'string' } });
  const { values } = parseArgs({ args, options });
  const list = (/** @type {string | undefined} */ text) => text?.split(',').map((name) => name.trim()).filter(Boolean);
  const only = list(values.only)?.map((name) => name.replaceAll('-', '_'));
  const known = [...Object.keys(SCENARIOS), ...PARTS];
  const unknown = only?.find((name) => !known.includes(name));
  if (unknown) throw new Error(`There is no scenario ${unknown}: ${known.join(', ')}.`);
  const all = [...new Set(Object.keys(SCENARIOS).flatMap(systemsOf))];
  const systems = list(values.systems)?.map((name) => all.find((one) => one.replaceAll('_', '-') === name.replaceAll('_', '-')) ?? name);
  const nobody = systems?.find((name) => !all.includes(name));
  if (nobody) throw new Error(`There is no system ${nobody}: ${all.join(', ')}.`);
  const number = (/** @type {string | undefined} */ text, /** @type {number} */ usual) => {
    const said = text === undefined ? usual : Number(text);
    if (!(said > 0)) throw new Error(`${text} is no number above 0.`);
    return said;
  };
  const rounds = number(values.rounds, ROUNDS);
  return {
    whole: args.length === 0,
    scenarios: Object.keys(SCENARIOS).filter((name) => !only || only.includes(name)),
    parts: PARTS.filter((name) => !only || only.includes(name)),
    systems,
    rounds,
    growthRounds: values.rounds === undefined ? GROWTH_ROUNDS : rounds,
    seconds: number(values.seconds, SECONDS),
    profile: values.profile,
  };
}

