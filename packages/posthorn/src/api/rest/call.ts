/** From Fastify's request to a route's input: the query is checked here, the body where it is wanted. */
import type { FastifyRequest } from "fastify";
import { PosthornError } from "../../base/errors.ts";
import { parseInput } from "../../domain/input.ts";
import { type Acting, actAs } from "../../engine/acting.ts";
import { actorOf } from "../../engine/sessions.ts";
import { parseJsonBody } from "./body.ts";
import type { Answer, Route, RouteInput } from "./route.ts";
import type { Narrow } from "./within.ts";

export async function call(
  route: Route,
  request: FastifyRequest,
  bytes: Buffer | undefined,
  narrow: Narrow,
  setHeader: RouteInput["setHeader"],
): Promise<Answer> {
  const within = request.key?.appId ?? undefined;
  const asked = {
    params: request.params as Record<string, string>,
    query: queryOf(route, request.query as Record<string, unknown>),
  };
  const input: RouteInput = {
    ...(within === undefined ? asked : await narrow(route, within, asked)),
    headers: request.headers,
    bytes,
    json: () => parseJsonBody(bytes),
    key: request.key,
    session: request.session,
    address: request.clientAddress,
    within,
    setHeader,
  };
  if (route.body === undefined) refuseBody(input.json());
  if (route.audited === false) return route.handle(input);
  return actAs(whoActs(request), () => route.handle(input));
}

function whoActs({ key, session, clientAddress: address, id: requestId }: FastifyRequest): Acting {
  if (key === null) return { actor: { kind: "stranger" }, address, requestId };
  return { actor: actorOf(key, session === null ? "key" : "session"), address, requestId };
}

function queryOf(route: Route, query: Record<string, unknown>): Record<string, unknown> {
  if (route.query !== undefined) return parseInput(route.query, { ...query });
  for (const name of Object.keys(query)) throw unknownPart("query parameter", name);
  return query;
}

/** `{}` is what some clients send when they mean nothing. */
function refuseBody(body: unknown): void {
  if (body === undefined || body === null) return;
  if (typeof body !== "object")
    throw new PosthornError("invalid_field", "This address takes no body. Remove it.", { pointer: "" });
  for (const name of Object.keys(body)) throw unknownPart("field", name);
}

function unknownPart(what: string, name: string): PosthornError {
  return new PosthornError(
    "unknown_field",
    `The ${what} ${JSON.stringify(name.slice(0, 120))} is not known here. Remove it.`,
    {
      pointer: `/${name}`,
      value: name,
    },
  );
}
