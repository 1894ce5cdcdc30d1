// What is answered at once: questions whether an address is wanted.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { VerificationError, type VerificationErrorCode } from "../verification-error.ts";
import { type MetaSecret, meta } from "./meta.ts";
import { none } from "./none.ts";
import type { Scheme, Verified } from "./scheme.ts";
import { type WebSubSecret, websub } from "./websub.ts";

const CLOCK = { nowSeconds: 1_700_000_000, toleranceSeconds: 300 };
const HOOK = "https://receiver.example/hooks";

function ask<Secret>(scheme: Scheme<Secret>, secrets: readonly Secret[], query: string): Verified {
  return scheme.verifier(secrets)({ method: "GET", url: `${HOOK}?${query}`, headers: {}, body: "" }, CLOCK);
}
function refused(code: VerificationErrorCode, run: () => unknown, text = /./): void {
  assert.throws(run, (error) => {
    assert.ok(error instanceof VerificationError, `${error}`);
    assert.equal(error.code, code, error.message);
    assert.match(error.message, text);
    return true;
  });
}
function echoes(verified: Verified, body: string): void {
  assert.ok(verified.kind === "handshake");
  assert.equal(verified.answer.status, 200);
  assert.equal(verified.answer.body, body);
  assert.match(verified.answer.headers["content-type"] ?? "", /^text\/plain/);
  assert.equal(verified.answer.headers["x-content-type-options"], "nosniff");
}

describe("meta asks for the verify token", () => {
  const secrets: MetaSecret[] = ["only an app secret", { appSecret: "app", verifyToken: "meaty hamhock" }];
  const question = (changes: Record<string, string> = {}) =>
    new URLSearchParams({
      "hub.mode": "subscribe",
      "hub.challenge": "1158201444",
      "hub.verify_token": "meaty hamhock",
      ...changes,
    }).toString();

  test("and gets its challenge back, as plain text that no browser takes for a page", () => {
    echoes(ask(meta, secrets, question()), "1158201444");
    echoes(ask(meta, secrets, question({ "hub.challenge": "<script>" })), "<script>");
  });
  test("and nothing without the token, with another, for another purpose, or twice", () => {
    refused("no_matching_signature", () => ask(meta, secrets, question({ "hub.verify_token": "app" })));
    refused("no_matching_signature", () => ask(meta, secrets, question({ "hub.mode": "unsubscribe" })));
    refused("missing_parameter", () => ask(meta, secrets, question({ "hub.verify_token": "" })));
    refused("missing_parameter", () => ask(meta, secrets, ""));
    refused("duplicate_parameter", () => ask(meta, secrets, `${question()}&hub.verify_token=x`));
  });
  test("and hears which part of the secret is missing", () => {
    refused("no_matching_signature", () => ask(meta, ["app"], question()), /"verifyToken"/);
  });
  test("by GET alone: a POST with the question in its URL needs its signature", () => {
    const request = { method: "POST", url: `${HOOK}?${question()}`, headers: {}, body: "" };
    refused("missing_header", () => meta.verifier(secrets)(request, CLOCK));
  });
});

describe("a hub of WebSub asks whether it was us", () => {
  const topic = "https://example.com/feed?a=1";
  const secrets: WebSubSecret[] = ["old", { secret: "new", topics: [topic] }];
  const question = (mode: string, about = topic) =>
    new URLSearchParams({
      ...{ "hub.mode": mode, "hub.topic": about, "hub.challenge": "c/1+2", "hub.lease_seconds": "864000" },
    }).toString();

  test("and gets its challenge back for a topic of ours", () => {
    echoes(ask(websub, secrets, question("subscribe")), "c/1+2");
    echoes(ask(websub, secrets, question("unsubscribe")), "c/1+2");
  });
  test("and not for topics and modes that we do not know", () => {
    refused("no_matching_signature", () => ask(websub, secrets, question("subscribe", `${topic}2`)));
    refused("no_matching_signature", () => ask(websub, secrets, question("publish")));
    refused("no_matching_signature", () => ask(websub, ["old"], question("subscribe")), /"topics"/);
    refused("missing_parameter", () => ask(websub, secrets, "hub.mode=subscribe"));
  });
  test("and is heard when it denies a subscription", () => {
    const denied = `hub.mode=denied&hub.topic=${encodeURIComponent(topic)}&hub.reason=spam`;
    echoes(ask(websub, secrets, denied), "");
  });
  test("and may sign with each of four methods, and with no other", () => {
    const event = { id: "", type: "", contentType: "text/xml", body: Buffer.from("<feed/>"), url: HOOK };
    const { headers } = websub.sign({ ...event, timestampSeconds: 0 }, secrets);
    const signature = headers["x-hub-signature"] ?? "";
    assert.match(signature, /^sha256=[0-9a-f]{64}$/);
    for (const [code, value] of [
      ["invalid_header", signature.replace("sha256", "md5")],
      ["invalid_header", signature.replace("sha256", "SHA256")],
      ["invalid_header", signature.slice("sha256=".length)],
      ["invalid_header", signature.replace("sha256", "sha512")],
    ] as const) {
      const request = { method: "POST", url: HOOK, headers: { "x-hub-signature": value }, body: event.body };
      refused(code, () => websub.verifier(secrets)(request, CLOCK));
    }
  });
});

describe("none, for senders that do not sign", () => {
  const request = (headers: Record<string, string | undefined>) => ({
    method: "POST",
    url: HOOK,
    headers,
    body: "{}",
  });
  test("takes whatever comes when there is no token", () => {
    assert.equal(none.verifier([])(request({}), CLOCK).kind, "event");
  });
  test("takes one of its tokens, in either header, and no other", () => {
    const verify = none.verifier(["first-token", "second-token"]);
    for (const headers of [
      { authorization: "Bearer second-token" },
      { authorization: "bearer first-token" },
      { "x-webhook-token": "first-token" },
    ]) {
      assert.equal(verify(request(headers), CLOCK).kind, "event");
    }
    for (const authorization of ["Bearer other", "Bearer first-token2", "Bearer first-toke"]) {
      refused("no_matching_signature", () => verify(request({ authorization }), CLOCK));
    }
    refused("missing_header", () => verify(request({}), CLOCK));
    refused("missing_header", () => verify(request({ authorization: "Basic first-token" }), CLOCK));
    // A good token in one header makes up for no wrong one in the other.
    const both = { authorization: "Bearer first-token", "x-webhook-token": "x" };
    refused("no_matching_signature", () => verify(request(both), CLOCK));
  });
});
