// Good requests, bent by dice: in one place or some, or into what nobody would send. The dice are seeded.

import { FORM } from './good.mjs';

/** @typedef {import('./good.mjs').Sent} Sent */
/** @typedef {(below: number) => number} Dice */

/** @param {number} seed @returns {Dice} mulberry32 */
export function seeded(seed) {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

/** What a character may become; the last are no characters at all. */
const SPLINTERS = ['', '%', '%00', '%ff', '%zz', '&', '=', '+', '.', '/', '//', '..', '"', '<b>', "'", ';', ',', ' ', '\t', 'Ã©', '\u0000', '\u0080', '\u00ff\u00fe', '\u00ed\u00a0\u0080', '-1', '9'.repeat(30), 'A'.repeat(3000), '{"a":', '[]', 'null'];

/** What would be markup, a header or an address where it is repeated as it came. */
const MARKERS = [
  '<x-marker-123>',
  '"><svg onload=alert(1)>',
  "'><img src=x onerror=alert(1)>",
  '</title><script>alert(1)</script>',
  '" autofocus onfocus="alert(1)',
  '{{7*7}}${7*7}',
  'javascript:alert(1)//',
  '//evil.test/',
  'https://evil.test/?',
  'x\r\nx-injected: 1',
  'x\r\nset-cookie: injected=1\r\n\r\n<x-marker-123>',
  'x\nlocation: https://evil.test/',
  '\u00e5\u0098\u008a\u00e5\u0098\u008dx-injected: 1',
];

const METHODS = ['GET', 'POST', 'HEAD', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'PROPFIND', 'TRACE'];
const TYPES = [FORM, 'application/json', 'application/merge-patch+json', 'multipart/form-data; boundary=x', 'text/plain', 'text/html', ''];

/** What stands in JSON where something else was. */
const VALUES = ['null', 'true', '0', '-0', '1e400', '1e-400', '9'.repeat(400), '18446744073709551616', '0.1', '""', '"\\u0000"', '"\\ud800"', '[]', '{}', '[[{}]]', '{"a":{"a":{"a":1}}}', '"\u00ff"', '["x","x"]', '{"__proto__":{"x":1}}'];

const NAMES = ['__proto__', 'constructor', 'client_id', 'client_secret', 'password', 'enabled', 'scope', 'version', 'sub', ''];

/** @template T @param {T[]} list @param {Dice} dice */
const pick = (list, dice) => list[dice(list.length)];

/** One bent request of good ones. @param {Sent[]} good @param {Dice} dice @returns {Sent} */
export function bend(good, dice) {
  let sent = pick(good, dice);
  for (let bends = 1 + dice(3); bends > 0; bends -= 1) sent = pick(BENDS, dice)(sent, dice);
  return sendable(dice(8) === 0 ? pick(MONSTERS, dice)(sent, dice) : sent);
}

/** Good requests with a marker in one place: each parameter, header and member, and the end of the path. @param {Sent[]} good @returns {Sent[]} */
export function mark(good) {
  const escaped = [MARKERS[0], MARKERS[1], MARKERS[10]].map((text) => [text, encodeURIComponent(text)]);
  return good.flatMap((sent) => escaped.flatMap(([text, bytes]) => markWith(sent, text, bytes))).map(sendable);
}

/** @param {Sent} sent @param {string} text @param {string} bytes the same, escaped @returns {Sent[]} */
function markWith(sent, text, bytes) {
  const pairs = (/** @type {string} */ form) => form.split('&').map((pair) => form.replace(pair, `${pair.split('=')[0]}=${bytes}`));
  const [path, query] = sent.target.split('?');
  const marked = [{ ...sent, target: `${path}${bytes}` }, { ...sent, target: `${path}?${bytes}=1` }];
  if (query) marked.push(...pairs(query).map((form) => ({ ...sent, target: `${path}?${form}` })));
  for (const name of Object.keys(sent.headers)) marked.push({ ...sent, headers: { ...sent.headers, [name]: text } });
  if (sent.headers['content-type'] === FORM) marked.push(...pairs(sent.body).map((body) => ({ ...sent, body })));
  else if (sent.body) marked.push(...Object.keys(JSON.parse(sent.body)).map((name) => ({ ...sent, body: JSON.stringify({ ...JSON.parse(sent.body), [name]: text }) })));
  return marked;
}

/** Replaces or inserts at one place. @param {string} text @param {Dice} dice @param {string} [splinter] */
function splinter(text, dice, splinter = pick(SPLINTERS, dice)) {
  const at = dice(text.length + 1);
  return text.slice(0, at) + splinter + text.slice(at + dice(3));
}

/** A marker, as a form has it: escaped, escaped twice, or as it is. @param {Dice} dice */
function marker(dice) {
  const text = pick(MARKERS, dice);
  const bytes = [...text].map((c) => `%${c.charCodeAt(0).toString(16).padStart(2, '0')}`).join('');
  return pick([bytes, bytes, bytes.replaceAll('%', '%25'), text.replace(/[&=\s]/g, escape)], dice);
}

/** One pair of a form or query has a marker, is there twice, is gone, or is another. @param {string} text @param {Dice} dice */
function bendPairs(text, dice) {
  const pairs = text.split('&');
  const at = dice(pairs.length);
  const [name, value = ''] = pairs[at].split('=');
  const bent = [
    `${name}=${marker(dice)}`,
    `${name}=${value}${marker(dice)}`,
    `${marker(dice)}=${value}`,
    `${name}=${value}&${name}=${value}`,
    `${name}=${splinter(value, dice)}`,
    `${name}[]=${value}`,
    `${name}=`,
    '',
    `${pick(NAMES, dice)}=${value}&${name}=${value}`,
  ];
  pairs[at] = pick(bent, dice);
  return pairs.join('&');
}

/** One member of a JSON object is another. @param {string} text @param {Dice} dice */
function bendMembers(text, dice) {
  let members;
  try {
    members = Object.entries(JSON.parse(text)).map(([name, value]) => [JSON.stringify(name), JSON.stringify(value)]);
  } catch {
    return splinter(text, dice);
  }
  const at = dice(members.length + 1);
  const [name, value] = members[at] ?? [JSON.stringify(pick(NAMES, dice)), '1'];
  const quoted = JSON.stringify(pick(MARKERS, dice));
  const bent = [[name, quoted], [name, `[${quoted}]`], [quoted, value], [name, pick(VALUES, dice)], [name, value, name, value], [name, `${value}${value}`]];
  const chosen = pick(bent, dice);
  members[at] = chosen.slice(0, 2);
  if (chosen.length > 2) members.push(chosen.slice(2));
  return `{${members.map(([key, what]) => `${key}:${what}`).join(',')}}`;
}

/** @type {((target: string, dice: Dice) => string)[]} another address, mostly one where nothing is */
const TARGET_BENDS = [
  (target, dice) => splinter(target, dice),
  (target, dice) => `${target.slice(0, target.lastIndexOf('/') + 1)}${marker(dice)}`,
  (target, dice) => `${target.split('?')[0]}${pick(['/', '/..', '/%2e%2e/', ';', '#'], dice)}${marker(dice)}`,
];

/** @type {((sent: Sent, dice: Dice) => Sent)[]} a request with one thing bent */
const BENDS = [
  (sent, dice) => ({ ...sent, method: pick(METHODS, dice) }),
  (sent, dice) => ({ ...sent, headers: { ...sent.headers, 'content-type': pick(TYPES, dice) } }),
  (sent, dice) => ({ ...sent, target: pick(TARGET_BENDS, dice)(sent.target, dice) }),
  (sent, dice) => {
    const [path, query] = sent.target.split('?');
    return { ...sent, target: `${path}?${query === undefined ? `x=${marker(dice)}` : bendPairs(query, dice)}` };
  },
  bendHeader,
  bendHeader,
  (sent, dice) => ({ ...sent, body: sent.body.slice(0, dice(sent.body.length + 1)) }),
  (sent) => ({ ...sent, body: `${sent.body}&${sent.body}` }),
  bendBody,
  bendBody,
  bendBody,
  (sent) => ({ ...sent, chunked: true }),
];

/** @param {Sent} sent @param {Dice} dice @returns {Sent} */
function bendHeader(sent, dice) {
  const further = ['authorization', 'cookie', 'if-match', 'origin', 'sec-fetch-site', 'x-forwarded-host', 'x-forwarded-proto', 'accept', 'host'];
  const name = pick([...Object.keys(sent.headers), pick(further, dice)], dice);
  const value = sent.headers[name] ?? '';
  const bent = [splinter(value, dice), pick(MARKERS, dice), value + pick(MARKERS, dice), `${value}, ${value}`, value.toUpperCase(), ''];
  // The runtime itself refuses a host that is none.
  const host = pick(['evil.test', 'localhost', '127.0.0.1:1', '[::1]', 'localhost.evil.test:8787'], dice);
  return { ...sent, headers: { ...sent.headers, [name]: name === 'host' ? host : pick(bent, dice) } };
}

/** @param {Sent} sent @param {Dice} dice @returns {Sent} */
function bendBody(sent, dice) {
  if (sent.body === '') return bendHeader(sent, dice);
  const bent = [splinter, sent.body.startsWith('{') ? bendMembers : bendPairs];
  return { ...sent, body: pick([bent[0], bent[1], bent[1]], dice)(sent.body, dice) };
}

/** @param {Sent} sent @param {string} body @returns {Sent} in its place, where it has a body; else as a form */
const withBody = (sent, body) => ({ ...sent, method: sent.method === 'GET' ? 'POST' : sent.method, body });

/** @type {((sent: Sent, dice: Dice) => Sent)[]} what nobody would send */
const MONSTERS = [
  (sent, dice) => withBody(sent, pick(['[', '{"a":', '[{"a":'], dice).repeat(64 * 1024).slice(0, 64 * 1024)),
  (sent, dice) => withBody(sent, `{"a":${'['.repeat(10 + dice(120))}`),
  (sent, dice) => ({ ...withBody(sent, 'x'.repeat(64 * 1024 - 1 + dice(3))), chunked: dice(2) === 0 }),
  (sent, dice) => ({ ...withBody(sent, `${sent.body}&x=${'x'.repeat(100_000)}`), chunked: dice(2) === 0 }),
  (sent, dice) => withBody(sent, Array.from({ length: 1000 + dice(4000) }, (_, n) => `p${n}=${n}`).join('&').slice(0, 64 * 1024)),
  (sent, dice) => withBody(sent, 'a&'.repeat(1000 + dice(30_000))),
  (sent) => withBody(sent, `{${Array.from({ length: 5000 }, (_, n) => `"k${n}":${n}`).join(',').slice(0, 60_000)}`),
  (sent) => withBody(sent, `{"username":"\u00ff\u00fe","claims":{"a":"\u00c3\u0028"}}`),
  (sent, dice) => withBody(sent, String.fromCharCode(...Array.from({ length: 2000 }, () => dice(256)))),
  (sent, dice) => ({ ...sent, target: `${sent.target.split('?')[0]}?${Array.from({ length: 500 }, (_, n) => `p${n}=`).join('&')}&${marker(dice)}` }),
  (sent, dice) => ({ ...sent, headers: { ...sent.headers, [pick(['authorization', 'cookie', 'if-match', 'x-big'], dice)]: `Basic ${'A'.repeat(pick([8, 12, 14], dice) * 1024)}` } }),
  (sent, dice) => ({ ...sent, headers: { ...sent.headers, cookie: 'a=b; '.repeat(200 + dice(2000)) } }),
  (sent) => ({ ...sent, headers: { ...sent.headers, Authorization: 'Basic eDp5', AUTHORIZATION: 'Bearer x' } }),
];

/** Without what HTTP itself forbids: that would never reach the Worker. @param {Sent} sent @returns {Sent} */
function sendable(sent) {
  const headers = Object.entries(sent.headers).map(([name, value]) => [name, value.replace(/[^\t\x20-\x7e\x80-\xff]/g, '')]);
  const target = `/${sent.target.replace(/[^\x21-\x7e\x80-\xff]/g, '').replace(/^\/+/, '')}`;
  return { ...sent, target, headers: Object.fromEntries(headers) };
}
