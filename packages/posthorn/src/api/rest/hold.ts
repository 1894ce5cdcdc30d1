/** /v1/hold: keeps the server still for a while. */
import { z } from "zod";
import type { Engine } from "../../engine/engine.ts";
import { holdSchema } from "../../engine/hold.ts";
import { ADMIN, iso, json, NO_STORE, noContent, type Route, route, timeView } from "./route.ts";

const holdView = z.object({ since: timeView, until: timeView }).meta({ id: "Hold" });

export function holdRoutes({ hold }: Pick<Engine, "hold">): Route[] {
  const tag = "Hold";
  return [
    route({
      method: "POST",
      path: "/v1/hold",
      tag,
      summary:
        "Hold publishing, sending and changes for a while, or longer than before; answers once nothing is under way",
      access: ADMIN,
      body: { schema: holdSchema, required: true },
      answers: [{ status: 200, description: "Nothing is under way any more", schema: holdView }],
      async handle(input) {
        const { sinceMs, untilMs } = await hold.take(input.json());
        return json(200, { since: iso(sinceMs), until: iso(untilMs) }, NO_STORE);
      },
    }),
    route({
      method: "DELETE",
      path: "/v1/hold",
      tag,
      summary: "End the hold",
      access: ADMIN,
      answers: [{ status: 204, description: "Everything goes on" }],
      async handle() {
        await hold.release();
        return noContent;
      },
    }),
  ];
}
