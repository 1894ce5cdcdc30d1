/** /v1/publications: what was published inside users' own transactions and refused afterwards. */
import { z } from "zod";
import type { EventEnvelope } from "../../domain/event.ts";
import type { StoredPublication } from "../../domain/publication.ts";
import type { Engine } from "../../engine/engine.ts";
import {
  ADMIN,
  type Answer,
  iso,
  json,
  maybeTimeView,
  noContent,
  pageAnswer,
  pageOf,
  pageQuery,
  READ_ALL,
  type Route,
  referenceQuery,
  route,
  timeView,
} from "./route.ts";

const publicationView = z
  .object({
    id: z.string(),
    appId: z.string(),
    type: z.string().nullable(),
    uid: z.string().nullable(),
    timestamp: z.string().nullable().describe("As it was given; null: when it was published"),
    channels: z.array(z.string()),
    orderingKey: z.string().nullable(),
    deliverAt: maybeTimeView,
    idempotencyKey: z.string().nullable(),
    dataBytes: z.number(),
    state: z.enum(["waiting", "refused"]).describe("`waiting`: a node will pick it up"),
    problem: z
      .object({ code: z.string(), message: z.string(), pointer: z.string().nullable() })
      .nullable()
      .describe("Why it is no event: a code of docs/errors.md"),
    publishedAt: timeView,
    refusedAt: maybeTimeView,
  })
  .meta({ id: "StoredPublication" });

const publicationWithDataView = publicationView
  .extend({ data: z.unknown().describe("Byte for byte as it was published") })
  .meta({ id: "StoredPublicationWithData" });

/** Written by our own SQL function, with the fields that were given. */
type GivenEnvelope = Partial<EventEnvelope>;

function viewPublication(stored: StoredPublication): z.input<typeof publicationView> {
  const { id, appId, idempotencyKey, data, problem, createdAtMs, refusedAtMs } = stored;
  const { type, uid, timestamp, channels, orderingKey, deliverAt } = stored.envelope as GivenEnvelope;
  return {
    id,
    appId,
    type: type ?? null,
    uid: uid ?? null,
    timestamp: timestamp ?? null,
    channels: [...(channels ?? [])],
    orderingKey: orderingKey ?? null,
    deliverAt: deliverAt ?? null,
    idempotencyKey,
    dataBytes: data.length,
    state: problem === null ? "waiting" : "refused",
    problem,
    publishedAt: iso(createdAtMs),
    refusedAt: iso(refusedAtMs),
  };
}

/** The bytes of `data` are put in as they are: they are JSON, and parsing them would change numbers and the order of keys. */
function publicationAnswer(stored: StoredPublication): Answer {
  const head = `${JSON.stringify(viewPublication(stored)).slice(0, -1)},"data":`;
  return { status: 200, body: Buffer.concat([Buffer.from(head), stored.data, Buffer.from("}")]) };
}

export function publicationRoutes({ publications }: Pick<Engine, "publications">): Route[] {
  const tag = "Publications";
  return [
    route({
      method: "GET",
      path: "/v1/publications",
      tag,
      summary: "List what was published inside transactions and refused, newest first, without its data",
      access: READ_ALL,
      query: pageQuery.extend({ app: referenceQuery.optional() }),
      answers: [{ status: 200, description: "A page of publications", schema: pageOf(publicationView) }],
      handle: async ({ query }) => pageAnswer(await publications.list(query), viewPublication),
    }),
    route({
      method: "GET",
      path: "/v1/publications/{publication}",
      tag,
      summary: "Show one that was refused, or still waits, with its data",
      access: READ_ALL,
      answers: [{ status: 200, description: "The publication", schema: publicationWithDataView }],
      handle: async ({ params }) => publicationAnswer(await publications.get(params.publication)),
    }),
    route({
      method: "POST",
      path: "/v1/publications/{publication}/retry",
      tag,
      summary: "Take a refused one again, now that the reason is gone",
      access: ADMIN,
      answers: [{ status: 202, description: "It waits for a node", schema: z.object({ id: z.string() }) }],
      async handle({ params }) {
        await publications.retry(params.publication);
        return json(202, { id: params.publication });
      },
    }),
    route({
      method: "DELETE",
      path: "/v1/publications/{publication}",
      tag,
      summary: "Forget a refused one",
      access: ADMIN,
      answers: [{ status: 204, description: "Forgotten" }],
      async handle({ params }) {
        await publications.remove(params.publication);
        return noContent;
      },
    }),
  ];
}
