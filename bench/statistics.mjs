// What becomes of numbers: medians, spread, ratios. Pure.

/** @param {number[]} numbers @param {number} part from 0 to 1 @returns {number} by linear interpolation between neighbours */
export function quantile(numbers, part) {
  if (numbers.length === 0) return NaN;
  const sorted = [...numbers].sort((one, other) => one - other);
  const at = (sorted.length - 1) * part;
  const [below, above] = [Math.floor(at), Math.ceil(at)];
  return sorted[below] + (sorted[above] - sorted[below]) * (at - below);
}

/** @param {number[]} numbers */
export const median = (numbers) => quantile(numbers, 0.5);

/** @param {number[]} numbers @returns {[number, number]} what the middle half lies between */
export const quartiles = (numbers) => [quantile(numbers, 0.25), quantile(numbers, 0.75)];

/** @param {[number, number]} one @param {[number, number]} other */
export const overlap = ([from, to], [low, high]) => from <= high && low <= to;

/** To so many digits that count. @param {number} number @param {number} [digits] */
export const round = (number, digits = 4) => (Number.isFinite(number) ? Number(number.toPrecision(digits)) : null);

/**
 * @typedef {object} Slice one system under load for a moment
 * @property {number} rps
 * @property {number} p50_ms
 * @property {number} p99_ms
 * @property {number} cpu_ms of the system's process, per unit
 *
 * @typedef {Slice & { iqr: [number, number], rounds: number[] }} Measured medians over the rounds; the rest is req/s
 */

/** @param {Slice[]} slices of all rounds @returns {Measured} */
export function summarize(slices) {
  const of = (/** @type {keyof Slice} */ name) => slices.map((slice) => slice[name]);
  const [low, high] = quartiles(of('rps'));
  return {
    rps: round(median(of('rps'))),
    p50_ms: round(median(of('p50_ms')), 3),
    p99_ms: round(median(of('p99_ms')), 3),
    cpu_ms: round(median(of('cpu_ms')), 3),
    iqr: [round(low), round(high)],
    rounds: of('rps').map((number) => round(number)),
  };
}

/** The concurrency that ratios are made at. */
export const DECISIVE = '16';

/**
 * Edgemint's req/s over those of each other system, by `<scenario>/<system>`. Of one round at a time, and the median of
 * these: whatever else the machine did in a round, it did to both.
 * @param {Record<string, Record<string, Record<string, Measured>>>} scenarios scenario → system → concurrency
 * @returns {Record<string, number>}
 */
export function compare(scenarios) {
  /** @type {Record<string, number>} */
  const ratios = {};
  for (const [scenario, systems] of Object.entries(scenarios)) {
    const own = systems.edgemint?.[DECISIVE];
    if (!own) continue;
    for (const [system, measured] of Object.entries(systems)) {
      const other = measured[DECISIVE];
      if (system === 'edgemint' || !other) continue;
      ratios[`${scenario}/${system}`] = round(median(own.rounds.map((rps, at) => rps / other.rounds[at])), 3);
    }
  }
  return ratios;
}

/** What has grown, and what from. */
const GROWN = [['growth_100k', 'growth_1k'], ['growth_1m', 'growth_1k'], ['growth_1m_spread', 'growth_1k'], ['shards_8', 'shards_1'], ['clients_10k', 'clients_10']];

/** The same for Edgemint beside itself when it was small: `growth_1m/growth_1k`. @param {Parameters<typeof compare>[0]} scenarios */
export function compareGrowth(scenarios) {
  const pairs = GROWN.filter((pair) => pair.every((name) => scenarios[name]));
  return Object.fromEntries(pairs.map(([large, small]) => {
    const [own, other] = [large, small].map((name) => scenarios[name].edgemint[DECISIVE].rounds);
    return [`${large}/${small}`, round(median(own.map((rps, at) => rps / other[at])), 3)];
  }));
}
