/** /healthz, /readyz and /metrics: for whoever watches the server. */
import { z } from "zod";
import type { Engine } from "../../engine/engine.ts";
import { createMetrics } from "./metrics.ts";
import { json, NO_STORE, READ_ALL, type Route, route } from "./route.ts";

export interface HealthOptions {
  /** /metrics without a key. */
  readonly metricsOpen: boolean;
  /** True once the server is on its way out. */
  stopping(): boolean;
}

const liveView = z.object({ status: z.literal("ok") }).meta({ id: "Live" });
const readyView = z
  .object({
    status: z.enum(["ready", "not_ready"]),
    problems: z.array(z.string()).describe("One line for each thing that is not as it should be"),
    warnings: z
      .array(z.string())
      .describe(
        "One line for each thing that the store does not promise as it is set up; the node is ready all the same",
      ),
    store: z
      .object({
        kind: z.string(),
        durability: z.string().describe("What it does so that a committed write survives"),
      })
      .nullable()
      .describe("null: it cannot be read"),
  })
  .meta({ id: "Ready" });

export function healthRoutes(engine: Pick<Engine, "health" | "counters">, options: HealthOptions): Route[] {
  const metrics = createMetrics(engine);
  const tag = "Health";
  return [
    route({
      method: "GET",
      path: "/healthz",
      tag,
      summary: "The process lives",
      access: "open",
      answers: [{ status: 200, description: "It does", schema: liveView }],
      handle: () => json(200, { status: "ok" }, NO_STORE),
    }),
    route({
      method: "GET",
      path: "/readyz",
      tag,
      summary: "The server can take and send events",
      access: "open",
      answers: [
        { status: 200, description: "Ready", schema: readyView },
        { status: 503, description: "Not ready", schema: readyView },
      ],
      async handle() {
        const { ready, problems, warnings, store } = await engine.health();
        const stopping = options.stopping();
        const view: z.input<typeof readyView> = {
          status: ready && !stopping ? "ready" : "not_ready",
          problems: stopping ? [...new Set(["The server is stopping.", ...problems])] : [...problems],
          warnings: [...warnings],
          store: store === null ? null : { kind: store.kind, durability: store.durability },
        };
        return json(view.status === "ready" ? 200 : 503, view, NO_STORE);
      },
    }),
    route({
      method: "GET",
      path: "/metrics",
      tag,
      summary: "Figures of this node for Prometheus",
      access: options.metricsOpen ? "open" : READ_ALL,
      answers: [{ status: 200, description: "Prometheus text format 0.0.4", contentType: "text/plain" }],
      handle: async () => ({
        status: 200,
        body: await metrics.text(),
        contentType: metrics.contentType,
        headers: NO_STORE,
      }),
    }),
  ];
}
