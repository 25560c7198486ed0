// `npm run ctl -- …`: administration from the shell.

import { writeFileSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import { Command, CommanderError, Option } from 'commander';
import { call, query, segment, walk } from './api.mjs';
import { EXIT, Failure } from './failure.mjs';
import { performClientCredentials, performCode, performRefresh } from './perform.mjs';
import { readServer } from './server.mjs';
import { assignment, members, printable, table } from './show.mjs';
import { exportAll, importAll } from './transfer.mjs';

/**
 * @typedef {import('./api.mjs').Server} Server
 * @typedef {{ json: boolean, print: (text: string) => void, server: () => Server, root: string }} Shell
 * @typedef {import('commander').Command} Program
 */

/** What a list shows of an item, by collection. */
const COLUMNS = {
  clients: ['client_id', 'client_name', 'profile', 'grant_types', 'scope', 'enabled'],
  users: ['username', 'sub', 'groups', 'roles', 'enabled'],
  scopes: ['name', 'description', 'clients'],
  grants: ['id', 'client_id', 'username', 'scope', 'expires_at', 'refresh_remaining', 'state'],
  'external-servers': ['name', 'issuer', 'introspection_endpoint', 'audience', 'default_scope', 'username'],
  connections: ['name', 'issuer', 'client_id', 'scope', 'status', 'broken_since', 'broken_reason'],
  keys: ['kid', 'algorithm', 'state', 'created_at', 'signs_at', 'retired_at', 'gone_at'],
  'registration-tokens': ['id', 'description', 'created_at', 'expires_at', 'uses'],
  health: ['id', 'size', 'owed', 'owed_since', 'wake_at', 'events', 'current', 'behind_seconds', 'error'],
  audit: ['time', 'by', 'action', 'target', 'before', 'after'],
};

/** @param {Shell} shell @param {any} item */
function showItem(shell, item) {
  shell.print(shell.json ? JSON.stringify(item, null, 2) : members(item));
}

/** @param {Shell} shell @param {keyof COLUMNS} collection @param {Record<string, string | undefined>} filter */
async function showList(shell, collection, filter) {
  const items = [];
  for await (const item of walk(shell.server(), `/${collection}`, filter)) items.push(item);
  shell.print(shell.json ? JSON.stringify(items, null, 2) : table(items, COLUMNS[collection]));
}

/** Changes one, only as it is now. @param {Shell} shell @param {string} path @param {Record<string, unknown>} patch */
async function change(shell, path, patch) {
  const { etag } = await call(shell.server(), 'GET', path);
  const { body } = await call(shell.server(), 'PATCH', path, patch, etag ? { 'if-match': etag } : {});
  showItem(shell, body);
}

/** @param {string[]} pairs */
function assigned(pairs) {
  try {
    return Object.fromEntries(pairs.map(assignment));
  } catch (error) {
    throw new Failure(EXIT.usage, `${/** @type {Error} */ (error).message}.`);
  }
}

/** A number, where it is one; anything else as it was typed, for the server to refuse. @param {string | undefined} text */
const number = (text) => (text !== undefined && /^\d+$/.test(text) ? Number(text) : text);

const ASSIGNMENTS = 'name=value pairs; a value is JSON where it reads as such, else a text; null is the default';

/** What every collection of items has. @param {Program} program @param {Shell} shell @param {'clients' | 'users' | 'scopes'} collection @param {string} noun @param {string} key */
function addItems(program, shell, collection, noun, key) {
  const command = program.command(noun).description(`${collection}: list, show, set, delete …`);
  command.command('list').description('all of them').option('--q <text>', 'those that contain this')
    .action((/** @type {{ q?: string }} */ { q }) => showList(shell, collection, { q }));
  command.command('show').argument(`<${key}>`).description('one of them')
    .action(async (/** @type {string} */ id) => showItem(shell, (await call(shell.server(), 'GET', `/${collection}/${segment(id)}`)).body));
  command.command('set').argument(`<${key}>`).argument('<pairs...>', ASSIGNMENTS).description('change members of one')
    .action((/** @type {string} */ id, /** @type {string[]} */ pairs) => change(shell, `/${collection}/${segment(id)}`, assigned(pairs)));
  command.command('delete').argument(`<${key}>`).description('end one, and everything that was issued by it')
    .action(async (/** @type {string} */ id) => {
      await call(shell.server(), 'DELETE', `/${collection}/${segment(id)}`);
      shell.print(shell.json ? '{}' : `${id} is deleted.`);
    });
  return command;
}

/** @param {Program} program @param {Shell} shell */
function addClients(program, shell) {
  const command = addItems(program, shell, 'clients', 'client', 'client_id');
  command.command('create').description('register one; its secret is shown once')
    .option('--id <client_id>', 'drawn where none is chosen')
    .option('--name <text>', 'what people are shown')
    .option('--redirect-uri <uri...>', 'where answers may go')
    .option('--grant <type...>', 'authorization_code, refresh_token, client_credentials')
    .option('--scope <names>', 'what it may ask for, separated by spaces')
    .option('--public', 'without a secret')
    .argument('[pairs...]', ASSIGNMENTS)
    .action(async (/** @type {string[]} */ pairs, /** @type {any} */ given) => {
      const body = {
        client_id: given.id,
        client_name: given.name,
        redirect_uris: given.redirectUri,
        grant_types: given.grant,
        scope: given.scope,
        token_endpoint_auth_method: given.public ? 'none' : undefined,
        ...assigned(pairs),
      };
      showItem(shell, (await call(shell.server(), 'POST', '/clients', body)).body);
    });
  command.command('rotate-secret').argument('<client_id>').description('a new secret, shown once')
    .option('--overlap <seconds>', 'how long the old one is taken beside it', '0')
    .action(async (/** @type {string} */ id, /** @type {{ overlap: string }} */ { overlap }) => {
      const body = { overlap_seconds: number(overlap) };
      showItem(shell, (await call(shell.server(), 'POST', `/clients/${segment(id)}/secret`, body)).body);
    });
}

/** @param {Program} program @param {Shell} shell */
function addUsers(program, shell) {
  const command = addItems(program, shell, 'users', 'user', 'username');
  command.command('create').argument('<username>').argument('[pairs...]', ASSIGNMENTS)
    .description('add one; the password is read from standard input')
    .action(async (/** @type {string} */ username, /** @type {string[]} */ pairs) => {
      const body = { username, password: await readPassword(), ...assigned(pairs) };
      showItem(shell, (await call(shell.server(), 'POST', '/users', body)).body);
    });
  command.command('set-password').argument('<username>')
    .description('a new password, from standard input; ends every session and grant')
    .action(async (/** @type {string} */ username) => change(shell, `/users/${segment(username)}`, { password: await readPassword() }));
}

/** Not an argument: those can be seen by everybody on the machine. */
async function readPassword() {
  if (process.stdin.isTTY) process.stderr.write('Password, then Enter and Ctrl-D: ');
  const password = (await text(process.stdin)).replace(/\r?\n$/, '');
  if (password === '') throw new Failure(EXIT.usage, 'There is no password on standard input.');
  return password;
}

/** @param {Program} program @param {Shell} shell */
function addScopes(program, shell) {
  const command = addItems(program, shell, 'scopes', 'scope', 'name');
  command.command('create').argument('<name>').argument('[description]').argument('[pairs...]', ASSIGNMENTS)
    .description('add one to the catalogue')
    .action(async (/** @type {string} */ name, /** @type {string} */ first = '', /** @type {string[]} */ rest = []) => {
      // Where there is no description, what stands in its place is the first pair.
      const isPair = /^[a-z_]+=/.test(first);
      const [description, pairs] = isPair ? ['', [first, ...rest]] : [first, rest];
      showItem(shell, (await call(shell.server(), 'POST', '/scopes', { name, description, ...assigned(pairs) })).body);
    });
}

/** @param {Program} program @param {Shell} shell */
function addRegistrationTokens(program, shell) {
  const command = program.command('registration-token').description('who may register a client where not everybody may');
  command.command('create').description('make one; it is shown once')
    .option('--uses <number>', 'how many clients may register with it', '1')
    .option('--expires-in <seconds>', 'how long it is good; where nothing is said a week')
    .option('--description <text>', 'for administrators')
    .action(async (/** @type {any} */ { uses, expiresIn, description }) => {
      const body = { uses: number(uses), expires_in: number(expiresIn), description };
      showItem(shell, (await call(shell.server(), 'POST', '/registration-tokens', body)).body);
    });
  command.command('list').description('those that are good').action(() => showList(shell, 'registration-tokens', {}));
  command.command('delete').argument('<id>').description('end one; the clients that registered with it stay')
    .action(async (/** @type {string} */ id) => {
      await call(shell.server(), 'DELETE', `/registration-tokens/${segment(id)}`);
      shell.print(shell.json ? '{}' : `${id} is ended.`);
    });
}

/** @param {Program} program @param {Shell} shell */
function addKeys(program, shell) {
  const command = program.command('keys').description('the keys that sign');
  command.command('list').description('all of them, the oldest first').action(() => showList(shell, 'keys', {}));
  command.command('rotate').argument('[algorithm]', 'ES256, RS256, PS256 or EdDSA; where nothing is said ES256')
    .description('a new one, which signs once it has been published for keys.publishSeconds')
    .action(async (/** @type {string | undefined} */ algorithm) => {
      showItem(shell, (await call(shell.server(), 'POST', '/keys', { algorithm })).body);
    });
  command.command('remove').argument('<kid>').description('somebody else has it: what it signed is refused')
    .action(async (/** @type {string} */ kid) => {
      await call(shell.server(), 'DELETE', `/keys/${segment(kid)}`);
      shell.print(shell.json ? '{}' : `${kid} is removed.`);
    });
}

/**
 * What connections and external servers have in common.
 * @param {Program} program
 * @param {Shell} shell
 * @param {'connection' | 'external-server'} kind
 * @param {string} about
 */
function addRemotes(program, shell, kind, about) {
  const command = program.command(kind).description(about);
  const collection = /** @type {const} */ (`${kind}s`);
  const at = (/** @type {string} */ name) => `/${collection}/${segment(name)}`;
  const read = async (/** @type {string[]} */ pairs, /** @type {{ secret?: boolean }} */ { secret }) => {
    // An id may look like a number.
    const said = Object.entries(assigned(pairs)).map(([name, value]) => [name, typeof value === 'number' ? String(value) : value]);
    const members = Object.fromEntries(said);
    return secret ? { ...members, client_secret: (await text(process.stdin)).trim() } : members;
  };
  command.command('create').argument('<name>').argument('[member=value...]').description('add one')
    .option('--secret', 'its client_secret is what the standard input says')
    .action(async (/** @type {string} */ name, /** @type {string[]} */ pairs, /** @type {any} */ options) => {
      showItem(shell, (await call(shell.server(), 'POST', `/${collection}`, { name, ...(await read(pairs, options)) })).body);
    });
  command.command('list').description('all of them').action(() => showList(shell, collection, {}));
  command.command('show').argument('<name>').description('one of them')
    .action(async (/** @type {string} */ name) => showItem(shell, (await call(shell.server(), 'GET', at(name))).body));
  command.command('set').argument('<name>').argument('[member=value...]').description('change one')
    .option('--secret', 'its client_secret is what the standard input says')
    .action(async (/** @type {string} */ name, /** @type {string[]} */ pairs, /** @type {any} */ options) => {
      await change(shell, at(name), await read(pairs, options));
    });
  command.command('delete').argument('<name>').description('end one')
    .action(async (/** @type {string} */ name) => {
      await call(shell.server(), 'DELETE', at(name));
      shell.print(shell.json ? '{}' : `${name} is ended.`);
    });
  return { command, at };
}

/** @param {Program} program @param {Shell} shell */
function addOthers(program, shell) {
  addRemotes(program, shell, 'external-server', 'other servers whose access tokens are good here, too');
  const { command, at } = addRemotes(program, shell, 'connection', 'other servers at which this one is a client');
  command.command('authorize').argument('<name>').description('the address that somebody opens in a browser to let this server in there')
    .action(async (/** @type {string} */ name) => {
      const { body } = await call(shell.server(), 'POST', `${at(name)}/authorize`);
      shell.print(shell.json ? JSON.stringify(body, null, 2) : body.authorization_url);
    });
  command.command('token').argument('<name>').description('a fresh access token of that server')
    .action(async (/** @type {string} */ name) => {
      const { body } = await call(shell.server(), 'GET', `${at(name)}/token`);
      shell.print(shell.json ? JSON.stringify(body, null, 2) : body.access_token);
    });
}

/** How everything is; a script learns it from the exit code. @param {Program} program @param {Shell} shell */
function addHealth(program, shell) {
  program.command('health').description('the replica, the registry and every shard; the exit code is not 0 where one does not answer')
    .action(async () => {
      const items = [];
      for await (const item of walk(shell.server(), '/health')) items.push(item);
      shell.print(shell.json ? JSON.stringify(items, null, 2) : table(items, COLUMNS.health));
      const silent = items.filter((item) => item.error !== undefined).map((item) => item.id);
      if (silent.length > 0) throw new Failure(EXIT.away, `These did not answer: ${silent.join(', ')}.`);
    });
}

/** @param {Program} program @param {Shell} shell */
function addGrants(program, shell) {
  const command = program.command('grant').description('what people have allowed');
  const filtered = (/** @type {Program} */ one) => one
    .option('--client <client_id>', 'of this client')
    .option('--user <username>', 'of this person')
    .option('--scope <name>', 'with this scope');
  filtered(command.command('list').description('those that stand'))
    .action((/** @type {any} */ { client, user, scope }) => showList(shell, 'grants', { client_id: client, username: user, scope }));
  filtered(command.command('revoke').argument('[id]').description('end one, or all of a client, a person or a scope'))
    .action(async (/** @type {string | undefined} */ id, /** @type {any} */ { client, user, scope }) => {
      const filters = { client_id: client, username: user, scope };
      const named = Object.values({ id, ...filters }).filter((value) => value !== undefined);
      if (named.length !== 1) throw new Failure(EXIT.usage, 'Say which in one way: an id, --client, --user or --scope.');
      await revoke(shell, id, filters);
      shell.print(shell.json ? '{}' : `${named[0]}: ended.`);
    });
}

/** @param {Shell} shell @param {string | undefined} id @param {Record<string, string | undefined>} filters */
async function revoke(shell, id, filters) {
  if (id !== undefined) return void (await call(shell.server(), 'DELETE', `/grants/${segment(id)}`));
  /** @type {string | undefined} */
  let after;
  do {
    const { body } = await call(shell.server(), 'DELETE', `/grants${query({ ...filters, after })}`);
    after = body?.next;
  } while (after !== undefined);
}

/** @param {Program} program @param {Shell} shell */
function addSettings(program, shell) {
  const command = program.command('settings').description('the settings');
  command.command('get').argument('[key]').description('all of them, or one')
    .action(async (/** @type {string | undefined} */ key) => {
      const { body } = await call(shell.server(), 'GET', '/settings');
      if (key === undefined) return showItem(shell, body);
      if (!(key in body)) throw new Failure(EXIT.unknown, `There is no setting ${key}.`);
      shell.print(JSON.stringify(body[key]));
    });
  command.command('set').argument('<pairs...>', ASSIGNMENTS).description('change some')
    .action((/** @type {string[]} */ pairs) => change(shell, '/settings', assigned(pairs)));
  program.command('audit').description('who changed what, the newest first').option('--q <text>', 'changes that contain this')
    .action((/** @type {{ q?: string }} */ { q }) => showList(shell, 'audit', { q }));
}

/** A file that nobody else on the machine may read. @param {string} path @param {string} content */
function writeNew(path, content) {
  try {
    writeFileSync(path, content, { mode: 0o600, flag: 'wx' });
  } catch (error) {
    throw new Failure(EXIT.usage, `${path} can't be written, or is there already (${/** @type {any} */ (error).code}).`);
  }
}

/** @param {Program} program @param {Shell} shell */
function addTransfer(program, shell) {
  program.command('export').argument('[file]', 'a new one, for your eyes only; else standard output')
    .description('everything but grants and sessions, as one JSON document; secrets are in it as hashes')
    .action(async (/** @type {string | undefined} */ file) => {
      const text = await exportAll(shell.server());
      if (file === undefined) return void process.stdout.write(text);
      writeNew(file, text);
      shell.print(shell.json ? '{}' : `${file} is written.`);
    });
  program.command('import').argument('<file>').description('take an export over, into a server that has none of it')
    .option('--resume', 'leave what is there already as it is: to go on where an import stopped')
    .action((/** @type {string} */ file, /** @type {{ resume?: boolean }} */ { resume = false }) =>
      importAll(shell.server(), file, resume, shell.json ? () => {} : shell.print));
}

/** @param {Program} program @param {Shell} shell */
function addFlows(program, shell) {
  const issuer = () => process.env.EDGEMINT_ISSUER ?? 'http://localhost:8787';
  const command = program.command('perform').description('run a real flow against any issuer, a step a line');
  const flow = (/** @type {string} */ name, /** @type {string} */ description) => command.command(name).description(description)
    .requiredOption('--client <client_id>', 'who asks; its secret is read from the variable CLIENT_SECRET')
    .option('--scope <names>', 'what for, separated by spaces');
  flow('code', 'authorization code with PKCE: prints an address to open, and waits for the answer')
    .addOption(new Option('--redirect-uri <uri>', 'a registered one, on loopback').default('http://127.0.0.1:9999/callback'))
    .option('--wait <seconds>', 'how long', '300')
    .action((/** @type {any} */ given) => performCode(shell, { issuer: issuer(), secret: process.env.CLIENT_SECRET, ...given }));
  flow('client-credentials', 'a token for the client itself')
    .action((/** @type {any} */ given) => performClientCredentials(shell, { issuer: issuer(), secret: process.env.CLIENT_SECRET, ...given }));
  flow('refresh', 'new tokens for a refresh token, which is read from the variable REFRESH_TOKEN')
    .action((/** @type {any} */ given) => performRefresh(shell, { issuer: issuer(), secret: process.env.CLIENT_SECRET, token: process.env.REFRESH_TOKEN, ...given }));
}

/**
 * @param {string} root of the project
 * @param {string[]} args
 * @returns {Promise<number>} the exit code
 */
export async function main(root, args) {
  const program = new Command('npm run ctl --');
  /** @type {Shell} */
  const shell = { json: false, print: console.log, server: readServer(root, process.env), root };
  program
    .description('Administration from the shell. EDGEMINT_ISSUER says where (http://localhost:8787), ADMIN_TOKEN who (else .dev.vars).')
    .option('--json', 'JSON, for scripts')
    .hook('preAction', () => { shell.json = program.opts().json === true; })
    .exitOverride()
    .showHelpAfterError('(--help says what there is)')
    .addHelpText('after', `\nExit codes: 0 done, ${Object.entries(EXIT).map(([name, code]) => `${code} ${name}`).join(', ')}.`);
  for (const add of [addClients, addUsers, addScopes, addGrants, addRegistrationTokens, addOthers, addKeys, addSettings, addHealth, addTransfer, addFlows]) add(program, shell);
  try {
    await program.parseAsync(args, { from: 'user' });
    return 0;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : EXIT.usage;
    if (!(error instanceof Failure)) throw error;
    // Servers, and whoever comes to a redirect URI, have a say in it.
    console.error(shell.json ? JSON.stringify({ error: error.message, code: error.code }) : printable(error.message));
    return error.code;
  }
}
