// What a thief of the storage would hold: every file of it, and every value of every database in it, searched for
// secrets in any form in which one may lie there.

import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';

/** Shorter pieces are found by chance, or are words. */
const SHORTEST = 6;
/** Each half of a piece this long is looked for by itself: a page may end between them. */
const DIVISIBLE = 24;

/** The files beneath a directory. @param {string} directory @param {string} [ending] @returns {string[]} */
export function listFiles(directory, ending = '') {
  const files = readdirSync(directory, { recursive: true }).map((file) => join(directory, String(file)));
  return files.filter((file) => file.endsWith(ending) && statSync(file).isFile());
}

/**
 * How a secret may be written.
 * @param {string} secret
 * @returns {[string, Buffer | string][]} name of the form, and the bytes
 */
export function writeInEveryForm(secret) {
  const text = Buffer.from(secret);
  const forms = /** @type {[string, Buffer | string][]} */ ([
    ['text', text],
    ['UTF-16', Buffer.from(secret, 'utf16le')],
    ['JSON', JSON.stringify(secret).slice(1, -1)],
    ['JSON in JSON', JSON.stringify(JSON.stringify(secret)).slice(3, -3)],
    ['JSON with escapes', [...secret].map((one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, '0')}`).join('')],
    ['percent-encoded', encodeURIComponent(secret)],
    ...writeBytes('text', text),
  ]);
  // What stands behind the prefix and the name of the key is base64url itself.
  const sealed = /[A-Za-z0-9_-]{20,}$/.exec(secret.split('.').at(-1))?.[0];
  if (sealed !== undefined && sealed === secret.split('.').at(-1)) {
    const raw = Buffer.from(sealed, 'base64url');
    forms.push(['raw bytes', raw], ...writeBytes('raw bytes', raw));
  }
  return forms;
}

/** @param {string} of @param {Buffer} bytes @returns {[string, string][]} */
function writeBytes(of, bytes) {
  /** @type {[string, string][]} */
  const forms = [
    [`${of} in hex`, bytes.toString('hex')],
    [`${of} in upper-case hex`, bytes.toString('hex').toUpperCase()],
    [`${of} as a list of numbers`, [...bytes].join(',')],
    [`${of} as a list of numbers with spaces`, [...bytes].join(', ')],
  ];
  // Within something longer it begins at any of three places of a group, and its ends depend on what is beside it.
  for (const shift of [0, 1, 2]) {
    const inner = bytes.subarray((3 - shift) % 3);
    const whole = inner.subarray(0, inner.length - (inner.length % 3));
    forms.push([`${of} in base64`, whole.toString('base64')], [`${of} in base64url`, whole.toString('base64url')]);
  }
  return forms;
}

/** @typedef {{ what: string, bytes: Buffer }} Place */

export class Dump {
  /** @type {Place[]} */
  places = [];

  /**
   * Everything beneath a directory, whether or not a process that was killed left it in order.
   * @param {string} directory
   */
  static of(directory) {
    const dump = new Dump();
    for (const file of listFiles(directory)) dump.add(file.slice(directory.length + 1), readFileSync(file));
    // A row that is cut up over pages is whole here.
    for (const file of listFiles(directory, '.sqlite')) dump.#addValues(file.slice(directory.length + 1), file);
    return dump;
  }

  /** @param {string} what @param {Buffer | string} content */
  add(what, content) {
    this.places.push({ what, bytes: Buffer.from(content) });
    return this;
  }

  /** @param {string} what @param {string} file */
  #addValues(what, file) {
    const database = new DatabaseSync(file, { readOnly: true });
    try {
      for (const { name } of database.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").all()) {
        const rows = database.prepare(`SELECT * FROM "${name}"`);
        rows.setReadBigInts(true);
        for (const row of rows.iterate()) {
          for (const value of Object.values(row)) {
            if (typeof value === 'string' || value instanceof Uint8Array) this.add(`${what}, table ${name}`, Buffer.from(value));
          }
        }
      }
    } finally {
      database.close();
    }
  }

  /**
   * Where secrets lie, in whatever form.
   * @param {Iterable<[string, string]>} secrets what it is, and the secret itself
   * @returns {string[]} a sentence for each secret, form and place
   */
  find(secrets) {
    const needles = new Needles();
    for (const [what, secret] of secrets) {
      for (const [form, bytes] of writeInEveryForm(secret)) needles.add(`${what}, ${form}`, Buffer.from(bytes));
    }
    const found = new Set();
    for (const { what, bytes } of this.places) {
      for (const needle of needles.in(bytes)) found.add(`${needle}, lies in ${what}`);
    }
    return [...found];
  }
}

/** Many strings of bytes to be found in one pass, by their first six bytes. */
class Needles {
  /** @type {Map<number, { what: string, bytes: Buffer }[]>} */
  #heads = new Map();
  /** By the first two of them: whether there is any. */
  #beginnings = new Uint8Array(2 ** 16);

  /** @param {string} what @param {Buffer} bytes */
  add(what, bytes) {
    const middle = Math.floor(bytes.length / 2);
    const halves = bytes.length >= DIVISIBLE ? [bytes.subarray(0, middle), bytes.subarray(middle)] : [bytes];
    for (const piece of halves) {
      if (piece.length < SHORTEST) continue;
      const head = piece.readUIntBE(0, 6);
      this.#beginnings[piece.readUInt16BE(0)] = 1;
      this.#heads.set(head, [...(this.#heads.get(head) ?? []), { what, bytes: piece }]);
    }
  }

  /** @param {Buffer} hay @returns {Set<string>} */
  in(hay) {
    const found = new Set();
    for (let at = 0; at + SHORTEST <= hay.length; at += 1) {
      if (this.#beginnings[(hay[at] << 8) | hay[at + 1]] === 0) continue;
      for (const { what, bytes } of this.#heads.get(hay.readUIntBE(at, 6)) ?? []) {
        if (hay.subarray(at, at + bytes.length).equals(bytes)) found.add(what);
      }
    }
    return found;
  }
}
