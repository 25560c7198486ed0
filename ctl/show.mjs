// What commands print: tables and members for people, JSON for scripts.

/** @param {unknown} value */
const plain = (value) => {
  if (value === null || value === undefined) return '-';
  if (Array.isArray(value)) return value.map(plain).join(' ');
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
};

/** Control characters would be the terminal's. @param {string} text */
// eslint-disable-next-line no-control-regex
export const printable = (text) => text.replace(/[\u0000-\u001f\u007f-\u009f]/g, '?');

/** @param {Record<string, unknown>[]} items @param {string[]} columns */
export function table(items, columns) {
  const rows = [columns, ...items.map((item) => columns.map((column) => printable(plain(item[column]))))];
  const widths = columns.map((_, at) => Math.max(...rows.map((row) => row[at].length)));
  return rows.map((row) => row.map((cell, at) => cell.padEnd(widths[at])).join('  ').trimEnd()).join('\n');
}

/** @param {Record<string, unknown>} item */
export function members(item) {
  const names = Object.keys(item);
  const width = Math.max(...names.map((name) => name.length));
  return names.map((name) => `${name.padEnd(width)}  ${printable(plain(item[name]))}`).join('\n');
}

/** @param {string} text @returns {[string, unknown]} `name=value`, the value JSON where it reads as such, else a text */
export function assignment(text) {
  const at = text.indexOf('=');
  if (at < 1) throw new Error(`${text} is not name=value`);
  const value = text.slice(at + 1);
  try {
    return [text.slice(0, at), JSON.parse(value)];
  } catch {
    return [text.slice(0, at), value];
  }
}
