// What the runtime calls. `scripts/build.mjs` writes this behind what worker-build made of the crate, whose classes are
// `glue` here: its own entrance makes four proxies and two promises of every request, and of every message to an object.

import { DurableObject } from 'cloudflare:workers';

/** Whether the WebAssembly has come to an end, and how often it began anew. worker-build keeps it. */
const life = globalThis.__worker_init_state;

/** Makes the WebAssembly begin anew where it came to an end. */
function revive() {
  // worker-build looks whenever a class of the crate is made.
  if (life.criticalError) new glue.Entrance();
}

/** Whatever comes out of it as an error is its end: it answers, and does not throw. */
function fail(error) {
  console.error('Critical', error);
  life.criticalError = true;
  // At once: what is called back meanwhile would meet a memory that is not its own.
  revive();
  throw error;
}

// What ends in a task of its own.
addEventListener('error', () => {
  life.criticalError = true;
  revive();
});

const { fetch: answer, headers } = glue.Entrance.prototype.constructor;
const read = headers();

/** `undefined` where the whole body is wanted; `null` is one that broke off. */
function serve(request, env, context, head, body) {
  revive();
  try {
    const answered = answer(request, env, context, head, body);
    return answered instanceof Promise ? answered.catch(fail) : answered;
  } catch (error) {
    return fail(error);
  }
}

export default {
  fetch(request, env, context) {
    // What the server reads of nearly every request, in one text: each call out of WebAssembly has its price.
    let head = `${request.method} ${request.url}`;
    for (const name of read) {
      const value = request.headers.get(name);
      if (value !== null) head += `\n${name}:${value}`;
    }
    const go = (body) => serve(request, env, context, head, body);
    // Awaited here: of who hangs up before the body has come nothing is left.
    return go() ?? request.arrayBuffer().then(go, () => go(null));
  },
};

/** A class of the crate as one whose methods can be called from afar. */
function derive(exported) {
  const Own = exported.prototype.constructor;
  return class extends DurableObject {
    #own;
    #life;

    #call(method, ...values) {
      revive();
      try {
        if (this.#life !== life.instanceId) {
          this.#own = new Own(this.ctx, this.env);
          this.#life = life.instanceId;
        }
        return this.#own[method](...values);
      } catch (error) {
        return fail(error);
      }
    }

    turn(name, message) {
      return this.#call('turn', name, message);
    }

    alarm() {
      return this.#call('alarm');
    }
  };
}
