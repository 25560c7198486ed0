// Clients of another server, from JSON or CSV: first what would become of each, and only then, when asked, the clients.

import { createHmac, randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { extname } from 'node:path';
import { Command, CommanderError } from 'commander';
import { parse } from 'csv-parse/sync';
import { call } from './api.mjs';
import { EXIT, Failure } from './failure.mjs';
import { readServer } from './server.mjs';
import { printable } from './show.mjs';

/** The shortest secret that is taken over: what is kept of it costs little to try. */
const SHORTEST = 22;

/** What a column or member may be called, as webMethods and as people write it. */
const NAMES = new Map(Object.entries({
  id: 'client_id', clientid: 'client_id',
  name: 'client_name', clientname: 'client_name',
  version: 'client_version', clientversion: 'client_version',
  secret: 'client_secret', clientsecret: 'client_secret',
  type: 'type', clienttype: 'type',
  description: 'description',
  redirecturi: 'redirect_uris', redirecturis: 'redirect_uris',
  grants: 'grant_types', granttypes: 'grant_types', allowedgrants: 'grant_types',
  requirepkce: 'require_pkce',
  expirationinterval: 'access_token_lifetime', tokenlifetime: 'access_token_lifetime', accesstokenlifetime: 'access_token_lifetime',
  refreshcount: 'refresh_count', tokenrefreshlimit: 'refresh_count',
  enabled: 'enabled', active: 'enabled',
  scope: 'scope', scopes: 'scope',
  profile: 'profile',
}));

/** @typedef {{ name: string, body: Record<string, any>, notes: string[] }} Registration */

/** @param {string} text */
const plain = (text) => text.toLowerCase().replace(/[^a-z]/g, '');

/** Several of something: a list, or a text with spaces, commas, semicolons or bars between. @param {unknown} value @returns {string[]} */
const several = (value) => (Array.isArray(value) ? value.map(String) : String(value).split(/[\s,;|]+/).filter((one) => one !== ''));

/** The vendor's names have spaces in them, those of the specification have none. @param {unknown} value @returns {string[]} */
function grants(value) {
  if (Array.isArray(value)) return value.map(String);
  const parts = String(value).split(/[,;|\n]+/).flatMap((part) => (part.includes('_') ? part.split(/\s+/) : [part.trim()]));
  return parts.filter((part) => part !== '');
}

/** @param {unknown} value @returns {boolean | null} null: as the server says */
function choice(value) {
  const text = String(value).trim().toLowerCase();
  if (['true', 'yes', 'active', 'enabled', '1'].includes(text)) return true;
  if (['false', 'no', 'inactive', 'disabled', '0'].includes(text)) return false;
  if (['global', 'default'].includes(text)) return null;
  throw new Error(`${value} is neither yes, no nor global`);
}

/** @param {unknown} value @param {Record<string, number | null>} words @returns {number | null} */
function number(value, words) {
  const text = String(value).trim();
  if (/^-?\d+$/.test(text)) return Number(text);
  const word = plain(text);
  if (Object.hasOwn(words, word)) return words[word];
  throw new Error(`${value} is neither a number nor one of ${Object.keys(words).join(', ')}`);
}

/** As webMethods calls grants. @param {string} name */
function grantOf(name) {
  const known = new Map(Object.entries({
    authorizationcode: 'authorization_code', authcode: 'authorization_code',
    implicit: 'implicit',
    password: 'password', resourceownerpasswordcredentials: 'password', resourceowner: 'password',
    clientcredentials: 'client_credentials',
    refreshtoken: 'refresh_token',
  }));
  return known.get(plain(name)) ?? name;
}

/** How each member is read. @type {Record<string, (value: unknown) => unknown>} */
const READ = {
  redirect_uris: several,
  grant_types: (value) => grants(value).map(grantOf),
  scope: (value) => several(value).join(' '),
  require_pkce: choice,
  enabled: (value) => choice(value) ?? true,
  access_token_lifetime: (value) => number(value, { global: null, default: null, never: -1 }),
  refresh_count: (value) => number(value, { unlimited: null, none: 0 }),
};

/**
 * What is kept of a secret, as an export has it: the server draws its own secrets, and knows this one by its MAC.
 * @param {string} secret
 */
function keep(secret) {
  const salt = randomBytes(16);
  const mac = createHmac('sha256', salt);
  for (const part of [Buffer.from('client secret'), Buffer.from(secret)]) {
    const length = Buffer.alloc(8);
    length.writeBigUInt64BE(BigInt(part.length));
    mac.update(length).update(part);
  }
  return `hmac-sha256$${salt.toString('base64url')}$${mac.digest('base64url')}`;
}

/** @param {unknown} type @param {unknown} secret */
function isPublic(type, secret) {
  if (type === undefined && secret === undefined) throw new Error('type: neither public nor confidential is said, and there is no secret');
  const word = type === undefined ? 'confidential' : plain(String(type)).replace(/client$/, '');
  if (word !== 'public' && word !== 'confidential') throw new Error(`type: ${type} is neither public nor confidential`);
  return word === 'public';
}

/** A registration out of a record. @param {Record<string, unknown>} record @returns {Registration} */
export function read(record) {
  const notes = [];
  /** @type {Record<string, any>} */
  const given = {};
  for (const [key, value] of Object.entries(record)) {
    const member = NAMES.get(plain(key));
    if (value === '' || value === null || value === undefined) continue;
    if (member === undefined) notes.push(`${key} is not taken over`);
    else given[member] = value;
  }
  const { type, client_secret: secret, ...said } = given;
  /** @type {Record<string, any>} */
  const body = { profile: 'legacy' };
  for (const [member, value] of Object.entries(said)) {
    try {
      body[member] = READ[member] ? READ[member](value) : String(value);
    } catch (error) {
      throw new Error(`${member}: ${/** @type {Error} */ (error).message}`, { cause: error });
    }
  }
  body.grant_types ??= ['authorization_code'];
  // There a refresh limit is all that makes a client refreshable.
  if (body.refresh_count !== 0 && 'refresh_count' in body && !body.grant_types.includes('refresh_token')) body.grant_types.push('refresh_token');
  if (isPublic(type, secret)) {
    notes.push('public');
    body.token_endpoint_auth_method = 'none';
  } else if (secret === undefined) notes.push('confidential, without a secret here: it gets a new one');
  else if (String(secret).length < SHORTEST) notes.push(`confidential, with a secret of less than ${SHORTEST} characters, which is too few to keep: it gets a new one`);
  else if (/[+%]/.test(String(secret))) notes.push('confidential, with a secret that has + or %, which mean something else in the header (RFC 6749 section 2.3.1): it gets a new one');
  else body.client_secret_hashes = [keep(String(secret))];
  return { name: String(body.client_id ?? body.client_name ?? '(without a name)'), body, notes };
}

/** @param {string} path @returns {Promise<Record<string, unknown>[]>} */
async function readFileOf(path) {
  try {
    const text = await readFile(path, 'utf8');
    if (extname(path).toLowerCase() === '.csv') return parse(text, { columns: true, bom: true, skip_empty_lines: true, trim: true });
    const read = JSON.parse(text);
    const list = Array.isArray(read) ? read : read?.clients;
    if (!Array.isArray(list) || !list.every((one) => one !== null && typeof one === 'object' && !Array.isArray(one))) throw new Error('neither a list of clients nor an object with one');
    return list;
  } catch (error) {
    // What a parser says of JSON can quote it, and there are secrets in it.
    const why = error instanceof SyntaxError ? 'it is no JSON' : /** @type {Error} */ (error).message;
    throw new Failure(EXIT.usage, `${path} does not read: ${why}.`);
  }
}

/**
 * @param {import('./api.mjs').Server} server
 * @param {Record<string, unknown>[]} records
 * @param {boolean} apply
 * @param {(text: string) => void} print
 * @returns {Promise<number>} how many were refused
 */
async function importThem(server, records, apply, print) {
  let refused = 0;
  /** Ids, and names with their versions, of this file. @type {Set<string>} */
  const seen = new Set();
  for (const [at, record] of records.entries()) {
    let label = `client ${at + 1}`;
    try {
      const { name, body, notes } = read(record);
      label = name;
      const own = [JSON.stringify(['id', body.client_id]), JSON.stringify(['name', body.client_name, body.client_version])];
      const named = own.filter((_, which) => (which === 0 ? body.client_id : body.client_name) !== undefined);
      if (named.some((one) => seen.has(one))) throw new Error('another client of this file has its id, or its name and version');
      named.forEach((one) => seen.add(one));
      const { body: made } = await call(server, 'POST', apply ? '/clients' : '/clients?dry_run=true', body);
      print(printable(`${label}: ${apply ? 'made' : 'can be made'}${notes.map((note) => `; ${note}`).join('')}`));
      // This once: nobody can be shown it again.
      if (apply && made?.client_secret !== undefined) print(printable(`  client_id ${made.client_id}  client_secret ${made.client_secret}`));
    } catch (error) {
      if (error instanceof Failure && error.code === EXIT.away) throw error;
      refused += 1;
      print(printable(`${label}: REFUSED: ${/** @type {Error} */ (error).message}`));
    }
  }
  print(`${records.length - refused} ${apply ? 'made' : 'can be made'}, ${refused} refused.${apply || refused === records.length ? '' : ' Nothing is changed yet: again with --apply.'}`);
  return refused;
}

/**
 * @param {string} root of the project
 * @param {string[]} args
 * @returns {Promise<number>} the exit code
 */
export async function main(root, args) {
  let code = 0;
  const program = new Command('npm run import-clients --')
    .description('Clients of another server. Says what would become of each; with --apply makes them.')
    .argument('<file>', 'JSON (a list, or an object with clients) or CSV with a head line')
    .option('--apply', 'make them')
    .exitOverride()
    .action(async (/** @type {string} */ file, /** @type {{ apply?: boolean }} */ { apply = false }) => {
      const refused = await importThem(readServer(root, process.env)(), await readFileOf(file), apply, console.log);
      code = refused > 0 ? EXIT.refused : 0;
    });
  try {
    await program.parseAsync(args, { from: 'user' });
    return code;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : EXIT.usage;
    if (!(error instanceof Failure)) throw error;
    console.error(printable(error.message));
    return error.code;
  }
}
