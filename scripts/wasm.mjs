// A WebAssembly module as far as the build must know it: what its functions are made of, and what they are called.

import { SetupError } from './failure.mjs';

const [CUSTOM, IMPORTS, CODE] = [0, 2, 10];
const [FUNCTION, TAG] = [0, 4];
const FUNCTION_NAMES = 1;
const HEADER = Buffer.from('\0asm\x01\0\0\0', 'latin1');

/**
 * @param {Buffer} wasm
 * @returns {Buffer[]} what its functions are made of, in their order
 */
export function readBodies(wasm) {
  const section = readSections(wasm).find(({ id }) => id === CODE);
  if (!section) throw notAModule('it has no code');
  const reader = new Reader(section.content);
  const bodies = Array.from({ length: reader.number() }, () => reader.take(reader.number()));
  if (!reader.isAtEnd()) throw notAModule('something follows its functions');
  return bodies;
}

/**
 * The same module, each of its functions named after its place in an order, and nothing else named:
 * `wasm-opt --reorder-functions-by-name` puts them there.
 * @param {Buffer} wasm
 * @param {number[]} order of its functions, as they are numbered in {@link readBodies}
 * @returns {Buffer}
 */
export function nameByPlace(wasm, order) {
  const sections = readSections(wasm);
  const imported = countImportedFunctions(sections.find(({ id }) => id === IMPORTS)?.content);
  /** @type {string[]} */
  const names = [];
  for (const [place, body] of order.entries()) names[body] = `f${String(place).padStart(6, '0')}`;
  const map = names.map((name, body) => Buffer.concat([number(imported + body), text(name)]));
  const functions = Buffer.concat([Buffer.of(FUNCTION_NAMES), sized(Buffer.concat([number(map.length), ...map]))]);
  const kept = sections.filter(({ isNames }) => !isNames).map(({ whole }) => whole);
  return Buffer.concat([HEADER, ...kept, Buffer.of(CUSTOM), sized(Buffer.concat([text('name'), functions]))]);
}

/** @param {Buffer} wasm */
function readSections(wasm) {
  if (!wasm.subarray(0, HEADER.length).equals(HEADER)) throw notAModule('it does not begin as one');
  const reader = new Reader(wasm, HEADER.length);
  const sections = [];
  while (!reader.isAtEnd()) {
    const start = reader.at;
    const id = reader.byte();
    const content = reader.take(reader.number());
    const isNames = id === CUSTOM && new Reader(content).text() === 'name';
    sections.push({ id, content, isNames, whole: wasm.subarray(start, reader.at) });
  }
  return sections;
}

/** They are numbered first. @param {Buffer} [section] */
function countImportedFunctions(section) {
  if (!section) return 0;
  const reader = new Reader(section);
  let functions = 0;
  for (let left = reader.number(); left > 0; left--) {
    reader.text();
    reader.text();
    const kind = reader.byte();
    if (kind === FUNCTION) functions++;
    // Followed by a zero, then by its type as a function is.
    else if (kind !== TAG || reader.byte() !== 0) throw notAModule('it imports what is neither a function nor an exception');
    reader.number();
  }
  return functions;
}

/** Reads what WebAssembly is made of; its numbers are LEB128. */
class Reader {
  /** @param {Buffer} bytes @param {number} [at] */
  constructor(bytes, at = 0) {
    this.bytes = bytes;
    this.at = at;
  }

  isAtEnd() {
    return this.at === this.bytes.length;
  }

  byte() {
    return this.take(1)[0];
  }

  number() {
    let number = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.byte();
      number |= (byte & 0x7f) << shift;
      if (byte < 0x80) return number >>> 0;
    }
    throw notAModule('a number has no end');
  }

  text() {
    return this.take(this.number()).toString('utf8');
  }

  /** @param {number} length */
  take(length) {
    if (length > this.bytes.length - this.at) throw notAModule('it ends too early');
    this.at += length;
    return this.bytes.subarray(this.at - length, this.at);
  }
}

/** @param {number} value */
function number(value) {
  const bytes = [];
  for (; value >= 0x80; value >>>= 7) bytes.push((value & 0x7f) | 0x80);
  return Buffer.from([...bytes, value]);
}

/** @param {Buffer} content */
function sized(content) {
  return Buffer.concat([number(content.length), content]);
}

/** @param {string} value */
function text(value) {
  return sized(Buffer.from(value));
}

/** @param {string} why */
function notAModule(why) {
  return new SetupError(`What was built is not the WebAssembly that was expected: ${why}. Remove build/ and run this again.`);
}
