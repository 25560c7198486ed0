// What was to be shown, and whether it is. Pure.

import { DECISIVE, overlap } from './statistics.mjs';

/** @typedef {{ goal: string, measured: string, met: boolean | undefined }} Verdict undefined: not measured */

/** The part of its floor that an answer is to reach. */
const PART = 0.8;
/** @type {Record<string, string>} */
const FLOORS = { client_credentials: 'floor_a', code_exchange: 'floor_b', refresh: 'floor_b', introspection: 'floor_c', check: 'floor_c' };
/** Where Edgemint stores nothing. */
const UNSTORED = ['client_credentials', 'client_credentials_jwt', 'metadata'];
/** Bytes gzipped, and milliseconds from the socket to the first answer. */
const [SIZE, START] = [400_000, 30];
/** Requests to objects of one unit; nothing is asked of KV. @type {Record<string, number>} */
const OPERATIONS = { client_credentials: 0, code_exchange: 1, refresh: 1, introspection: 1 };

/** @param {number} number */
const plain = (number) => number.toLocaleString('en', { maximumFractionDigits: 2 });

/** @param {any} results @returns {Verdict[]} */
export function judge(results) {
  const { ratios, scenarios, drop, operations, size, start } = results;
  /** @type {Verdict[]} */
  const verdicts = [];
  const ratio = (/** @type {string} */ key, /** @type {string} */ goal, /** @type {number} */ least) => {
    const measured = ratios[key];
    verdicts.push({ goal, measured: measured === undefined ? '' : plain(measured), met: measured === undefined ? undefined : measured >= least });
  };
  for (const [scenario, floor] of Object.entries(FLOORS)) {
    ratio(`${scenario}/${floor}`, `${scenario} at least ${PART} of floor ${floor.at(-1).toUpperCase()}`, PART);
  }
  for (const other of ['workers-oauth-provider', 'oidc-provider', 'oidc-provider-sqlite']) {
    for (const scenario of Object.keys(scenarios)) {
      const counts = scenarios[scenario][other] && (other !== 'oidc-provider' || UNSTORED.includes(scenario));
      if (counts) ratio(`${scenario}/${other}`, `${scenario} ahead of ${other}`, 1);
    }
  }
  const [small, large] = ['growth_1k', 'growth_1m'].map((name) => scenarios[name]?.edgemint[DECISIVE]);
  const spread = ({ rps, iqr }) => `${plain(rps)} (${iqr.map(plain).join('–')})`;
  verdicts.push({
    goal: 'a million grants as fast as a thousand: quartiles of at least seven rounds overlap',
    measured: small && large ? `${spread(large)} against ${spread(small)} req/s` : '',
    met: small && large ? large.rounds.length >= 7 && overlap(small.iqr, large.iqr) : undefined,
  });
  verdicts.push({
    goal: 'dropping a table of 250,000 rows, measured',
    measured: drop ? `the longest that a request waited meanwhile: ${plain(drop.longest_ms)} ms` : '',
    met: drop ? true : undefined,
  });
  verdicts.push({ goal: `at most ${plain(SIZE)} bytes gzipped`, measured: plain(size.wasm + size.js), met: size.wasm + size.js <= SIZE });
  verdicts.push({
    goal: `at most ${START} ms from the socket to the first answer`,
    measured: start ? `${plain(start.answer_ms)} ms` : '',
    met: start ? start.answer_ms <= START : undefined,
  });
  for (const [scenario, most] of Object.entries(OPERATIONS)) {
    const counts = operations?.[scenario]?.counts;
    const sum = (/** @type {string} */ beginning) =>
      Object.entries(counts).filter(([kind]) => kind.startsWith(beginning)).reduce((all, [, count]) => all + Number(count), 0);
    verdicts.push({
      goal: `${scenario}: ${most} requests to objects, 0 operations of KV`,
      measured: counts ? `${plain(sum('requests to '))} and ${plain(sum('KV '))}` : '',
      met: counts ? Math.round(sum('requests to ') * 100) <= most * 100 && sum('KV ') === 0 : undefined,
    });
  }
  return verdicts;
}
