// What a person sees while a child works for minutes: one line that changes on a terminal,
// a plain line every 15 seconds elsewhere.

const PLAIN_INTERVAL = 15_000;

/** @param {number} milliseconds @returns {string} for example `8 s` or `2 min 05 s` */
export function formatDuration(milliseconds) {
  const seconds = Math.round(milliseconds / 1000);
  if (seconds < 60) return `${seconds} s`;
  return `${Math.floor(seconds / 60)} min ${String(seconds % 60).padStart(2, '0')} s`;
}

/** A task's running time and its last word. */
export class Progress {
  #started = Date.now();
  #detail = '';
  #timer;

  /**
   * @param {string} label
   * @param {NodeJS.WriteStream} [output]
   */
  constructor(label, output = process.stdout) {
    this.label = label;
    this.output = output;
    this.#timer = setInterval(() => this.#print(), output.isTTY ? 500 : PLAIN_INTERVAL);
    this.#timer.unref();
  }

  /** @param {string} detail for example `45 of 130 crates` */
  update(detail) {
    this.#detail = detail;
  }

  /** Ends the line. @param {string} word for example `done` or `failed` */
  finish(word) {
    clearInterval(this.#timer);
    const text = `${this.label}: ${word} after ${formatDuration(Date.now() - this.#started)}`;
    this.output.write(this.output.isTTY ? `\r\x1b[2K${text}\n` : `${text}\n`);
  }

  #print() {
    const parts = [this.#detail, formatDuration(Date.now() - this.#started)].filter(Boolean);
    const text = `${this.label}: ${parts.join(', ')} …`;
    this.output.write(this.output.isTTY ? `\r\x1b[2K${text.slice(0, (this.output.columns ?? 80) - 1)}` : `${text}\n`);
  }
}
