/** /v1/audit: the audit log. In the order of the chain it can be verified from outside: see `posthorn audit verify`. */
import { z } from "zod";
import type { AuditEntry } from "../../domain/audit.ts";
import type { Engine } from "../../engine/engine.ts";
import {
  ADMIN,
  iso,
  json,
  pageAnswer,
  pageOf,
  pageQuery,
  type Route,
  referenceQuery,
  route,
  timeQuery,
  timeView,
} from "./route.ts";

const fieldsView = z.record(z.string(), z.unknown()).nullable();

const entryView = z
  .object({
    id: z.string(),
    number: z.number().describe("1, 2, 3 ... without a gap"),
    at: timeView,
    actor: z
      .object({
        kind: z.enum(["key", "session", "stranger", "library", "operator", "system"]),
        keyId: z.string().optional(),
        role: z.string().optional(),
        name: z.string().optional(),
      })
      .describe("Who did it: an API key, a browser's session of one, a stranger who failed to sign in, ..."),
    action: z.string().describe("`<resource>.<verb>`, such as `endpoint.update`"),
    target: z.object({ kind: z.string(), id: z.string() }),
    appId: z.string().nullable(),
    before: fieldsView.describe("What changed, as it was; never a secret"),
    after: fieldsView.describe("What changed, as it is since"),
    address: z.string().nullable().describe("Where the request came from"),
    requestId: z.string().nullable(),
    previousHash: z.string(),
    hash: z.string().describe("SHA-256 over `previousHash` and the rest"),
  })
  .meta({ id: "AuditEntry" });

/** All of it: secrets never stand in an entry, and whoever verifies the chain needs every field. */
function viewEntry({ atMs, ...entry }: AuditEntry): z.input<typeof entryView> {
  return { ...entry, at: iso(atMs) };
}

export function auditRoutes({ audit }: Pick<Engine, "audit">): Route[] {
  const tag = "Audit";
  return [
    route({
      method: "GET",
      path: "/v1/audit",
      tag,
      summary: "List the audit log, newest first",
      access: ADMIN,
      query: pageQuery.extend({
        app: referenceQuery.optional(),
        since: timeQuery.optional(),
        until: timeQuery.optional(),
        order: z
          .enum(["newest", "oldest"])
          .optional()
          .meta({ description: "`oldest`: in the order of the chain" }),
      }),
      answers: [{ status: 200, description: "A page of entries", schema: pageOf(entryView) }],
      async handle({ query: { order, ...query } }) {
        return pageAnswer(await audit.list({ ...query, oldestFirst: order === "oldest" }), viewEntry);
      },
    }),
    route({
      method: "GET",
      path: "/v1/audit/{entry}",
      tag,
      summary: "One entry of the audit log, by its id",
      access: ADMIN,
      answers: [{ status: 200, description: "The entry", schema: entryView }],
      handle: async ({ params }) => json(200, viewEntry(await audit.get(params.entry))),
    }),
  ];
}
