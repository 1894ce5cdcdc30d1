/**
 * Svix: signs as Standard Webhooks do, which came from it, with headers of its own name.
 * Source: https://docs.svix.com/receiving/verifying-payloads/how-manual
 */
import { readHeader } from "../headers.ts";
import { openEnvelope } from "./envelope.ts";
import { readJson } from "./payload.ts";
import type { Scheme } from "./scheme.ts";
import { standardFamily } from "./standard-family.ts";

const HEADERS = { id: "svix-id", timestamp: "svix-timestamp", signature: "svix-signature" };

export const svix: Scheme = {
  ...standardFamily("svix", HEADERS),
  /** Svix leaves the body to those who send with it: what is no `{"type","data"}` is data as a whole. */
  describe: (payload, headers) => ({
    id: readHeader(headers, HEADERS.id),
    ...openEnvelope(readJson(payload, "Svix"), "svix"),
  }),
};
