/**
 * POST /v1/events, the hot path: the body is scanned once, its envelope parsed, its data never; the answer is put
 * together as text. No schema runs here: the engine checks the envelope.
 */
import { z } from "zod";
import { PosthornError } from "../../base/errors.ts";
import { eventEnvelopeSchema } from "../../domain/event.ts";
import type { Publication } from "../../domain/publication.ts";
import { readPublications } from "../../domain/publication-reader.ts";
import type { Engine, PublishOutcome } from "../../engine/engine.ts";
import { problemOf, retryAfterOf } from "./problem.ts";
import { rateLimitHeaders } from "./rate-limit.ts";
import { type Answer, PUBLISH, type Route, type RouteInput, route } from "./route.ts";

export const NDJSON = "application/x-ndjson";

const publishedView = z
  .object({
    id: z.string(),
    duplicate: z
      .boolean()
      .describe("An earlier publication with this uid or key made the event; nothing new was stored"),
    deliveries: z.number().describe("How many endpoints it goes to"),
    fanOut: z.enum(["done", "pending"]),
  })
  .meta({ id: "Published" });
const problemElement = z.object({ problem: z.looseObject({ code: z.string(), detail: z.string() }) });
const publishedBatchView = z
  .object({
    results: z.array(z.union([publishedView, problemElement])).describe("In the order of the elements"),
  })
  .meta({ id: "PublishedBatch" });
const publicationInput = eventEnvelopeSchema
  .extend({ data: z.unknown().describe("Any JSON value; delivered byte for byte") })
  .meta({ id: "Publication" });

type PublishEngine = Pick<Engine, "publish" | "standings">;

export function publishRoute(engine: PublishEngine): Route {
  return route({
    method: "POST",
    path: "/v1/events",
    tag: "Events",
    summary: "Publish an event, or up to 1,000 as an array or NDJSON; 202 means durable",
    access: PUBLISH,
    audited: false,
    body: {
      schema: z.union([publicationInput, z.array(publicationInput).max(1000)]),
      required: true,
      contentTypes: ["application/json", NDJSON],
    },
    requestHeaders: {
      "idempotency-key":
        "1-255 visible ASCII characters; the same key makes the same event within 24 h. Element i of a batch has `key:i`.",
      "posthorn-hops":
        "Of the webhook that this follows from, as it came: 0 to 255. Beyond 8 the event is refused, because it goes round in a circle.",
    },
    answers: [
      {
        status: 202,
        description: "Stored, synced, and on its way",
        schema: z.union([publishedView, publishedBatchView]),
      },
    ],
    handle: (input) => publish(engine, input),
  });
}

async function publish(engine: PublishEngine, input: RouteInput<unknown, unknown>): Promise<Answer> {
  const { headers, bytes } = input;
  const hops = hopsOf(headers["posthorn-hops"]);
  const { batch, elements: read } = readPublications(bytes ?? Buffer.alloc(0), {
    format: headers["content-type"]?.startsWith(NDJSON) === true ? "ndjson" : "json",
    idempotencyKey: idempotencyKeyOf(headers["idempotency-key"]),
  });
  const elements = hops === 0 ? read : read.map((element) => withHops(element, hops));
  if (batch) return publishBatch(engine, input, elements);
  const [publication] = elements;
  if (publication === undefined || publication instanceof PosthornError) throw publication;
  const [outcome] = await publishNow(engine, input, [publication]);
  if (outcome === undefined) throw new Error("The engine gave no outcome.");
  if (outcome.kind === "refused") throw outcome.error;
  return { status: 202, body: resultText(outcome) };
}

/** How the caller stands towards its limits goes with the answer, whatever that is. */
async function publishNow(
  engine: PublishEngine,
  { key, setHeader }: RouteInput<unknown, unknown>,
  publications: readonly Publication[],
): Promise<PublishOutcome[]> {
  if (key === null) throw new Error("Publishing needs a key.");
  const outcomes = await engine.publish(publications, key);
  for (const [name, value] of rateLimitHeaders(engine.standings(key, appsOf(publications))))
    setHeader(name, value);
  return outcomes;
}

function appsOf(publications: readonly Publication[]): string[] {
  const apps = new Set<string>();
  for (const { envelope } of publications) {
    const { app } = envelope as { readonly app?: unknown };
    if (typeof app === "string") apps.add(app);
  }
  return [...apps];
}

async function publishBatch(
  engine: PublishEngine,
  input: RouteInput<unknown, unknown>,
  elements: readonly (Publication | PosthornError)[],
): Promise<Answer> {
  const readable = elements.filter((element): element is Publication => !(element instanceof PosthornError));
  const outcomes = readable.length === 0 ? [] : await publishNow(engine, input, readable);
  let next = 0;
  const results = elements.map((element): PublishOutcome => {
    if (element instanceof PosthornError) return { kind: "refused", error: element };
    return outcomes[next++] as PublishOutcome;
  });
  refuseWhole(results);
  return { status: 202, body: `{"results":[${results.map(resultText).join(",")}]}` };
}

/** When not one element could be taken and each could be later, the whole batch is to be sent again then: 429 or 503. */
function refuseWhole(results: readonly PublishOutcome[]): void {
  const [first] = results;
  if (first?.kind !== "refused") return;
  const all = results.every(
    (result) => result.kind === "refused" && retryAfterOf(result.error) !== undefined,
  );
  if (all) throw first.error;
}

function resultText(outcome: PublishOutcome): string {
  if (outcome.kind === "refused") return JSON.stringify({ problem: problemOf(outcome.error) });
  const { id, duplicate, deliveries, fanOut } = outcome;
  return `{"id":"${id}","duplicate":${duplicate},"deliveries":${deliveries},"fanOut":"${fanOut}"}`;
}

const IDEMPOTENCY_KEY = /^[\x21-\x7e]{1,255}$/;

function idempotencyKeyOf(header: string | readonly string[] | undefined): string | null {
  if (header === undefined) return null;
  if (typeof header === "string" && IDEMPOTENCY_KEY.test(header)) return header;
  throw new PosthornError(
    "invalid_field",
    "The header Idempotency-Key must be 1 to 255 visible ASCII characters.",
    {
      pointer: "/idempotency-key",
      value: header,
    },
  );
}

const HOPS = /^\d{1,3}$/;
const HOPS_MAX = 255;

function hopsOf(header: string | readonly string[] | undefined): number {
  if (header === undefined) return 0;
  const hops = typeof header === "string" && HOPS.test(header) ? Number(header) : Number.NaN;
  if (hops <= HOPS_MAX) return hops;
  throw new PosthornError(
    "invalid_field",
    `The header posthorn-hops must be a whole number from 0 to ${HOPS_MAX}. Pass it on as it came, or leave it out.`,
    { pointer: "/posthorn-hops", value: header },
  );
}

function withHops(element: Publication | PosthornError, hops: number): Publication | PosthornError {
  return element instanceof PosthornError ? element : { ...element, hops };
}
