/**
 * What the schemes share that sign as Standard Webhooks do: three headers, whatever their names, and secrets and keys as the text that
 * users have, told apart by how they begin.
 */
import { VerificationError } from "../verification-error.ts";
import { composeEnvelope } from "./envelope.ts";
import { bytesOf } from "./payload.ts";
import type { Scheme } from "./scheme.ts";
import {
  importStandardKey,
  importStandardPublicKey,
  type StandardKey,
  type StandardPublicKey,
} from "./standard-key.ts";
import { importStandardSecret, type StandardSecret } from "./standard-secret.ts";
import { type SignatureHeaders, signStandard, verifyNamed } from "./standard-signature.ts";

/** Secrets are `whsec_...` or `whpk_...`, those that sign `whsec_...` or `whsk_...`. */
export function standardFamily(name: string, names: SignatureHeaders): Omit<Scheme, "describe"> {
  return {
    name,
    strength: "strong",
    signsUrl: false,
    needsSecret: true,
    verifier(texts) {
      const keys = importVerifying(texts);
      return ({ headers, body }, clock) => {
        const { timestampSeconds } = verifyNamed(names, { headers, body, ...keys, ...clock });
        return { kind: "event", payload: bytesOf(body), timestampSeconds, acknowledgement: null };
      };
    },
    parseSecret: (text) => checked(text, importVerifying),
    parseSigningSecret: (text) => checked(text, importSigning),
    compose: composeEnvelope,
    sign({ id, timestampSeconds, url, contentType, body }, texts) {
      const headers = {
        "content-type": contentType,
        [names.id]: id,
        [names.timestamp]: String(timestampSeconds),
        [names.signature]: signStandard({ id, timestampSeconds, body, ...importSigning(texts) }),
      };
      return { method: "POST", url, headers, body };
    },
  };
}

function checked(text: string, importTexts: (texts: readonly string[]) => unknown): string {
  const secret = text.trim();
  importTexts([secret]);
  return secret;
}

/**
 * @param texts `whsec_...` secrets and `whpk_...` public keys
 * @throws VerificationError `invalid_secret`, `invalid_key`; also when there is none
 */
export function importVerifying(texts: readonly string[]): {
  readonly secrets: readonly StandardSecret[];
  readonly publicKeys: readonly StandardPublicKey[];
} {
  const [keys, secrets] = partition(texts, "whpk_");
  return {
    secrets: secrets.map((text) => importStandardSecret(text)),
    publicKeys: keys.map(importStandardPublicKey),
  };
}

/**
 * @param texts `whsec_...` secrets and `whsk_...` signing keys
 * @throws VerificationError `invalid_secret`, `invalid_key`; also when there is none
 */
export function importSigning(texts: readonly string[]): {
  readonly secrets: readonly StandardSecret[];
  readonly keys: readonly StandardKey[];
} {
  const [keys, secrets] = partition(texts, "whsk_");
  return { secrets: secrets.map((text) => importStandardSecret(text)), keys: keys.map(importStandardKey) };
}

function partition(texts: readonly string[], prefix: string): readonly [string[], string[]] {
  if (texts.length === 0) {
    throw new VerificationError("invalid_secret", "There is no secret and no key to sign or to check with.");
  }
  const [having, others]: [string[], string[]] = [[], []];
  for (const text of texts) {
    if (typeof text !== "string") {
      throw new VerificationError(
        "invalid_secret",
        `A secret must be text that starts with whsec_ or ${prefix}.`,
      );
    }
    (text.startsWith(prefix) ? having : others).push(text);
  }
  return [having, others];
}
