/** A replay makes new deliveries of stored events for one endpoint, by time window and filter. */
import { z } from "zod";
import type { AppId, EndpointId, ReplayId } from "../base/ids.ts";
import { timestampSchema } from "./event.ts";

export const REPLAY_STATES = ["running", "finished", "cancelled"] as const;
export type ReplayState = (typeof REPLAY_STATES)[number];

export interface Replay {
  readonly id: ReplayId;
  readonly appId: AppId;
  readonly endpointId: EndpointId;
  readonly sinceMs: number;
  readonly untilMs: number;
  /** Empty: every stored event that matches the endpoint now. */
  readonly states: readonly string[];
  readonly eventTypes: readonly string[];
  readonly state: ReplayState;
  /** Events looked at so far, and deliveries made of them. */
  readonly examined: number;
  readonly created: number;
  readonly createdAtMs: number;
  readonly finishedAtMs: number | null;
}

/** What a replay would do. `capped`: the window holds more events than are counted. */
export interface DryRun {
  readonly examined: number;
  readonly matching: number;
  readonly capped: boolean;
}

export const replayCreateSchema = z.strictObject({
  since: timestampSchema,
  until: timestampSchema.optional(),
  states: z
    .array(z.enum(["delivered", "dead_lettered", "cancelled"]))
    .max(3)
    .default([]),
  eventTypes: z.array(z.string().min(1).max(128)).max(200).default([]),
  dryRun: z.boolean().default(false),
});
export type ReplayCreate = z.input<typeof replayCreateSchema>;
