/** A route of the door: what it is called, who may call it, what it takes and gives. OpenAPI is made from this table. */
import type { IncomingHttpHeaders } from "node:http";
import { z } from "zod";
import type { AppId } from "../../base/ids.ts";
import { LIMITS } from "../../domain/defaults.ts";
import type { Key, KeyRole } from "../../domain/key.ts";
import type { Session } from "../../domain/session.ts";

export type Method = "GET" | "POST" | "PUT" | "PATCH" | "DELETE";

/** `open`: without a key. Else the roles that may; a role that is not listed may not. */
export type Access = "open" | readonly KeyRole[];
export const ADMIN: Access = ["admin"];
/** Publishing. */
export const PUBLISH: Access = ["admin", "publisher"];
/** Reading what belongs to the platform as a whole. */
export const READ_ALL: Access = ["admin", "viewer"];
/** Reading what belongs to one app. */
export const READ_APP: Access = ["admin", "viewer", "app"];
/** Changing what belongs to one app, or seeing its secrets. */
export const MANAGE_APP: Access = ["admin", "app"];
/** Reading what is for everyone with a key: the event catalogue. */
export const READ_CATALOGUE: Access = ["admin", "publisher", "viewer", "app"];

/**
 * How a route without `{app}` in its path keeps a key of the role `app` to its app. Such a route must have one:
 * the server does not start without.
 * - `query`: it lists, and `?app=` is the key's app, given or not.
 * - `within`: it goes by an id, and its handler hands `within` to the engine.
 * - `catalogue`: what it shows is the same for every app.
 * - `caller`: it is about nothing but the caller's own key or session.
 */
export type Scope = "query" | "within" | "catalogue" | "caller";

export interface RouteInput<Params = Record<string, string>, Query = Record<string, unknown>> {
  readonly params: Params;
  readonly query: Query;
  readonly headers: IncomingHttpHeaders;
  /** The body as it came; undefined when there was none. */
  readonly bytes: Buffer | undefined;
  /**
   * The body, strictly parsed; undefined when there was none.
   * @throws PosthornError `invalid_json`, `invalid_utf8`, `too_deep`, `duplicate_key`
   */
  json(): unknown;
  /** Null on open routes. */
  readonly key: Key | null;
  /** Of the browser that calls; null at the machine door. */
  readonly session: Session | null;
  /** Where the request comes from: an IP address. */
  readonly address: string;
  /** The one app that the caller may see; undefined: all. An `{app}` and an `?app=` are that app's id already. */
  readonly within: AppId | undefined;
  /** Goes with the answer, and with the problem if it becomes one. */
  setHeader(name: string, value: string): void;
}

export interface Answer {
  readonly status: number;
  /** Serialised already. */
  readonly body: string | Buffer | null;
  readonly contentType?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** What a successful answer looks like, for OpenAPI. */
export interface AnswerShape {
  readonly status: number;
  readonly description: string;
  readonly schema?: z.ZodType;
  readonly contentType?: string;
}

export interface Route {
  readonly method: Method;
  /** Parameters in braces: `/v1/apps/{app}`. */
  readonly path: string;
  /** The resource: groups routes in the docs. */
  readonly tag: string;
  readonly summary: string;
  readonly access: Access;
  readonly scope?: Scope;
  /** `console`: for browsers, see browser.ts. Unless given: for machines, with a bearer key. */
  readonly door?: "console";
  /** False: a GET that changes something, which a HEAD, as scanners of links send it, may not. */
  readonly head?: false;
  /** False: nothing it does is for the audit log, and nobody needs to be known for it deep below. */
  readonly audited?: false;
  readonly query?: z.ZodObject;
  readonly body?: {
    readonly schema: z.ZodType;
    readonly required: boolean;
    readonly contentTypes?: readonly string[];
  };
  readonly requestHeaders?: Readonly<Record<string, string>>;
  readonly answers: readonly AnswerShape[];
  handle(input: RouteInput): Promise<Answer> | Answer;
}

type ParamsOf<Path extends string> = Path extends `${string}{${infer Name}}${infer Rest}`
  ? { readonly [Key in Name]: string } & ParamsOf<Rest>
  : unknown;

type TypedRoute<Path extends string, Query extends z.ZodObject> = Omit<Route, "path" | "query" | "handle"> & {
  readonly path: Path;
  readonly query?: Query;
  handle(input: RouteInput<ParamsOf<Path>, z.output<Query>>): Promise<Answer> | Answer;
};

/** Types the handler by the path's parameters and the query's schema; the door checks both before it calls. */
export function route<const Path extends string, Query extends z.ZodObject>(
  typed: TypedRoute<Path, Query>,
): Route {
  return typed as unknown as Route;
}

export function json(status: number, value: unknown, headers?: Readonly<Record<string, string>>): Answer {
  const body = JSON.stringify(value);
  return headers === undefined ? { status, body } : { status, body, headers };
}

export const noContent: Answer = { status: 204, body: null };

/** For answers that hold a secret: no cache on the way may keep it. */
export const NO_STORE = { "cache-control": "no-store" } as const;

/** A cursor is the store's own business: outside it is opaque, and what did not come from here is refused. */
const CURSOR_MARK = "c1:";
const cursorText = (cursor: string): string => Buffer.from(CURSOR_MARK + cursor).toString("base64url");
const cursorOf = (text: string): string => Buffer.from(text, "base64url").toString("utf8");

/** Every list takes these. */
export const pageQuery = z.strictObject({
  cursor: z
    .string()
    .max(512)
    .refine((text) => cursorOf(text).startsWith(CURSOR_MARK), "must be the nextCursor of a page")
    .transform((text) => cursorOf(text).slice(CURSOR_MARK.length))
    .optional()
    .meta({ description: "`nextCursor` of the page before" }),
  limit: z
    .string()
    .regex(/^\d{1,3}$/, `must be a whole number from 1 to ${LIMITS.pageLimitMax}`)
    .transform(Number)
    .pipe(z.number().min(1).max(LIMITS.pageLimitMax))
    .optional()
    .meta({ description: `Rows per page, 1 to ${LIMITS.pageLimitMax}; 50 unless given` }),
});

export const referenceQuery = z.string().min(1).max(128);
export const timeQuery = z.iso.datetime({ offset: true });

export function pageOf<View extends z.ZodType>(view: View) {
  return z.object({
    data: z.array(view),
    nextCursor: z.string().nullable().describe("For the next page; null on the last one"),
  });
}

/** A page of rows as it is answered. */
export function pageAnswer<Row>(
  page: { readonly data: readonly Row[]; readonly nextCursor: string | null },
  view: (row: Row) => unknown,
): Answer {
  const { data, nextCursor } = page;
  return json(200, { data: data.map(view), nextCursor: nextCursor === null ? null : cursorText(nextCursor) });
}

/** ISO 8601 in UTC; null stays null. */
export function iso(ms: number): string;
export function iso(ms: number | null): string | null;
export function iso(ms: number | null): string | null {
  return ms === null ? null : new Date(ms).toISOString();
}

/** Schemas of what views are made of. */
export const timeView = z.iso.datetime();
export const maybeTimeView = timeView.nullable();
