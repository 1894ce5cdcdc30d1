// A browser as the door sees one: it sends what it is told to, origin and Fetch Metadata included, and keeps no cookie by itself.
import { type IncomingHttpHeaders, request } from "node:http";
import { text } from "node:stream/consumers";

export interface Asked {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  // biome-ignore lint/suspicious/noExplicitAny: a test looks into it
  readonly json: any;
}

export interface Ask {
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
  /** The address of this machine that it asks from. */
  readonly from?: string;
}

/** Objects are sent as JSON with its content type; text as it is, without one. */
export function ask(
  url: string,
  method: string,
  path: string,
  { headers = {}, body, from }: Ask = {},
): Promise<Asked> {
  return new Promise((resolve, reject) => {
    const isText = typeof body === "string";
    const type = body === undefined || isText ? {} : { "content-type": "application/json" };
    const options = {
      method,
      headers: { ...type, ...headers },
      localAddress: from ?? "127.0.0.1",
      agent: false,
    };
    const sent = request(url + path, options, (response) => {
      text(response).then((content) => {
        const isJson = /json/.test(response.headers["content-type"] ?? "");
        const json = isJson && content !== "" ? JSON.parse(content) : undefined;
        resolve({ status: response.statusCode ?? 0, headers: response.headers, json });
      }, reject);
    });
    sent.on("error", reject).end(body === undefined || isText ? body : JSON.stringify(body));
  });
}

/** What a browser adds to what a page of the server's own origin asks for. */
export const SAME_ORIGIN = { "sec-fetch-site": "same-origin", "sec-fetch-mode": "cors" } as const;

export interface SignedIn {
  readonly csrfToken: string;
  /** As the browser sends it back. */
  readonly cookie: string;
  readonly answer: Asked;
}

/** @throws Error when the key is refused */
export async function signIn(
  url: string,
  key: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<SignedIn> {
  const answer = await ask(url, "POST", "/console/session", {
    headers: { ...SAME_ORIGIN, ...headers },
    body: { key },
  });
  if (answer.status !== 201) throw new Error(`not signed in: ${JSON.stringify(answer.json)}`);
  const [set = ""] = answer.headers["set-cookie"] ?? [];
  return { answer, csrfToken: answer.json.csrfToken, cookie: set.split(";")[0] ?? "" };
}
