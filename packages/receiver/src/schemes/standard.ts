/**
 * Standard Webhooks 1.0.0 as a scheme: secrets (`v1`) and public keys (`v1a`).
 * Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
 */
import { readHeader } from "../headers.ts";
import { openEnvelope } from "./envelope.ts";
import { readJson } from "./payload.ts";
import type { Scheme } from "./scheme.ts";
import { standardFamily } from "./standard-family.ts";
import { STANDARD_HEADERS } from "./standard-signature.ts";

export const standard: Scheme = {
  ...standardFamily("standard", STANDARD_HEADERS),
  describe: (payload, headers) => ({
    id: readHeader(headers, STANDARD_HEADERS.id),
    ...openEnvelope(readJson(payload, "Standard Webhooks"), "standard"),
  }),
};
