import { type Command, InvalidArgumentError } from "commander";
import type { AuditFault } from "../../domain/audit.ts";
import { type Chain, followChain, type ShownEntry } from "../audit-chain.ts";
import { field, type Page, type PageFlags, showPage, withPageOptions } from "../client/list.ts";
import { type ClientFlags, clientOf, withClientOptions } from "../client/options.ts";
import { command } from "../command.ts";
import { CliError, EXIT_CODES } from "../exit-code.ts";
import { print, printJson, say } from "../output/output.ts";

const PAGE_ROWS = 250;

export function auditCommand(): Command {
  return command("audit", "who did what to what", [
    "audit list --app shop --since 2026-01-31T00:00:00Z",
    "audit verify",
    "audit verify --head 5e884898da28047151d0e56f8dc62927...",
  ])
    .addCommand(list())
    .addCommand(verify());
}

interface ListFlags extends PageFlags {
  app?: string;
  since?: string;
  until?: string;
  oldest?: boolean;
}

function list(): Command {
  const made = withPageOptions(command("list", "newest first"))
    .option("--app <app>", "id or uid; the id also of one that is gone")
    .option("--since <time>", "ISO 8601")
    .option("--until <time>", "ISO 8601")
    .option("--oldest", "oldest first");
  return withClientOptions(made).action(async (flags: ClientFlags & ListFlags) => {
    const { oldest, app, since, until, limit, cursor } = flags;
    const order = oldest ? "oldest" : undefined;
    const query = { app, since, until, order, limit, cursor };
    const page = await clientOf(flags).get<Page<ShownEntry>>("/v1/audit", query);
    const columns = {
      number: field("number"),
      at: field("at"),
      actor: ({ actor }: ShownEntry) => ("keyId" in actor ? `${actor.kind} ${actor.keyId}` : actor.kind),
      action: field("action"),
      target: ({ target }: ShownEntry) => `${target.kind} ${target.id}`,
      address: field("address"),
      request: field("requestId"),
    };
    showPage<ShownEntry>(page, columns, flags.json);
  });
}

function verify(): Command {
  const made = command("verify", "follow the chain of hashes from the first entry to the last").option(
    "--head <hash>",
    "the head that an earlier run printed: it must still stand in the log",
    hashOf,
  );
  return withClientOptions(made).action(async (flags: ClientFlags & { head?: string }) => {
    const client = clientOf(flags);
    const chain = await followChain(
      (cursor) => client.get("/v1/audit", { order: "oldest", limit: PAGE_ROWS, cursor }),
      flags.head,
    );
    if (chain.fault !== null) throw broken(chain.fault);
    if (flags.head !== undefined && !chain.noted) throw cutOff(flags.head);
    show(chain, flags.json);
  });
}

function show({ entries, head }: Chain, asJson: boolean | undefined): void {
  if (asJson) {
    printJson({ entries, head });
    return;
  }
  print(`${entries} entries, each as it was written.`);
  if (head === null) return;
  print(`Head: ${head.number} ${head.hash}`);
  say("Keep it elsewhere: that a log was cut off at its end shows only by the head of an earlier time.");
}

function broken(fault: AuditFault): CliError {
  return new CliError(EXIT_CODES.failure, `The audit log is broken: ${describe(fault)}.`, {
    hint: "Someone changed it in the store, or the store is damaged. Compare it with the log lines `audit` that were shipped off, and with a backup.",
  });
}

function describe(fault: AuditFault): string {
  switch (fault.kind) {
    case "gap":
      return `entry ${fault.expected} is missing; ${fault.found} stands in its place`;
    case "changed":
      return `entry ${fault.number} is not what was written`;
    case "broken_chain":
      return `entry ${fault.number} does not follow on the one before it`;
  }
}

function cutOff(head: string): CliError {
  return new CliError(
    EXIT_CODES.failure,
    `The audit log is whole in itself, but no entry of it has the hash ${head}: it was cut off, or written anew.`,
  );
}

function hashOf(text: string): string {
  if (/^[0-9a-f]{64}$/i.test(text)) return text.toLowerCase();
  throw new InvalidArgumentError("It must be a SHA-256 hash: 64 hexadecimal digits.");
}
