// The order of the Worker's functions, and the names that say it.

import assert from 'node:assert/strict';
import test from 'node:test';
import { orderBodies } from '../../scripts/order.mjs';
import { nameByPlace, readBodies } from '../../scripts/wasm.mjs';

/** @param {number} id @param {number[]} content */
const section = (id, ...content) => [id, content.length, ...content];
/** @param {string} text */
const name = (text) => [text.length, ...Buffer.from(text)];
/** Imports an exception and a function. */
const BEFORE_CODE = [
  ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
  // Types: of a function that gives a number, of one that does nothing.
  ...section(1, 2, 0x60, 0, 1, 0x7f, 0x60, 0, 0),
  ...section(2, 2, ...name('a'), ...name('e'), 4, 0, 1, ...name('a'), ...name('f'), 0, 1),
  ...section(3, 3, 0, 0, 0),
  ...section(7, 3, ...[1, 2, 3].flatMap((index) => [...name(`give${index}`), 0, index])),
];
/** And has three functions, which give 1, 2, 3. */
const UNNAMED = Buffer.from([...BEFORE_CODE, ...section(10, 3, ...[1, 2, 3].flatMap((given) => [4, 0, 0x41, given, 0x0b]))]);
const MODULE = Buffer.from([...UNNAMED, ...section(0, ...name('name'), ...section(1, 1, 1, ...name('before')))]);

test('what a function is made of is read', () => {
  assert.deepEqual(readBodies(MODULE).map((body) => [...body]), [1, 2, 3].map((number) => [0, 0x41, number, 0x0b]));
});

test('a function is named after its place, and nothing else changes', () => {
  const named = nameByPlace(MODULE, [2, 0, 1]);
  const text = named.toString('latin1');
  assert.ok(text.endsWith('\x04name\x01\x1c\x03\x01\x07f000001\x02\x07f000002\x03\x07f000000'), JSON.stringify(text));
  assert.deepEqual(named.subarray(0, UNNAMED.length), UNNAMED);
  const { give1, give2, give3 } = new WebAssembly.Instance(new WebAssembly.Module(named), {
    a: { e: new WebAssembly.Tag({ parameters: [] }), f() {} },
  }).exports;
  assert.deepEqual([give1(), give2(), give3()], [1, 2, 3]);
});

test('what is not as it should be is a sentence', () => {
  const expected = { message: /^What was built is not the WebAssembly that was expected: / };
  assert.throws(() => readBodies(Buffer.from('wasm\n')), expected);
  for (let length = 0; length < UNNAMED.length; length++) {
    assert.throws(() => readBodies(UNNAMED.subarray(0, length)), expected, `${length} bytes`);
  }
  const importsMemory = Buffer.from([...MODULE.subarray(0, 8), ...section(2, 1, ...name('a'), ...name('m'), 2, 0, 1)]);
  assert.throws(() => nameByPlace(importsMemory, []), expected);
});

test('functions that resemble each other come to lie side by side, in an order that is always the same', () => {
  // Four families, dealt out like cards; those of a family differ in a byte.
  const bodies = Array.from({ length: 40 }, (_, index) =>
    Uint8Array.from({ length: 2_000 }, (_, at) => (at === 1_000 ? index : (at * at * (1 + (index % 4)) * 7) >> 3) & 0xff),
  );
  const order = orderBodies(bodies);
  assert.deepEqual(order.toSorted((one, other) => one - other), [...bodies.keys()]);
  const changes = order.filter((body, place) => place > 0 && body % 4 !== order[place - 1] % 4);
  assert.equal(changes.length, 3, order.join());
  assert.deepEqual(orderBodies(bodies), order);
});
