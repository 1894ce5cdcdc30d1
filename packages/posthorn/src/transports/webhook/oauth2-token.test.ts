import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { AttemptOutcome } from "../../domain/attempt.ts";
import type { OAuth2Client, Reply } from "../transport.ts";
import { readTokenAnswer, type TokenAnswer, tokenQuestion } from "./oauth2-token.ts";

const client: OAuth2Client = {
  tokenUrl: "https://auth.example.com/token",
  clientId: "shop",
  clientSecret: "tr0mbone-secret",
  scope: null,
  audience: null,
  clientAuthentication: "basic",
};

function read(
  answer: unknown,
  outcome: AttemptOutcome = { kind: "succeeded", status: 200, control: null },
): TokenAnswer {
  const body = answer instanceof Uint8Array ? answer : Buffer.from(JSON.stringify(answer));
  return readTokenAnswer({ outcome, headers: {}, body } satisfies Reply, client);
}

function rejected(status: number): AttemptOutcome {
  return { kind: "rejected", status, retryAfterMs: null, control: null };
}

function detailOf(answer: TokenAnswer): string {
  assert.equal(answer.kind, "denied");
  return answer.kind === "denied" ? answer.detail : "";
}

describe("asking for a token", () => {
  const body = (facts: Partial<OAuth2Client> = {}): string =>
    Buffer.from(tokenQuestion({ ...client, ...facts }).body ?? []).toString();

  test("is a POST of a form", () => {
    const { method, url, headers } = tokenQuestion(client);
    assert.deepEqual(
      [method, url, headers["content-type"]],
      ["POST", "https://auth.example.com/token", "application/x-www-form-urlencoded"],
    );
    assert.equal(body(), "grant_type=client_credentials");
    assert.equal(
      body({ scope: "hooks:write a+b", audience: "https://x.example/?a=b" }),
      "grant_type=client_credentials&scope=hooks%3Awrite+a%2Bb&audience=https%3A%2F%2Fx.example%2F%3Fa%3Db",
    );
  });

  test("names the client by Basic, id and secret each form-encoded first (RFC 6749 2.3.1)", () => {
    const { headers } = tokenQuestion({ ...client, clientId: "a:b c", clientSecret: "p+%:ä€~" });
    const [scheme, credentials = ""] = (headers.authorization ?? "").split(" ");
    assert.equal(scheme, "Basic");
    assert.equal(Buffer.from(credentials, "base64").toString(), "a%3Ab+c:p%2B%25%3A%C3%A4%E2%82%AC%7E");
  });

  test("or in the body, and then in no header", () => {
    const facts = { clientAuthentication: "body", clientId: "a:b", clientSecret: "p+%ä" } as const;
    assert.equal(tokenQuestion({ ...client, ...facts }).headers.authorization, undefined);
    assert.equal(body(facts), "grant_type=client_credentials&client_id=a%3Ab&client_secret=p%2B%25%C3%A4");
  });
});

describe("the answer of a token endpoint", () => {
  const granted = { access_token: "abc.DEF-1", token_type: "Bearer" };

  test("grants a token for its time but the last minute", () => {
    const lives: [unknown, number][] = [
      [undefined, 300_000],
      [3600, 3_540_000],
      ["3600", 3_540_000],
      [100, 50_000],
      [1, 500],
      [0, 0],
      [1e12, 24 * 3600 * 1000],
    ];
    for (const [expires_in, lifeMs] of lives) {
      assert.deepEqual(read({ ...granted, expires_in }), { kind: "granted", token: "abc.DEF-1", lifeMs });
    }
  });

  test("has its token_type in whatever case, and no other", () => {
    for (const token_type of ["bearer", "BEARER"])
      assert.equal(read({ ...granted, token_type }).kind, "granted");
    for (const token_type of ["mac", "", null, undefined, ["bearer"]]) {
      assert.match(detailOf(read({ ...granted, token_type })), /token_type/);
    }
  });

  test("without a token that fits into a header is none", () => {
    for (const access_token of [undefined, "", 7, "a b", "a\r\nx: y", "ä", "x".repeat(9000), ["a"]]) {
      assert.match(detailOf(read({ ...granted, access_token })), /200 without a usable access_token/);
    }
    for (const bytes of [
      "",
      "<html>",
      "null",
      "[]",
      '{"access_token":',
      "access_token=abc&token_type=bearer",
    ]) {
      assert.match(detailOf(read(Buffer.from(bytes))), /200 without a usable access_token/);
    }
    assert.equal(read(Buffer.from([0x7b, 0xff, 0x7d])).kind, "denied");
  });

  test("with a time that is none is none", () => {
    for (const expires_in of [-1, "soon", "", null, "1e3", [60]]) {
      assert.match(detailOf(read({ ...granted, expires_in })), /expires_in/);
    }
  });

  test("that refuses is told by its status and its error code", () => {
    const detail = detailOf(read({ error: "invalid_client", error_description: "no" }, rejected(401)));
    assert.equal(detail, "No access token: the token endpoint answered 401 (invalid_client).");
    assert.equal(detailOf(read({}, rejected(302))), "No access token: the token endpoint answered 302.");
  });

  test("is never repeated where it could hold a secret", () => {
    for (const error of [
      "tr0mbone-secret",
      "bad tr0mbone-secret",
      "tr0mbone",
      "x".repeat(99),
      { a: 1 },
      "\u001b[2J",
    ]) {
      assert.equal(
        detailOf(read({ error }, rejected(400))),
        "No access token: the token endpoint answered 400.",
      );
    }
    const own = { ...client, clientSecret: "open_sesame" };
    const body = Buffer.from('{"error":"open_sesame"}');
    assert.equal(
      detailOf(readTokenAnswer({ outcome: rejected(400), headers: {}, body }, own)),
      "No access token: the token endpoint answered 400.",
    );
  });

  test("that does not come since nobody was reached has that cause, by which it is hidden from apps", () => {
    for (const cause of ["address_refused", "connection_refused", "dns", "proxy", "tls_expired"] as const) {
      const answer = read({}, { kind: "unreachable", cause, detail: "It is so." });
      assert.deepEqual(answer, {
        kind: "denied",
        cause,
        detail: "No access token: the token endpoint cannot be reached: It is so.",
      });
    }
    assert.match(detailOf(read({}, { kind: "timed_out", phase: "response" })), /in time/);
  });
});
