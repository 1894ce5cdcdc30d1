/** The data of an event as text of one line: the sender's own bytes where the payload has them. */
import { Buffer } from "node:buffer";
import type { ReceivedEvent } from "../../receiver/event.ts";
import { memberText } from "../../schemes/json-member.ts";
import { columnValue, ValueError } from "../insert/column-value.ts";
import { exactData } from "../insert/exact-data.ts";

const ESCAPE =
  /(\\u[dD][89abAB][\da-fA-F]{2}\\u[dD][c-fC-F][\da-fA-F]{2})|(\\u[dD][89a-fA-F][\da-fA-F]{2})|\\./g;

/**
 * The payload, or its member that is the data, with a space for each line break; else the data written anew, its numbers as the sender
 * wrote them. Half of a surrogate pair, which databases refuse, becomes U+FFFD.
 * @throws RangeError when the payload is nested too deeply, or does not give the last digits of a number
 */
export function dataText(event: ReceivedEvent): string {
  return textOf(event)
    .replaceAll(/[\r\n]/g, " ")
    .replaceAll(ESCAPE, (found, _pair, half) => (half === undefined ? found : "\\ufffd"));
}

function textOf(event: ReceivedEvent): string {
  const text = Buffer.from(event.payload).toString();
  const root = parsed(text);
  const wanted = JSON.stringify(event.data);
  if (root !== undefined && JSON.stringify(root) === wanted) return text;
  const { data, isExact } = exactData(event);
  const own = isExact && wanted !== undefined ? memberLike(wanted, root, text) : undefined;
  return own ?? written(data, isExact);
}

function written(data: unknown, isExact: boolean): string {
  try {
    return String(columnValue(data, "json", { isExact }));
  } catch (error) {
    throw error instanceof ValueError ? new RangeError(`its data must hold ${error.message}`) : error;
  }
}

/** undefined: no member is the data. */
function memberLike(wanted: string, root: unknown, text: string): string | undefined {
  if (typeof root !== "object" || root === null || Array.isArray(root)) return undefined;
  const members: Record<string, unknown> = { data: undefined, ...root };
  const name = Object.keys(members).find((member) => JSON.stringify(members[member]) === wanted);
  return name === undefined ? undefined : memberText(text, name);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
