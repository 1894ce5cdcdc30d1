/**
 * The audit log: who did what to what, append-only, each entry chained to the one before by a hash, so that a changed or a
 * removed entry shows. Secrets never stand in it.
 */
import { hash } from "node:crypto";
import type { AppId, AuditId, KeyId } from "../base/ids.ts";

export type Actor =
  /** By an API key, or by a browser's session that was opened with it. */
  | {
      readonly kind: "key" | "session";
      readonly keyId: KeyId;
      readonly role: string;
      readonly name: string;
    }
  /** A stranger: what failed to sign in, or the callback of an ownership check. */
  | { readonly kind: "stranger" }
  /** The program that Posthorn is embedded in. */
  | { readonly kind: "library" }
  /** A command on the machine of the store. */
  | { readonly kind: "operator" }
  /** Posthorn itself: a policy, a duty. */
  | { readonly kind: "system" };

export interface NewAuditEntry {
  readonly id: AuditId;
  readonly actor: Actor;
  /** `<resource>.<verb>`: `endpoint.update`, `key.create`, `secret.reveal`. */
  readonly action: string;
  readonly target: { readonly kind: string; readonly id: string };
  /** The app that it concerns. */
  readonly appId: AppId | null;
  /** What changed, redacted: JSON objects with the fields that differ. */
  readonly before: Readonly<Record<string, unknown>> | null;
  readonly after: Readonly<Record<string, unknown>> | null;
  readonly address: string | null;
  readonly requestId: string | null;
}

export interface AuditEntry extends NewAuditEntry {
  /** 1, 2, 3 ... without a gap. */
  readonly number: number;
  readonly atMs: number;
  /** Of the entry before, hex; 64 zeros for the first. */
  readonly previousHash: string;
  readonly hash: string;
}

export const FIRST_HASH = "0".repeat(64);

/**
 * SHA-256, hex, over the hash before and the entry in canonical form: each value as JSON, keys in the order of their UTF-16 code
 * units, which is not that of code points.
 */
export function auditHash(entry: Omit<AuditEntry, "hash">): string {
  const { previousHash, ...content } = entry;
  return hash("sha256", `${previousHash}\n${canonical(content)}`, "hex");
}

/** JSON with the keys of every object sorted, so that a copy that was read back hashes alike. */
function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "null";
  const object = value as Readonly<Record<string, unknown>>;
  const parts = Object.keys(object)
    .filter((key) => object[key] !== undefined)
    .sort()
    .map((key) => `${JSON.stringify(key)}:${canonical(object[key])}`);
  return `{${parts.join(",")}}`;
}

export type AuditFault =
  /** An entry is missing, or stands twice. */
  | { readonly kind: "gap"; readonly expected: number; readonly found: number }
  /** It does not follow on the one before. */
  | { readonly kind: "broken_chain"; readonly number: number }
  /** Its content is not what was hashed. */
  | { readonly kind: "changed"; readonly number: number };

/** Checks the next entry of the chain; null: it is as it was written. */
export function auditFault(
  previous: Pick<AuditEntry, "number" | "hash"> | null,
  entry: AuditEntry,
): AuditFault | null {
  const expected = (previous?.number ?? 0) + 1;
  if (entry.number !== expected) return { kind: "gap", expected, found: entry.number };
  const { hash: written, ...content } = entry;
  if (auditHash(content) !== written) return { kind: "changed", number: entry.number };
  if (entry.previousHash !== (previous?.hash ?? FIRST_HASH))
    return { kind: "broken_chain", number: entry.number };
  return null;
}
