// The administration API, as the commands call it.

import { EXIT, Failure } from './failure.mjs';

/** How long an answer is waited for, in milliseconds. */
const PATIENCE = 60_000;

/**
 * @typedef {{ issuer: string, token: string }} Server
 * @typedef {{ status: number, body: any, etag: string | null }} Answer
 */

/**
 * @param {Server} server
 * @param {string} method
 * @param {string} path with its query
 * @param {unknown} [body] JSON
 * @param {Record<string, string>} [headers]
 * @returns {Promise<Answer>} of a success
 */
export async function call(server, method, path, body, headers = {}) {
  const url = `${server.issuer}/admin${path}`;
  /** @type {Response} */
  let response;
  try {
    response = await fetch(url, {
      method,
      headers: {
        authorization: `Bearer ${server.token}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      body: body === undefined ? undefined : JSON.stringify(body),
      redirect: 'manual',
      signal: AbortSignal.timeout(PATIENCE),
    });
  } catch (error) {
    throw new Failure(EXIT.away, `${server.issuer} does not answer (${reason(error)}): is EDGEMINT_ISSUER right, and is it running?`);
  }
  const text = await response.text();
  const parsed = parse(text);
  if (response.ok && (text === '' || parsed !== undefined)) return { status: response.status, body: parsed, etag: response.headers.get('etag') };
  throw new Failure(codeOf(response.status), sentence(url, response.status, parsed));
}

/** Every item of a collection. @param {Server} server @param {string} path @param {Record<string, string | undefined>} [filter] */
export async function* walk(server, path, filter = {}) {
  /** @type {string | undefined} */
  let after;
  do {
    const { body, status } = await call(server, 'GET', `${path}${query({ limit: '200', ...filter, after })}`);
    if (!Array.isArray(body?.items)) throw new Failure(EXIT.away, sentence(`${server.issuer}/admin${path}`, status, undefined));
    yield* body.items;
    after = body.next ?? undefined;
  } while (after !== undefined);
}

/** @param {Record<string, string | undefined>} params */
export function query(params) {
  const given = Object.entries(params).filter((/** @type {[string, string | undefined]} */ pair) => pair[1] !== undefined);
  return given.length === 0 ? '' : `?${new URLSearchParams(/** @type {[string, string][]} */ (given))}`;
}

/** A segment of a path. @param {string} text */
export const segment = (text) => encodeURIComponent(text);

/** @param {number} status */
function codeOf(status) {
  if (status === 404) return EXIT.unknown;
  if (status === 409 || status === 412) return EXIT.conflict;
  return status >= 500 || status === 429 || status < 300 ? EXIT.away : EXIT.refused;
}

/** @param {string} url @param {number} status @param {any} problem */
function sentence(url, status, problem) {
  if (problem?.detail === undefined) return `${url} answers ${status}, and not as Edgemint does: is EDGEMINT_ISSUER right?`;
  const field = problem.field ? `${problem.field}: ` : '';
  const trace = problem.trace_id ? ` (trace ${problem.trace_id})` : '';
  const hint = status === 401 ? ' Set ADMIN_TOKEN, or run this where .dev.vars is.' : '';
  return `${status} ${field}${problem.detail}.${hint}${trace}`;
}

/** @param {string} text */
function parse(text) {
  try {
    return text === '' ? undefined : JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Why `fetch` failed, in a word. @param {unknown} error */
export function reason(error) {
  const { cause, name, message } = /** @type {any} */ (error);
  return name === 'TimeoutError' ? 'no answer in time' : (cause?.code ?? cause?.message ?? message);
}
