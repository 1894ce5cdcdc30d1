/**
 * Bitbucket and Jira: `X-Hub-Signature`, a method and a signature in hex. `sha256` is the one method that they use and that is taken.
 * Sources: https://support.atlassian.com/bitbucket-cloud/docs/manage-webhooks/#Secure-webhooks,
 * https://support.atlassian.com/bitbucket-cloud/docs/event-payloads/,
 * https://confluence.atlassian.com/bitbucketserver/manage-webhooks-938025878.html and
 * https://developer.atlassian.com/cloud/jira/platform/webhooks/
 */
import { optionalHeader } from "../headers.ts";
import { type MacHeader, macOf, parseChosenSecret, verifyBodyMac } from "./hmac.ts";
import { invalidPayload, isObject, readJson, textMember } from "./payload.ts";
import type { Scheme } from "./scheme.ts";
import { importTextSecrets } from "./text-secret.ts";

const SIGNATURE: MacHeader = {
  header: "x-hub-signature",
  algorithm: "sha256",
  encoding: "hex",
  prefix: "sha256=",
};

export const bitbucket: Scheme = {
  name: "bitbucket",
  strength: "strong",
  signsUrl: false,
  needsSecret: true,
  verifier: (secrets) => verifyBodyMac(secrets, SIGNATURE),
  /** The id of Bitbucket Cloud, Jira and Bitbucket Data Center; `repo:push` from Bitbucket's header, `jira:issue_created` from Jira's body. */
  describe(payload, headers) {
    const data = readJson(payload, "Bitbucket");
    return {
      id:
        optionalHeader(headers, "x-request-uuid") ??
        optionalHeader(headers, "x-atlassian-webhook-identifier") ??
        optionalHeader(headers, "x-request-id"),
      type: optionalHeader(headers, "x-event-key") ?? typeInBody(data),
      data,
    };
  },
  parseSecret: parseChosenSecret,
  parseSigningSecret: parseChosenSecret,
  compose: ({ data }) => ({ contentType: "application/json", body: data }),
  sign({ id, type, url, contentType, body }, secrets) {
    const [key] = importTextSecrets(secrets);
    const headers = {
      "content-type": contentType,
      "x-event-key": type,
      "x-request-uuid": id,
      [SIGNATURE.header]: macOf(key, SIGNATURE, body),
    };
    return { method: "POST", url, headers, body };
  },
};

function typeInBody(data: unknown): string {
  if (isObject(data)) return textMember(data, "webhookEvent", "Bitbucket or Jira");
  throw invalidPayload("Bitbucket", "has no header x-event-key");
}
