import type { Command } from "commander";
import { part } from "../client/client.ts";
import { showValue } from "../client/list.ts";
import { type ClientFlags, clientOf, withClientOptions } from "../client/options.ts";
import { command } from "../command.ts";

export function redeliverCommand(): Command {
  const made = command("redeliver", "deliver an event once more; prints the id of the new delivery", [
    "redeliver dlv_...",
  ]).argument("<delivery>", "the one to repeat");
  return withClientOptions(made).action(async (id: string, flags: ClientFlags) => {
    const answer = await clientOf(flags).post<{ id: string }>(`/v1/deliveries/${part(id)}/redeliver`);
    showValue(answer.id, answer, flags.json);
  });
}
