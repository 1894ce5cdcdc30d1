/** /v1/apps/{app}/stats: figures of an app or one of its endpoints, from the per-minute counts. */
import { z } from "zod";
import { OUTCOME_KINDS } from "../../domain/attempt.ts";
import { type Figures, latencyQuantile } from "../../domain/figures.ts";
import type { Engine } from "../../engine/engine.ts";
import { iso, json, READ_APP, type Route, referenceQuery, route, timeQuery, timeView } from "./route.ts";

const figuresShape = {
  created: z.number().describe("Deliveries made"),
  states: z
    .object({ delivered: z.number(), dead_lettered: z.number(), cancelled: z.number() })
    .describe("Deliveries that reached the state"),
  outcomes: z.record(z.enum(OUTCOME_KINDS), z.number()).describe("Attempts by outcome"),
  successRate: z.number().nullable().describe("Succeeded attempts of all whose outcome is known; null: none"),
  latencyMs: z
    .object({ p50: z.number().nullable(), p95: z.number().nullable(), p99: z.number().nullable() })
    .describe("Of attempts that were answered or timed out"),
  filterErrors: z.number(),
};

const statsView = z
  .object({
    since: timeView,
    until: timeView,
    ...figuresShape,
    pending: z.number().describe("Deliveries that wait now, counted up to 10,000"),
    pendingCapped: z.boolean().describe("There are more than were counted"),
    oldestPendingAgeMs: z.number().nullable(),
    minutes: z
      .array(z.object({ at: timeView, ...figuresShape }))
      .describe("Minutes in which something happened"),
  })
  .meta({ id: "Stats" });

function viewFigures(figures: Figures) {
  const { created, finals, attempts, latency, filterErrors } = figures;
  const known = OUTCOME_KINDS.reduce((sum, kind) => sum + (kind === "unknown" ? 0 : attempts[kind]), 0);
  return {
    created,
    states: finals,
    outcomes: attempts,
    successRate: known === 0 ? null : attempts.succeeded / known,
    latencyMs: {
      p50: latencyQuantile(latency, 0.5),
      p95: latencyQuantile(latency, 0.95),
      p99: latencyQuantile(latency, 0.99),
    },
    filterErrors,
  };
}

const statsQuery = z.strictObject({
  since: timeQuery.optional(),
  until: timeQuery.optional(),
  endpoint: referenceQuery.optional(),
});

export function statsRoutes(engine: Pick<Engine, "stats">): Route[] {
  return [
    route({
      method: "GET",
      path: "/v1/apps/{app}/stats",
      tag: "Stats",
      summary: "Figures of an app or one of its endpoints, in all and per minute",
      access: READ_APP,
      query: statsQuery,
      answers: [{ status: 200, description: "The figures", schema: statsView }],
      async handle({ params, query }) {
        const stats = await engine.stats(params.app, query);
        const { sinceMs, untilMs, total, pending, pendingCapped, oldestPendingAgeMs } = stats;
        const view: z.input<typeof statsView> = {
          since: iso(sinceMs),
          until: iso(untilMs),
          ...viewFigures(total),
          pending,
          pendingCapped,
          oldestPendingAgeMs,
          minutes: stats.minutes.map(({ atMs, figures }) => ({ at: iso(atMs), ...viewFigures(figures) })),
        };
        return json(200, view);
      },
    }),
  ];
}
