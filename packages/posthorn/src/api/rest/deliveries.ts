/** /v1/deliveries: what became of an event at an endpoint. */
import { z } from "zod";
import { type Attempt, OUTCOME_KINDS } from "../../domain/attempt.ts";
import {
  CANCEL_REASONS,
  DEAD_LETTER_REASONS,
  DELIVERY_STATES,
  DELIVERY_TRIGGERS,
  type Delivery,
} from "../../domain/delivery.ts";
import { type ShownAttempt, shownAttempt } from "../../domain/shown-outcome.ts";
import type { Engine } from "../../engine/engine.ts";
import {
  iso,
  json,
  MANAGE_APP,
  maybeTimeView,
  pageAnswer,
  pageOf,
  pageQuery,
  READ_APP,
  type Route,
  referenceQuery,
  route,
  timeQuery,
  timeView,
} from "./route.ts";

const deliveryView = z
  .object({
    id: z.string(),
    appId: z.string(),
    endpointId: z.string(),
    eventId: z.string(),
    eventType: z.string(),
    trigger: z.enum(DELIVERY_TRIGGERS),
    state: z.enum(DELIVERY_STATES),
    reason: z.enum([...DEAD_LETTER_REASONS, ...CANCEL_REASONS]).nullable(),
    hold: z.literal("order").nullable().describe("`order`: not at the head of its ordered lane"),
    sending: z.boolean().describe("It is being sent now, or is about to be"),
    attemptCount: z.number().describe("Attempts that count for the retry schedule"),
    dueAt: maybeTimeView.describe("When the next attempt is due"),
    expiresAt: maybeTimeView.describe("When it gives up"),
    createdAt: timeView,
    finishedAt: maybeTimeView,
  })
  .meta({ id: "Delivery" });

const attemptView = z
  .object({
    id: z.string(),
    number: z.number(),
    startedAt: timeView,
    durationMs: z.number().nullable().describe("null: not shown to the key of an app"),
    url: z.string(),
    outcome: z
      .looseObject({ kind: z.enum(OUTCOME_KINDS) })
      .describe(
        "`succeeded` and `rejected` have `status` and `control`, `rejected` also `retryAfterMs`, and the `cause` `unacknowledged` for a 2xx whose body is not the answer that the endpoint's scheme insists on, `timed_out` has `phase`, `unreachable` has `cause` and `detail`, `invalid` has `detail`. To the key of an app every cause by which nobody was reached is `unreachable`",
      ),
    responseBody: z.string().nullable().describe("The first 4 KiB of the answer, read as UTF-8"),
  })
  .meta({ id: "Attempt" });

const deliveryWithAttemptsView = deliveryView
  .extend({ attempts: z.array(attemptView) })
  .meta({ id: "DeliveryWithAttempts" });

function viewDelivery(delivery: Delivery): z.input<typeof deliveryView> {
  const { id, appId, endpointId, eventId, eventType, trigger, state, reason, hold, leased, attempts } =
    delivery;
  return {
    id,
    appId,
    endpointId,
    eventId,
    eventType,
    trigger,
    state,
    reason,
    hold,
    sending: leased,
    attemptCount: attempts,
    dueAt: iso(delivery.dueAtMs),
    expiresAt: iso(delivery.expiresAtMs),
    createdAt: iso(delivery.createdAtMs),
    finishedAt: iso(delivery.finishedAtMs),
  };
}

function viewAttempt(attempt: Attempt | ShownAttempt): z.input<typeof attemptView> {
  const { id, number, startedAtMs, durationMs, url, outcome, responseBody } = attempt;
  const answer = responseBody === null ? null : Buffer.from(responseBody).toString("utf8");
  return {
    id,
    number,
    startedAt: iso(startedAtMs),
    durationMs,
    url,
    outcome: { ...outcome },
    responseBody: answer,
  };
}

const deliveryQuery = pageQuery.extend({
  app: referenceQuery.optional(),
  endpoint: referenceQuery.optional().describe("Its id; with `app` also its uid"),
  event: referenceQuery.optional(),
  state: z.enum(DELIVERY_STATES).optional(),
  eventType: referenceQuery.optional(),
  since: timeQuery.optional(),
  until: timeQuery.optional(),
});

export function deliveryRoutes({ deliveries }: Pick<Engine, "deliveries">): Route[] {
  const tag = "Deliveries";
  return [
    route({
      method: "GET",
      path: "/v1/deliveries",
      tag,
      summary: "List deliveries, newest first",
      access: READ_APP,
      scope: "query",
      query: deliveryQuery,
      answers: [{ status: 200, description: "A page of deliveries", schema: pageOf(deliveryView) }],
      handle: async ({ query }) => pageAnswer(await deliveries.list(query), viewDelivery),
    }),
    route({
      method: "GET",
      path: "/v1/deliveries/{delivery}",
      tag,
      summary: "Show a delivery with its attempts",
      access: READ_APP,
      scope: "within",
      answers: [{ status: 200, description: "The delivery", schema: deliveryWithAttemptsView }],
      async handle({ params, within }) {
        const { delivery, attempts } = await deliveries.get(params.delivery, within);
        const shown = within === undefined ? attempts : attempts.map(shownAttempt);
        return json(200, { ...viewDelivery(delivery), attempts: shown.map(viewAttempt) });
      },
    }),
    route({
      method: "POST",
      path: "/v1/deliveries/{delivery}/redeliver",
      tag,
      summary: "Make a new delivery of the same event, outside the endpoint's order",
      access: MANAGE_APP,
      scope: "within",
      answers: [{ status: 202, description: "The new delivery's id", schema: z.object({ id: z.string() }) }],
      async handle({ params, within }) {
        const id = await deliveries.redeliver(params.delivery, within);
        return json(202, { id }, { location: `/v1/deliveries/${id}` });
      },
    }),
    route({
      method: "POST",
      path: "/v1/deliveries/{delivery}/cancel",
      tag,
      summary: "Cancel a pending delivery",
      access: MANAGE_APP,
      scope: "within",
      answers: [{ status: 200, description: "The delivery", schema: deliveryView }],
      handle: async ({ params, within }) =>
        json(200, viewDelivery(await deliveries.cancel(params.delivery, within))),
    }),
  ];
}
