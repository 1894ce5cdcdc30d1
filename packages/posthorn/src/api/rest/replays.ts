/** /v1/replays: replays under way. They are started at an endpoint. */
import { z } from "zod";
import { REPLAY_STATES, type Replay } from "../../domain/replay.ts";
import type { Engine } from "../../engine/engine.ts";
import { iso, json, MANAGE_APP, maybeTimeView, READ_APP, type Route, route, timeView } from "./route.ts";

export const replayView = z
  .object({
    id: z.string(),
    appId: z.string(),
    endpointId: z.string(),
    since: timeView,
    until: timeView,
    states: z.array(z.string()),
    eventTypes: z.array(z.string()),
    state: z.enum(REPLAY_STATES),
    examined: z.number().describe("Events looked at so far"),
    created: z.number().describe("Deliveries made so far"),
    createdAt: timeView,
    finishedAt: maybeTimeView,
  })
  .meta({ id: "Replay" });

export function viewReplay(replay: Replay): z.input<typeof replayView> {
  const { id, appId, endpointId, state, examined, created } = replay;
  return {
    id,
    appId,
    endpointId,
    since: iso(replay.sinceMs),
    until: iso(replay.untilMs),
    states: [...replay.states],
    eventTypes: [...replay.eventTypes],
    state,
    examined,
    created,
    createdAt: iso(replay.createdAtMs),
    finishedAt: iso(replay.finishedAtMs),
  };
}

export function replayRoutes({ replays }: Pick<Engine, "replays">): Route[] {
  const tag = "Replays";
  const one = [{ status: 200, description: "The replay", schema: replayView }];
  return [
    route({
      method: "GET",
      path: "/v1/replays/{replay}",
      tag,
      summary: "Show a replay and how far it has come",
      access: READ_APP,
      scope: "within",
      answers: one,
      handle: async ({ params, within }) => json(200, viewReplay(await replays.get(params.replay, within))),
    }),
    route({
      method: "POST",
      path: "/v1/replays/{replay}/cancel",
      tag,
      summary: "Stop a replay; the deliveries that it has made stay",
      access: MANAGE_APP,
      scope: "within",
      answers: one,
      handle: async ({ params, within }) =>
        json(200, viewReplay(await replays.cancel(params.replay, within))),
    }),
  ];
}
