// Chance that comes back: dice that a seed decides.

export class Dice {
  #state;

  /** @param {number} seed */
  constructor(seed) {
    this.#state = seed;
  }

  /** mulberry32. @param {number} below @returns {number} a whole number from 0 */
  below(below) {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  }

  /** @param {number} percent */
  happens(percent) {
    return this.below(100) < percent;
  }

  /** @template T @param {T[]} from not empty @returns {T} */
  pick(from) {
    return from[this.below(from.length)];
  }

  /**
   * One of the keys, each as often as its weight says.
   * @template {string} K
   * @param {Record<K, number>} weights
   * @returns {K}
   */
  weigh(weights) {
    const all = /** @type {[K, number][]} */ (Object.entries(weights));
    let left = this.below(all.reduce((sum, [, weight]) => sum + weight, 0));
    return all.find(([, weight]) => (left -= weight) < 0)[0];
  }
}
