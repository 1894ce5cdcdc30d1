/** Content-Digest (RFC 9530): what a signature over headers covers the body with. */
import { createHash, timingSafeEqual } from "node:crypto";
import { parseDictionary } from "./structured-fields.ts";
import { VerificationError } from "./verification-error.ts";

/** The active algorithms of the RFC's registry, and node:crypto's names. All others are deprecated, and prove nothing. */
const ALGORITHMS: ReadonlyMap<string, string> = new Map([
  ["sha-256", "sha256"],
  ["sha-512", "sha512"],
]);

/** The value of `content-digest` for a body as it is sent: `sha-256=:<base64>:`. */
export function contentDigest(body: Uint8Array | string): string {
  return `sha-256=:${createHash("sha256").update(body).digest("base64")}:`;
}

/**
 * Checks that the body is the one whose digest the header holds: there must be a SHA-256 or SHA-512 of it, and both must be
 * right if both are there.
 * @param header the value of `content-digest`
 * @throws VerificationError `invalid_header` when it cannot be read, `digest_mismatch`
 */
export function verifyContentDigest(header: string, body: Uint8Array | string): void {
  let checked = 0;
  for (const [name, member] of parseDictionary("content-digest", header)) {
    const algorithm = ALGORITHMS.get(name);
    if (algorithm === undefined) continue;
    const digest = createHash(algorithm).update(body).digest();
    const claimed = "value" in member && member.value.kind === "bytes" ? member.value.value : undefined;
    if (claimed?.length !== digest.length || !timingSafeEqual(claimed, digest)) {
      throw new VerificationError(
        "digest_mismatch",
        `content-digest holds another ${name} than the body has. Check that the body is byte for byte as received.`,
      );
    }
    checked += 1;
  }
  if (checked > 0) return;
  throw new VerificationError(
    "digest_mismatch",
    `content-digest holds neither ${[...ALGORITHMS.keys()].join(" nor ")}; older algorithms prove nothing.`,
  );
}
