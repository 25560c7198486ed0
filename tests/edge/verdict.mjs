// What is wrong with an answer, whatever was asked.

import { isOf, readRoutes } from './good.mjs';
import { ADMIN_TOKEN } from './worker.mjs';

/** @typedef {import('./good.mjs').Sent} Sent */
/** @typedef {import('./socket.mjs').Answer} Answer */

const ROUTES = readRoutes();
const PUBLIC = ['/style.css', '/jwks', '/.well-known/oauth-authorization-server', '/.well-known/openid-configuration', '/admin/openapi.json'];
/** What resources say of themselves, and where. */
const isOfResource = (/** @type {string} */ path) => /^\/\.well-known\/oauth-protected-resource(\/|$)/.test(path);
/** Addresses that may answer with a page. */
const PAGES = ['/', '/style.css', '/authorize', '/invoke/pub.oauth/authorize', '/login', '/choose', '/consent', '/account', '/logout', '/dev/callback', '/external/callback'];

/** The only script: it posts an answer to the client, and the policy of the page names its digest. */
const SUBMIT = '<script>document.forms[0].submit()</script>';

/** Every header that this server or its runtime sends. Any other was brought in from outside. */
const HEADERS = new Set([
  'access-control-allow-headers', 'access-control-allow-methods', 'access-control-allow-origin', 'access-control-expose-headers',
  'access-control-max-age', 'allow', 'cache-control', 'connection', 'content-encoding', 'content-length', 'content-security-policy',
  'content-type', 'date', 'edgemint-follows', 'etag', 'link', 'location', 'pragma', 'referrer-policy', 'retry-after', 'set-cookie', 'transfer-encoding',
  'vary', 'www-authenticate', 'x-content-type-options', 'x-frame-options', 'x-oauth-error',
  'x-auth-client', 'x-auth-groups', 'x-auth-scope', 'x-auth-subject', 'x-auth-username',
]);

/** The elements and attributes of the templates in `src/pages`. */
const ELEMENTS = new Set('!doctype html head meta title link body main h1 h2 p img code strong form fieldset legend label input span div button table tr th td ol ul li a pre header nav section select option textarea dl dt dd thead tbody'.split(' '));
const ATTRIBUTES = new Set('html lang charset name content rel href class role id method action autocomplete type value for autocapitalize spellcheck required aria-invalid aria-describedby autofocus checked scope aria-current aria-label aria-labelledby tabindex rows selected min step src alt'.split(' '));

/**
 * Every complaint about one answer.
 * @param {Sent} sent
 * @param {Answer} answer
 * @param {string} issuer
 * @returns {string[]}
 */
export function judge(sent, answer, issuer) {
  const { status, headers } = answer;
  // As the runtime read it: with dots resolved, and without a fragment.
  const path = canonical(new URL(`${issuer}${sent.target}`).pathname);
  if (status === 0) return ['there was no answer'];
  if (isOfRuntime(answer)) return [];
  if (status >= 500) return isDocumented(answer) ? [] : [`an error of the server: ${status}`];
  const body = headers.get('transfer-encoding') === 'chunked' ? unchunk(answer.body) : answer.body;
  const kind = headers.get('content-type') ?? '';
  return [
    ...judgeHeaders(path, answer),
    ...(path.startsWith('/admin/') && !PUBLIC.includes(path) && status < 400 && !isAdministrators(sent) ? ['done for somebody who is no administrator'] : []),
    ...judgeLocation(headers.get('location'), issuer),
    ...(sent.method === 'HEAD' ? [] : judgeBody(path, status, kind, body)),
  ];
}

/** The two 503 that a change at the same moment may cause (docs/operating.md). @param {Answer} answer */
export function isDocumented({ status, headers, body }) {
  return status === 503 && headers.get('retry-after') === '1' && /changed while|shards hold it/.test(body);
}

/** The runtime refuses what is no URL before the Worker hears of it. @param {Answer} answer */
export function isOfRuntime({ status, headers, body }) {
  return status === 400 && headers.get('content-type') === 'text/plain' && (body === '' || body === 'invalid URI');
}

/** @param {Sent} sent */
function isAdministrators({ headers }) {
  const sent = Object.entries(headers).filter(([name]) => name.toLowerCase() === 'authorization');
  return sent.length === 1 && /^bearer$/i.test(sent[0][1].slice(0, 6)) && sent[0][1].slice(7).trim() === ADMIN_TOKEN;
}

/** With a slash where webMethods' addresses may have a colon. @param {string} path */
function canonical(path) {
  return path.replace(/^\/invoke\/pub\.oauth(?::|%3[Aa])/, '/invoke/pub.oauth/');
}

/** Whether every escape in a path is one: else it is no address. @param {string} path */
function isWritten(path) {
  try {
    return decodeURIComponent(path) !== '';
  } catch {
    return false;
  }
}

