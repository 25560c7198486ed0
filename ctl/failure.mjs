// What ends a command: a sentence, and an exit code that scripts can use.

/** Exit codes, beside 0. */
export const EXIT = {
  /** The command line makes no sense. */
  usage: 2,
  /** The server refused: the input, or who sent it. */
  refused: 3,
  /** There is no such thing. */
  unknown: 4,
  /** Somebody changed it meanwhile, it is in use, or the name is taken. */
  conflict: 5,
  /** No answer, or 503: nobody knows whether it was done. */
  away: 6,
};

export class Failure extends Error {
  /** @param {number} code of {@link EXIT} @param {string} sentence */
  constructor(code, sentence) {
    super(sentence);
    this.code = code;
  }
}
