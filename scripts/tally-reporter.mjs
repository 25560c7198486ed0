// A reporter for `node --test` that writes the counts of the whole run as one line of JSON.

/** @param {AsyncIterable<{ type: string, data: any }>} events */
export default async function* report(events) {
  for await (const { type, data } of events) {
    // Each file has a summary, too; that of the run names none.
    if (type !== 'test:summary' || data.file !== undefined) continue;
    const { tests, passed } = data.counts;
    yield `${JSON.stringify({ passed, failed: tests - passed })}\n`;
  }
}
