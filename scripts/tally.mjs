// How many tests passed and failed. A test that was skipped has failed: nobody looked.

/** @typedef {{ passed: number, failed: number }} Tally */

/** @param {Tally[]} tallies @returns {Tally} */
export function addUp(tallies) {
  return tallies.reduce(
    (sum, tally) => ({ passed: sum.passed + tally.passed, failed: sum.failed + tally.failed }),
    { passed: 0, failed: 0 },
  );
}

/**
 * A line with which `cargo test` closes a test binary.
 * @param {string} line may be coloured
 * @returns {Tally | undefined}
 */
export function readCargoResult(line) {
  // eslint-disable-next-line no-control-regex -- the escape character is what is looked for
  const plain = line.replace(/\x1b\[[0-9;]*m/g, '');
  const match = /^test result: \w+\. (\d+) passed; (\d+) failed; (\d+) ignored;/.exec(plain);
  return match ? { passed: Number(match[1]), failed: Number(match[2]) + Number(match[3]) } : undefined;
}

/**
 * The counts of a run that ended with this code. One that failed without a failed test was cut short.
 * @param {Tally} tally @param {number} code @returns {Tally}
 */
export function withExitCode(tally, code) {
  return code !== 0 && tally.failed === 0 ? { ...tally, failed: 1 } : tally;
}