/** @param {string} path @param {Answer} answer @returns {string[]} */
function judgeHeaders(path, { status, head, headers }) {
  // Of two that fit the first is meant.
  const first = isWritten(path) ? ROUTES.find((route) => isOf(route.path, path)) : undefined;
  const open = isOfResource(path) || ROUTES.some((route) => route.open && route.path === first?.path);
  const check = /^\/check(\/|$)/.test(path);
  const cached = headers.get('cache-control') ?? '';
  const mayBeKept = (status === 200 && (PUBLIC.includes(path) || isOfResource(path))) || status === 204;
  const names = head.split('\r\n').slice(1).map((line) => line.split(':')[0].toLowerCase());
  const foreign = names.filter((name) => !HEADERS.has(name));
  const twice = names.filter((name, at) => name !== 'set-cookie' && names.indexOf(name) !== at);
  const cookies = head.split('\r\n').filter((line) => /^set-cookie:/i.test(line));
  const cookie = /^set-cookie: edgemint-(browser|session)=[\w.-]*; Path=\/; HttpOnly; SameSite=Lax; Max-Age=\d+$/i;
  /** @type {[boolean, string][]} */
  const rules = [
    [foreign.length === 0, `headers that nobody sends: ${foreign}`],
    [twice.length === 0, `headers that stand twice: ${twice}`],
    [mayBeKept || /^no-store(, no-transform)?$/.test(cached), `a cache may keep it: ${cached}`],
    [headers.get('x-content-type-options') === 'nosniff', 'without nosniff'],
    // What a proxy passes on is not of this host.
    [['content-security-policy', 'x-frame-options', 'referrer-policy'].every((name) => headers.has(name) === !check), 'without the headers of pages, or with them where none belong'],
    [headers.get('access-control-allow-origin') === (open ? '*' : undefined), `access-control-allow-origin: ${headers.get('access-control-allow-origin')}`],
    [(status === 405) === headers.has('allow'), `${status} and Allow`],
    // RFC 6750 §3.1: of a resource, and where no token of that scope would do, either.
    [(status === 401 || (status === 403 && check)) === headers.has('www-authenticate'), `${status} and WWW-Authenticate`],
    [cookies.every((line) => cookie.test(line)), `a cookie of another form: ${cookies}`],
  ];
  return rules.filter(([holds]) => !holds).map(([, complaint]) => complaint);
}

/** To the issuer, or to a registered redirect URI. @param {string | undefined} location @param {string} issuer @returns {string[]} */
function judgeLocation(location, issuer) {
  if (location === undefined) return [];
  const stems = [`${issuer}/`, 'http://127.0.0.1:9999/', 'http://localhost:9999/'];
  const registered = stems.some((stem) => location.startsWith(stem)) || /^http:\/\/127\.0\.0\.1(:\d+)?\/(callback|spa)\?/.test(location);
  // What a URL cannot hold was not escaped.
  return registered && /^[^\s"<>\\]+$/.test(location) ? [] : [`it leads to ${location}`];
}

/** @param {string} text */
function isJson(text) {
  try {
    return typeof JSON.parse(text) === 'object';
  } catch {
    return false;
  }
}

/** @param {string} path @param {number} status @param {string} kind @param {string} body @returns {string[]} */
function judgeBody(path, status, kind, body) {
  if (body === '') return status >= 400 ? ['an error without a word'] : [];
  if (kind === 'text/html; charset=utf-8') return PAGES.includes(path) || /^\/console(\/|$)/.test(path) ? judgeMarkup(body.replace(SUBMIT, '')) : ['a page where none belongs'];
  if (kind === 'text/css; charset=utf-8') return path === '/style.css' ? [] : ['a style where none belongs'];
  if (kind === 'application/jsonl') {
    const lines = body.split('\n').slice(0, -1);
    return path === '/admin/audit' && body.endsWith('\n') && lines.every(isJson) ? [] : ['lines where none belong, or of another kind'];
  }
  if (kind === 'application/jwt' || kind === 'application/token-introspection+jwt') {
    return ['/userinfo', '/introspect'].includes(path) && /^[\w-]+\.[\w-]+\.[\w-]+$/.test(body) ? [] : ['a token where none belongs'];
  }
  if (kind !== 'application/json' && kind !== 'application/problem+json') return [`a body of the type ${kind}`];
  try {
    const { error } = JSON.parse(body);
    return (typeof error === 'string') === (status >= 400) ? [] : [`${status} with the error ${error}`];
  } catch {
    return ['no JSON'];
  }
}

/** What no template has in it. @param {string} page @returns {string[]} */
function judgeMarkup(page) {
  const complaints = [];
  // A tag as browsers read it: a name, and attributes with or without quotes.
  for (const [, name, rest] of page.matchAll(/<\/?([^\s/>]*)((?:"[^"]*"|'[^']*'|[^>"'])*)/g)) {
    if (!ELEMENTS.has(name.toLowerCase())) complaints.push(`the element ${name}`);
    for (const [, attribute, value = ''] of rest.matchAll(/([^\s"'>/=]+)(?:\s*=\s*("[^"]*"|'[^']*'|[^\s"'>]+))?/g)) {
      if (!ATTRIBUTES.has(attribute)) complaints.push(`the attribute ${attribute}`);
      if (/^.?\s*javascript:/i.test(value) && attribute !== 'value') complaints.push(`the address ${value}`);
    }
  }
  return complaints;
}

/** The body without the framing of chunks (RFC 9112 §7.1). @param {string} text */
function unchunk(text) {
  let [body, rest] = ['', text];
  for (let size = /^([0-9a-f]+)[^\r]*\r\n/i.exec(rest); size && size[1] !== '0'; size = /^\r\n([0-9a-f]+)[^\r]*\r\n/i.exec(rest)) {
    const length = Number.parseInt(size[1], 16);
    if (length === 0) break;
    body += rest.slice(size[0].length, size[0].length + length);
    rest = rest.slice(size[0].length + length);
  }
  return body;
}
