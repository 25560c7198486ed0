// How each system is asked for what a scenario is about.

import * as edgemint from './drivers/edgemint.mjs';
import * as floor from './drivers/floor.mjs';
import * as oidcProvider from './drivers/oidc-provider.mjs';
import * as workersOauthProvider from './drivers/workers-oauth-provider.mjs';

/**
 * @typedef {import('./generator.mjs').Site} Site
 * @typedef {import('./connection.mjs').Request} Request
 * @typedef {import('./connection.mjs').Answer} Answer
 *
 * @typedef {object} Scenario
 * @property {(site: Site) => Promise<any>} [prepare] what every unit needs
 * @property {(site: Site, units: number) => Promise<void>} [supply] what so many units use up
 * @property {(site: Site, hand: number) => Generator<Request, void, Answer>} unit yields requests, is given their answers, and
 *   throws where one is not what it should be
 *
 * @typedef {{ scenarios: Record<string, Scenario> }} Driver
 */

/** @type {Record<string, Driver>} */
export const DRIVERS = {
  edgemint,
  floor_a: floor,
  floor_b: floor,
  floor_c: floor,
  'workers-oauth-provider': workersOauthProvider,
  'oidc-provider': oidcProvider,
  'oidc-provider-sqlite': oidcProvider,
};
