/** What `posthorn receive` prints: lines for people, or one line of JSON each. */
import type { ReceiverCounters } from "@posthorn/receiver";
import type { WindowResult } from "@posthorn/receiver/processors";
import { messageOf } from "../../base/errors.ts";
import { colour, print, say } from "../output/output.ts";
import { cellText } from "../output/table.ts";
import type { Answered } from "./watch.ts";

export interface Lines {
  /** Where it listens: the one line that is never left out. */
  listens(scheme: string, url: string): void;
  /** Talk: stderr. */
  note(text: string): void;
  request(answered: Answered): void;
  window(name: string, result: WindowResult): void;
  failure(error: unknown, by: string | undefined): void;
  /** @param isIdle nothing is done with any event */
  counters(counters: ReceiverCounters, isIdle: boolean): void;
}

export function linesFor({ json, quiet }: { readonly json?: boolean; readonly quiet?: boolean }): Lines {
  const talks = { note: quiet ? () => {} : say, failure };
  if (json) return { ...jsonLines(), ...talks, ...(quiet ? { request() {} } : {}) };
  return { ...textLines(), ...talks, ...(quiet ? { request() {} } : {}) };
}

/** Never left out either: whoever is quiet still wants to know. */
function failure(error: unknown, by: string | undefined): void {
  const who = by === undefined ? "" : `${by}: `;
  const text = messageOf(error);
  say(`${clock()} ${colour("red", "✗", process.stderr)} ${text.startsWith(who) ? "" : who}${cellText(text)}`);
}

function textLines(): Pick<Lines, "listens" | "request" | "window" | "counters"> {
  return {
    listens: (scheme, url) => print(`Posthorn receives ${scheme} webhooks: listens on ${url}`),
    request: (answered) => print(requestLine(answered)),
    window: (name, result) => print(windowLine(name, result)),
    counters: (counters, isIdle) => print(countersLine(counters, isIdle)),
  };
}

function jsonLines(): Pick<Lines, "listens" | "request" | "window" | "counters"> {
  const line = (value: object) => print(JSON.stringify(value));
  return {
    listens: (scheme, url) => say(`Posthorn receives ${scheme} webhooks: listens on ${url}`),
    request: ({ event, answer, code, instead, tookMs }) =>
      line({
        at: new Date().toISOString(),
        type: event?.type ?? null,
        id: event?.id ?? null,
        status: answer.status,
        ...(code === null ? {} : { code }),
        ...(instead === null ? {} : { instead }),
        tookMs: Math.round(tookMs * 10) / 10,
      }),
    window: (name, { startMs, endMs, ...result }) =>
      line({
        window: name,
        start: new Date(startMs).toISOString(),
        end: new Date(endMs).toISOString(),
        ...result,
      }),
    counters: (counters) => line({ counters }),
  };
}

export function requestLine({ event, answer, code, instead, tookMs }: Answered): string {
  const { status } = answer;
  const mark = status < 300 ? colour("green", `✓ ${status}`) : colour("red", `✗ ${status}`);
  const what =
    event === null
      ? "-"
      : [event.type, event.id]
          .filter((part) => part !== null)
          .map(cellText)
          .join(" ");
  const why = code === null ? "" : ` ${colour("red", code)}`;
  const otherwise = instead === null ? "" : ` ${colour("yellow", instead)}`;
  return `${clock()} ${mark} ${what}${why}${otherwise} ${colour("dim", `${Math.round(tookMs)} ms`)}`;
}

export function windowLine(
  name: string,
  { startMs, endMs, key, overflow, count, values }: WindowResult,
): string {
  const span = `${new Date(startMs).toISOString()}/${new Date(endMs).toISOString()}`;
  const whose = overflow ? " (all other keys)" : key === null ? "" : ` ${cellText(key)}`;
  const figures = Object.entries(values).map(([figure, value]) => `${figure} ${value ?? "-"}`);
  return `${colour("cyan", name)} ${span}${whose}: ${[`${count} events`, ...figures].join(", ")}`;
}

export function countersLine(counters: ReceiverCounters, isIdle = false): string {
  const { received, handled, duplicates, handshakes, unhandled, failed, deadLettered, waiting } = counters;
  const refused = Object.entries(counters.refused).map(([code, count]) => `${count} refused (${code})`);
  const counted = (count: number, one: string): string => `${one}${count === 1 ? "" : "s"}`;
  const counts: readonly (readonly [string, number])[] = [
    ["handled", handled],
    [counted(duplicates, "duplicate"), duplicates],
    [isIdle ? "acknowledged" : "of no type that is handled", unhandled],
    [counted(handshakes, "handshake"), handshakes],
    ["failed", failed],
    [counted(deadLettered, "dead letter"), deadLettered],
    ["waiting", waiting],
  ];
  const always = isIdle ? "acknowledged" : "handled";
  const parts = counts.filter(([name, count]) => count > 0 || name === always);
  return `${received} received: ${[...parts.map(([name, count]) => `${count} ${name}`), ...refused].join(", ")}`;
}

function clock(): string {
  return colour("dim", new Date().toISOString().slice(11, 23));
}
