/** What the two schemes of GitLab share: an event says in headers what it is. */
import { type HeaderLines, optionalHeader, readHeader } from "../headers.ts";
import { readJson } from "./payload.ts";
import type { Composition, Description, OutgoingEvent, SignInput } from "./scheme.ts";

/**
 * The type is the header's text, such as `Push Hook`. The id comes with GitLab 17.4 and later and stays the same for each attempt; that
 * of `X-Gitlab-Event-UUID` does not do, since events that one event sets off share it.
 * Source: https://docs.gitlab.com/user/project/integrations/webhooks/#delivery-headers
 */
export function describeGitlab(payload: Uint8Array, headers: HeaderLines): Description {
  return {
    id: optionalHeader(headers, "idempotency-key"),
    type: readHeader(headers, "x-gitlab-event"),
    data: readJson(payload, "GitLab"),
  };
}

export function composeGitlab({ data }: OutgoingEvent): Composition {
  return { contentType: "application/json", body: data };
}

export function gitlabHeaders({ id, type, contentType }: SignInput) {
  return { "content-type": contentType, "x-gitlab-event": type, "idempotency-key": id };
}
