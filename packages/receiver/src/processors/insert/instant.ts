/** Moments and dates, strictly read. Pure. */

export interface Instant {
  /** Unix seconds, whole, rounded down. */
  readonly seconds: number;
  /** 0 to 999,999: what PostgreSQL and MySQL keep. */
  readonly microseconds: number;
}

/** RFC 3339, 5.6 (https://www.rfc-editor.org/rfc/rfc3339#section-5.6): with an offset, since a time without one is no moment. */
const DATE_TIME =
  /^([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]([0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]+))?([Zz]|[+-][0-9]{2}:[0-9]{2})$/;
const DATE = /^[0-9]{4}-[0-9]{2}-[0-9]{2}$/;
const UNIX = /^-?[0-9]{1,15}(?:\.[0-9]+)?$/;
/** As seconds the year 5138, as milliseconds 1973: senders give either, and mean something in between. */
const SECONDS_MAX = 100_000_000_000;

/** From RFC 3339 text, or unix time as a number or text: seconds below 10^11, else milliseconds. undefined: it is none. */
export function instantOf(value: unknown): Instant | undefined {
  if (typeof value === "number" || (typeof value === "string" && UNIX.test(value)))
    return unixInstant(Number(value));
  const parts = typeof value === "string" ? DATE_TIME.exec(value) : null;
  if (parts === null) return undefined;
  const [, date = "", time = "", fraction = "", offset = ""] = parts;
  if (dateOf(date) === undefined) return undefined;
  const milliseconds = Date.parse(`${date}T${time}${offset.toUpperCase()}`);
  if (Number.isNaN(milliseconds)) return undefined;
  return within({
    seconds: milliseconds / 1000,
    microseconds: Number(fraction.slice(0, 6).padEnd(6, "0")),
  });
}

function unixInstant(number: number): Instant | undefined {
  const seconds = Math.abs(number) < SECONDS_MAX ? number : number / 1000;
  const whole = Math.floor(seconds);
  const microseconds = Math.round((seconds - whole) * 1_000_000);
  return within(
    microseconds === 1_000_000 ? { seconds: whole + 1, microseconds: 0 } : { seconds: whole, microseconds },
  );
}

/** Years 1 to 9999, which every database has. */
function within(instant: Instant): Instant | undefined {
  const { seconds } = instant;
  return seconds >= -62_135_596_800 && seconds < 253_402_300_800 ? instant : undefined;
}

/** `2026-01-31`, if there is such a day. */
export function dateOf(value: unknown): string | undefined {
  if (typeof value !== "string" || !DATE.test(value)) return undefined;
  const midnight = new Date(`${value}T00:00:00Z`);
  return !Number.isNaN(midnight.getTime()) && midnight.toISOString().startsWith(value) ? value : undefined;
}

/** `2026-01-31T12:00:00.000000Z`: always as wide, so that it sorts as text. */
export function isoText({ seconds, microseconds }: Instant): string {
  const iso = new Date(seconds * 1000).toISOString();
  return `${iso.slice(0, "2026-01-31T12:00:00".length)}.${String(microseconds).padStart(6, "0")}Z`;
}
