/**
 * /v1/verifications/{key}: where a receiver consents later, by the callback of its ownership check (CloudEvents' "HTTP 1.1
 * Web Hooks for Event Delivery" 4.2). The key in the path is what it shows; GET counts as well, since it may be a link that a
 * person opens. HEAD does not: it would use the callback up.
 */
import { z } from "zod";
import { PosthornError } from "../../base/errors.ts";
import type { Endpoints, Engine } from "../../engine/engine.ts";
import { rateOf } from "../../engine/ownership-check.ts";
import { json, NO_STORE, type Route, type RouteInput, route } from "./route.ts";

const RATE = "WebHook-Allowed-Rate";
const query = z.strictObject({
  [RATE]: z.string().max(20).optional().meta({ description: "Requests per minute that are granted, or *" }),
});
const grantedView = z.object({ verified: z.literal(true) }).meta({ id: "Verified" });

export function verificationRoutes({ endpoints }: Pick<Engine, "endpoints">): Route[] {
  return (["GET", "POST"] as const).map((method) =>
    route({
      method,
      path: "/v1/verifications/{key}",
      tag: "Verifications",
      summary: "Consent to an ownership check by its callback; once",
      access: "open",
      head: false,
      query,
      requestHeaders: { [RATE]: "Requests per minute that are granted, or *" },
      answers: [{ status: 200, description: "The endpoint is verified", schema: grantedView }],
      handle: (input) => grant(endpoints, input),
    }),
  );
}

async function grant(
  endpoints: Endpoints,
  { params, query: asked, headers }: RouteInput<{ readonly key: string }, z.output<typeof query>>,
) {
  const text = asked[RATE] ?? headers[RATE.toLowerCase()];
  await endpoints.grant(params.key, { ratePerMinute: ratePerMinute(text) });
  return json(200, { verified: true }, NO_STORE);
}

/** null: it says nothing, or grants as much as was asked for. A rate that is none uses nothing up. */
function ratePerMinute(text: string | readonly string[] | undefined): number | null {
  if (text === undefined) return null;
  const rate = rateOf(String(text).trim());
  if (rate !== undefined) return rate;
  throw new PosthornError(
    "invalid_field",
    `/${RATE} must be a positive whole number of requests per minute, or *. (got ${JSON.stringify(text)})`,
    { pointer: `/${RATE}`, value: text },
  );
}
