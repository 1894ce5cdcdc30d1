/** Which windows an instant lies in. They begin at multiples of their step since 1970-01-01T00:00:00Z, whatever came first. */

export type Window =
  /** One after the other. */
  | { readonly kind: "tumbling"; readonly sizeMs: number }
  /** A new one every `everyMs`, so that each instant lies in several. */
  | { readonly kind: "sliding"; readonly sizeMs: number; readonly everyMs: number };

/** `startMs` belongs to it, `endMs` to the next. */
export interface Span {
  readonly startMs: number;
  readonly endMs: number;
}

/** An event is counted in each of its windows: more of them make no sense. */
const MAX_WINDOWS_OF_ONE_EVENT = 1_000;
/** What the lateness keeps open at once, each with up to `keysMax` keys. */
const MAX_OPEN_WINDOWS = 10_000;

/** Ascending. */
export function spansAt(window: Window, timeMs: number): Span[] {
  const stepMs = stepOf(window);
  const spans: Span[] = [];
  for (
    let startMs = Math.floor(timeMs / stepMs) * stepMs;
    startMs + window.sizeMs > timeMs;
    startMs -= stepMs
  ) {
    spans.unshift({ startMs, endMs: startMs + window.sizeMs });
  }
  return spans;
}

/** @throws RangeError for lengths that are not whole milliseconds, for gaps between windows, and for too many of them */
export function checkWindow(window: Window, allowedLatenessMs: number): void {
  checkDuration("window.sizeMs", window.sizeMs, 1);
  checkDuration("allowedLatenessMs", allowedLatenessMs, 0);
  switch (window.kind) {
    case "tumbling":
      break;
    case "sliding":
      checkDuration("window.everyMs", window.everyMs, 1);
      if (window.everyMs > window.sizeMs) {
        throw new RangeError(
          `window.everyMs (${window.everyMs}) is more than window.sizeMs (${window.sizeMs}): what lies between two windows would be lost`,
        );
      }
      break;
    default:
      throw new RangeError('window.kind is "tumbling" or "sliding"');
  }
  const stepMs = stepOf(window);
  if (window.sizeMs / stepMs > MAX_WINDOWS_OF_ONE_EVENT) {
    throw new RangeError(
      `each event would lie in more than ${MAX_WINDOWS_OF_ONE_EVENT} windows: give window.everyMs at least ${Math.ceil(window.sizeMs / MAX_WINDOWS_OF_ONE_EVENT)}`,
    );
  }
  if ((window.sizeMs + allowedLatenessMs) / stepMs > MAX_OPEN_WINDOWS) {
    throw new RangeError(
      `more than ${MAX_OPEN_WINDOWS} windows would be open at once: give a larger window or a smaller allowedLatenessMs`,
    );
  }
}

function stepOf(window: Window): number {
  return window.kind === "sliding" ? window.everyMs : window.sizeMs;
}

function checkDuration(name: string, ms: number, least: number): void {
  if (Number.isSafeInteger(ms) && ms >= least) return;
  throw new RangeError(`${name} is a whole number of milliseconds, at least ${least}, not ${ms}`);
}
