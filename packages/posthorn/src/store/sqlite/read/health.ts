import { statSync } from "node:fs";
import type { StoreHealth } from "../../store.ts";
import { pragma } from "../database.ts";
import { lookAtSpace } from "../space.ts";
import { query } from "../statement.ts";
import type { Reading } from "./reading.ts";

export function health({ db, settings, nowMs }: Reading): StoreHealth {
  const facts = query<{ prunedAtMs: number | null }>(
    db,
    "SELECT pruned_at_ms AS prunedAtMs FROM store_facts",
  ).get();
  const prunedAtMs = facts?.prunedAtMs ?? null;
  const space = lookAtSpace(db, settings.dataDir, settings.reserveBytes);
  return {
    kind: "sqlite",
    durability: "wal, synchronous=full",
    schemaVersion: Number(pragma(db, "user_version")),
    bytes: size(settings.file) + size(`${settings.file}-wal`),
    freeBytes: space.freeBytes,
    prunedAgoMs: prunedAtMs === null ? null : Math.max(0, nowMs() - prunedAtMs),
    accepting: space.accepting,
    warnings: [],
    partitionsUntilMs: null,
  };
}

function size(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.size ?? 0;
}
