// What the runtime calls. `scripts/build.mjs` writes this behind what worker-build made of the crate, whose classes are
// `glue` here: its own entrance makes four proxies and two promises of every request, and of every message to an object.

import { DurableObject } from 'cloudflare:workers';

/** Whether the WebAssembly panicked, and how often it began anew. worker-build keeps it, and looks for errors of tasks. */
const life = globalThis.__worker_init_state;

function fail(error) {
  if (error instanceof WebAssembly.RuntimeError) {
    console.error('Critical', error);
    life.criticalError = true;
  }
  throw error;
}

/** Makes the WebAssembly begin anew where it panicked. */
function revive() {
  // worker-build looks whenever a class of the crate is made.
  if (life.criticalError) new glue.Entrance();
}

const { fetch: answer, headers } = glue.Entrance.prototype.constructor;
const read = headers();

export default {
  fetch(request, env, context) {
    revive();
    // What the server reads of nearly every request, in one text: each call out of WebAssembly has its price.
    let head = `${request.method} ${request.url}`;
    for (const name of read) {
      const value = request.headers.get(name);
      if (value !== null) head += `\n${name}:${value}`;
    }
    try {
      const answered = answer(request, env, context, head);
      return answered instanceof Promise ? answered.catch(fail) : answered;
    } catch (error) {
      return fail(error);
    }
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
