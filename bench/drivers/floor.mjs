// A floor is sent what Edgemint was sent, and answers what Edgemint answered.

import { demand } from './form.mjs';

/** @type {import('../drivers.mjs').Scenario} */
const repeated = {
  * unit(site) {
    const { request, answer } = site.given.captured;
    const got = yield request;
    demand(got, answer.status);
    if (got.text.length !== answer.body.length) throw new Error(`another answer: ${got.text}`);
  },
};

/** @type {Record<string, import('../drivers.mjs').Scenario>} */
export const scenarios = new Proxy({}, { get: () => repeated });
