/** Speaks to the server's HTTP API and to nothing else. */
import { messageOf } from "../../base/errors.ts";
import { CliError, EXIT_CODES, exitCodeOf } from "../exit-code.ts";

export interface ClientOptions {
  /** Origin of the server, e.g. http://127.0.0.1:8071 */
  readonly url: string;
  readonly key: string;
  readonly timeoutMs: number;
}

export interface Problem {
  readonly code: string;
  readonly title: string;
  readonly detail?: string;
}

type Query = Readonly<Record<string, string | number | boolean | undefined>>;

export interface RawBody {
  readonly contentType: string;
  readonly text: string;
  readonly headers?: Readonly<Record<string, string>>;
}

export class Client {
  readonly #options: ClientOptions;

  constructor(options: ClientOptions) {
    this.#options = options;
  }

  get<Result>(path: string, query: Query = {}): Promise<Result> {
    return this.#call("GET", withQuery(path, query));
  }

  /** The document as it was answered: what holds an event's data must not be parsed and written anew. */
  getText(path: string): Promise<string> {
    return this.#send("GET", path);
  }

  post<Result>(path: string, body?: unknown): Promise<Result> {
    return this.#call("POST", path, jsonBody(body));
  }

  /** A body that must reach the server byte for byte. */
  postRaw<Result>(path: string, body: RawBody): Promise<Result> {
    return this.#call("POST", path, body);
  }

  put<Result>(path: string, body: unknown): Promise<Result> {
    return this.#call("PUT", path, jsonBody(body));
  }

  patch<Result>(path: string, body: unknown): Promise<Result> {
    return this.#call("PATCH", path, jsonBody(body));
  }

  delete(path: string): Promise<void> {
    return this.#call("DELETE", path);
  }

  async #call<Result>(method: string, path: string, body?: RawBody): Promise<Result> {
    const text = await this.#send(method, path, body);
    return (text === "" ? undefined : JSON.parse(text)) as Result;
  }

  /** @throws CliError with the exit code that says what went wrong */
  async #send(method: string, path: string, body?: RawBody): Promise<string> {
    const { url, key, timeoutMs } = this.#options;
    const address = new URL(path, url);
    let response: Response;
    let text: string;
    try {
      response = await fetch(address, {
        method,
        redirect: "error",
        signal: AbortSignal.timeout(timeoutMs),
        headers: {
          authorization: `Bearer ${key}`,
          ...(body === undefined ? {} : { "content-type": body.contentType, ...body.headers }),
        },
        ...(body === undefined ? {} : { body: body.text }),
      });
      text = await response.text();
    } catch (error) {
      throw unreached(address, error);
    }
    if (!response.ok) throw refused(response, text);
    return text;
  }
}

function jsonBody(body: unknown): RawBody | undefined {
  return body === undefined ? undefined : { contentType: "application/json", text: JSON.stringify(body) };
}

function withQuery(path: string, query: Query): string {
  const given = Object.entries(query).filter(([, value]) => value !== undefined);
  if (given.length === 0) return path;
  return `${path}?${new URLSearchParams(given.map(([name, value]) => [name, String(value)]))}`;
}

/** An id or uid as one part of a path. */
export function part(reference: string): string {
  return encodeURIComponent(reference);
}

function unreached(address: URL, error: unknown): CliError {
  const reason =
    error instanceof Error && error.cause !== undefined ? messageOf(error.cause) : messageOf(error);
  return new CliError(EXIT_CODES.network, `No answer from ${address.origin}: ${reason}`, {
    hint: "Is the server running (posthorn serve), and is --url or POSTHORN_URL its address?",
    cause: error,
  });
}

function refused(response: Response, text: string): CliError {
  const exitCode = exitCodeOf(response.status);
  const problem = problemOf(text);
  const what = problem?.detail ?? problem?.title ?? `The server answered ${response.status}.`;
  const code = problem === undefined ? "" : ` (${problem.code})`;
  const retryAfter = response.headers.get("retry-after");
  return new CliError(exitCode, `${what}${code}`, {
    ...(retryAfter === null ? {} : { hint: `Try again after ${retryAfter} s.` }),
  });
}

function problemOf(text: string): Problem | undefined {
  try {
    const value = JSON.parse(text) as Partial<Problem> | null;
    return typeof value?.code === "string" ? (value as Problem) : undefined;
  } catch {
    return undefined;
  }
}
