/**
 * GitLab with a secret token: it stands in `X-Gitlab-Token` as it is, so that only HTTPS keeps it secret, and nothing covers the body.
 * Source: https://docs.gitlab.com/user/project/integrations/webhooks/#validate-payloads-by-using-a-secret-token
 */
import { linesOf, readHeader } from "../headers.ts";
import { checkRawBody } from "../raw-body.ts";
import { composeGitlab, describeGitlab, gitlabHeaders } from "./gitlab-event.ts";
import { checkedToken, checkToken, parseToken } from "./hmac.ts";
import { bytesOf } from "./payload.ts";
import type { Scheme } from "./scheme.ts";
import { checkSome } from "./secret-parts.ts";

const HEADER = "x-gitlab-token";

export const gitlab: Scheme = {
  name: "gitlab",
  strength: "token",
  signsUrl: false,
  needsSecret: true,
  verifier(secrets) {
    const tokens = checkSome(secrets).map(checkedToken);
    return ({ headers, body }) => {
      checkRawBody(body);
      checkToken(tokens, HEADER, readHeader(linesOf(headers), HEADER));
      return { kind: "event", payload: bytesOf(body), timestampSeconds: null, acknowledgement: null };
    };
  },
  describe: describeGitlab,
  parseSecret: parseToken,
  parseSigningSecret: parseToken,
  compose: composeGitlab,
  sign(input, secrets) {
    const token = checkedToken(checkSome(secrets)[0]);
    return {
      method: "POST",
      url: input.url,
      headers: { ...gitlabHeaders(input), [HEADER]: token },
      body: input.body,
    };
  },
};
