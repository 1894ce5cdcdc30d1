/**
 * GitLab with a signing token (`whsec_...`): signs as Standard Webhooks do, and says what the event is as GitLab does.
 * Source: https://docs.gitlab.com/user/project/integrations/webhooks/#signing-tokens
 */
import { readHeader } from "../headers.ts";
import { composeGitlab, describeGitlab, gitlabHeaders } from "./gitlab-event.ts";
import type { Scheme } from "./scheme.ts";
import { standardFamily } from "./standard-family.ts";
import { STANDARD_HEADERS } from "./standard-signature.ts";

const family = standardFamily("gitlab-signing", STANDARD_HEADERS);

export const gitlabSigning: Scheme = {
  ...family,
  /** Of the two headers that hold the id, the one that is signed. */
  describe: (payload, headers) => ({
    ...describeGitlab(payload, headers),
    id: readHeader(headers, STANDARD_HEADERS.id),
  }),
  compose: composeGitlab,
  sign(input, secrets) {
    const signed = family.sign(input, secrets);
    return { ...signed, headers: { ...gitlabHeaders(input), ...signed.headers } };
  },
};
