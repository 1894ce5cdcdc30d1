/** Members of a JSON object as the text they are: what is spliced or compared as text loses no digit and no space. */

interface Span {
  readonly start: number;
  readonly end: number;
}

/** A string, a bracket, a comma or a colon; what stands between them needs no look, since the text was parsed before. */
const TOKEN = /"[^"\\]*(?:\\.[^"\\]*)*"|[[\]{},:]/gs;

/**
 * The text of a member's value, without white space around it; undefined: there is no such member. Of members with the same
 * name it is the last, as for JSON.parse.
 * @param json valid JSON whose value is an object
 */
export function memberText(json: string, name: string): string | undefined {
  const span = spanOf(json, name);
  return span && json.slice(span.start, span.end);
}

/**
 * The same JSON with another text in the place of a member's value; unchanged when there is no such member.
 * @param json valid JSON whose value is an object
 */
export function replaceMember(json: string, name: string, value: string): string {
  const span = spanOf(json, name);
  return span === undefined ? json : json.slice(0, span.start) + value + json.slice(span.end);
}

function spanOf(json: string, name: string): Span | undefined {
  let found: Span | undefined;
  let depth = 0;
  let key: string | undefined;
  let valueStart: number | undefined;
  for (const { 0: token, index } of json.matchAll(TOKEN)) {
    const endsValue = depth === 1 && (token === "," || token === "}");
    if (endsValue && valueStart !== undefined) {
      if (key === name) found = trimmed(json, { start: valueStart, end: index });
      valueStart = undefined;
    }
    if (token === "{" || token === "[") depth += 1;
    else if (token === "}" || token === "]") depth -= 1;
    else if (depth === 1 && token === ":") valueStart = index + 1;
    else if (depth === 1 && valueStart === undefined && token.startsWith('"')) key = JSON.parse(token);
  }
  return found;
}

function trimmed(json: string, { start, end }: Span): Span {
  const text = json.slice(start, end);
  return { start: start + text.length - text.trimStart().length, end: start + text.trimEnd().length };
}
