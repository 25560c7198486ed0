// In which order functions lie in the Worker. gzip looks back 32 KB: what lies behind what it resembles is smaller.

/** How far back gzip sees, less what the function itself takes; and a little of it: what is near has a shorter number. */
const REACHES = [
  { bytes: 30_000, worth: 1 },
  { bytes: 1_500, worth: 0.25 },
];
/** What is compared: every so many bytes that follow each other in a function. */
const PIECE = 6;
/** So that a function of a few bytes does not seem to resemble everything. */
const SLACK = 30;

/**
 * Each next one is the one of which most has been there lately. Pieces that few functions have count for more: they are
 * why these must be neighbours; what all have is always near.
 * @param {Uint8Array[]} bodies
 * @returns {number[]} their numbers
 */
export function orderBodies(bodies) {
  const { pieces, holders } = findPieces(bodies);
  // Roots of squares are exact: the order is the same on every machine.
  const weights = holders.map(({ length }) => 1 / Math.sqrt(Math.sqrt(length)));
  const needed = pieces.map((own) => own.reduce((sum, piece) => sum + weights[piece], SLACK));
  const seen = bodies.map(() => 0);
  const windows = REACHES.map((reach) => ({ ...reach, filled: 0, oldest: 0, counts: holders.map(() => 0) }));
  /** @type {number[]} */
  const order = [];
  const waiting = new Set(bodies.keys());
  while (waiting.size > 0) {
    let next = -1;
    for (const body of waiting) if (next < 0 || seen[body] / needed[body] > seen[next] / needed[next]) next = body;
    waiting.delete(next);
    order.push(next);
    for (const window of windows) {
      const tell = (/** @type {number} */ piece, /** @type {number} */ sign) => {
        for (const holder of holders[piece]) seen[holder] += sign * weights[piece] * window.worth;
      };
      for (const piece of pieces[next]) if (window.counts[piece]++ === 0) tell(piece, 1);
      window.filled += bodies[next].length;
      while (window.filled - bodies[order[window.oldest]].length > window.bytes) {
        const gone = order[window.oldest++];
        window.filled -= bodies[gone].length;
        for (const piece of pieces[gone]) if (--window.counts[piece] === 0) tell(piece, -1);
      }
    }
  }
  return order;
}

/**
 * @param {Uint8Array[]} bodies
 * @returns {{ pieces: number[][], holders: number[][] }} which pieces a body has, and which bodies a piece; none of one body
 */
function findPieces(bodies) {
  /** @type {Map<number, number[]>} */
  const found = new Map();
  for (const [index, body] of bodies.entries()) {
    for (let end = PIECE; end <= body.length; end++) {
      // Of two pieces with the same number one is taken for the other: that is rare, and costs no more than a few bytes.
      let piece = 0;
      for (let at = end - PIECE; at < end; at++) piece = Math.imul(piece, 0x01000193) ^ body[at];
      const holders = found.get(piece);
      if (!holders) found.set(piece, [index]);
      else if (holders.at(-1) !== index) holders.push(index);
    }
  }
  const holders = [...found.values()].filter(({ length }) => length > 1);
  /** @type {number[][]} */
  const pieces = bodies.map(() => []);
  for (const [piece, bodiesOfIt] of holders.entries()) for (const body of bodiesOfIt) pieces[body].push(piece);
  return { pieces, holders };
}
