// Requests a second at concurrency 16 as bars, each scenario with a scale of its own. Pure.

import { SCENARIOS, systemsOf } from './scenarios.mjs';
import { DECISIVE } from './statistics.mjs';
import { SYSTEMS } from './systems.mjs';

/** In pixels. */
const [WIDTH, LABEL, BAR, GAP, HEAD] = [860, 210, 16, 4, 30];
/** @param {string} system @returns {string} its colour: ours, a floor, a peer */
const colour = (system) => (system === 'edgemint' ? '#1f6feb' : system.startsWith('floor_') ? '#8c959f' : '#d4a72c');

/** @param {string} text */
const escape = (text) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');

/** @param {any} results @returns {string} an SVG document */
export function chart({ scenarios }) {
  const parts = [];
  let y = 10;
  for (const scenario of Object.keys(SCENARIOS).filter((name) => scenarios[name])) {
    const systems = systemsOf(scenario).filter((system) => scenarios[scenario][system]?.[DECISIVE]);
    const most = Math.max(...systems.map((system) => scenarios[scenario][system][DECISIVE].iqr[1]));
    const scale = (/** @type {number} */ rps) => Math.round((rps / most) * (WIDTH - LABEL - 90) * 10) / 10;
    parts.push(`<text x="10" y="${y + 15}" font-weight="bold">${escape(SCENARIOS[scenario].title.replaceAll('`', ''))}</text>`);
    y += HEAD - 6;
    for (const system of systems) {
      const { rps, iqr: [low, high] } = scenarios[scenario][system][DECISIVE];
      const middle = y + BAR / 2;
      parts.push(
        `<text x="${LABEL - 8}" y="${y + 12}" text-anchor="end">${escape(SYSTEMS[system].title)}</text>`,
        `<rect x="${LABEL}" y="${y}" width="${scale(rps)}" height="${BAR}" fill="${colour(system)}"/>`,
        `<path d="M${LABEL + scale(low)} ${middle}H${LABEL + scale(high)}" stroke="#24292f" stroke-width="2"/>`,
        `<text x="${LABEL + Math.max(scale(rps), scale(high)) + 6}" y="${y + 12}">${Math.round(rps).toLocaleString('en')}</text>`,
      );
      y += BAR + GAP;
    }
    y += 14;
  }
  const style = 'font-family="system-ui, sans-serif" font-size="12" fill="#24292f"';
  const title = 'Requests (of the whole flow: flows) a second at concurrency 16; lines are quartiles of the rounds';
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${y}" viewBox="0 0 ${WIDTH} ${y}" role="img" ${style}>
<title>${title}</title>
<rect width="${WIDTH}" height="${y}" fill="#ffffff"/>
${parts.join('\n')}
</svg>
`;
}
