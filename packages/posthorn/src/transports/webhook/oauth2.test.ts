import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { OAuth2Client, Question, Reply, ShipmentAccess } from "../transport.ts";
import { createAccessTokens } from "./oauth2.ts";

const client: OAuth2Client = {
  tokenUrl: "https://auth.example.com/token",
  clientId: "shop",
  clientSecret: "s",
  scope: null,
  audience: null,
  clientAuthentication: "basic",
};
const access = (id: string): ShipmentAccess => ({ id, tls: null, oauth2: client });

/** A token endpoint that answers with the next of these, the last one again and again; a clock that stands still. */
function endpoint(...answers: (string | number | "silence" | "fault")[]) {
  const questions: Question[] = [];
  const clock = { now: 1000 };
  const ask = (question: Question): Promise<Reply> => {
    questions.push(question);
    const answer = answers[Math.min(questions.length, answers.length) - 1];
    if (answer === "silence") return new Promise<never>(() => {});
    if (answer === "fault") return Promise.reject(new Error("a fault of ours"));
    const isToken = typeof answer === "string";
    const body = { access_token: answer, token_type: "bearer", expires_in: 600 };
    return Promise.resolve({
      outcome: isToken
        ? { kind: "succeeded", status: 200, control: null }
        : { kind: "rejected", status: answer ?? 500, retryAfterMs: null, control: null },
      headers: {},
      body: Buffer.from(isToken ? JSON.stringify(body) : ""),
    });
  };
  const tokens = createAccessTokens({ ask, failureMs: 5000, tokensMax: 3, now: () => clock.now });
  const tokenFor = async (id = "a", of = client): Promise<string> => {
    const answer = await tokens.tokenFor(access(id), of, 1000);
    return answer.kind === "granted" ? answer.token : answer.detail;
  };
  return { questions, clock, tokens, tokenFor };
}

describe("access tokens", () => {
  test("are asked for once, whoever waits, and kept until a minute before they end", async () => {
    const { questions, clock, tokenFor } = endpoint("one", "two");
    assert.deepEqual(await Promise.all([tokenFor(), tokenFor(), tokenFor()]), ["one", "one", "one"]);
    clock.now += 539_999;
    assert.equal(await tokenFor(), "one");
    assert.equal(questions.length, 1);
    clock.now += 1;
    assert.deepEqual(await Promise.all([tokenFor(), tokenFor()]), ["two", "two"]);
    assert.equal(questions.length, 2);
  });

  test("are each endpoint's own", async () => {
    const { questions, tokenFor } = endpoint("one", "two");
    assert.deepEqual([await tokenFor("a"), await tokenFor("b"), await tokenFor("a")], ["one", "two", "one"]);
    assert.equal(questions.length, 2);
  });

  test("that were dropped are asked for anew, once, however many drop the same one", async () => {
    const { questions, tokens, tokenFor } = endpoint("one", "two");
    await tokenFor();
    tokens.drop(access("a"), "one");
    const next = tokenFor();
    tokens.drop(access("a"), "one");
    assert.deepEqual([await next, await tokenFor()], ["two", "two"]);
    tokens.drop(access("a"), "one");
    assert.equal(await tokenFor(), "two");
    assert.equal(questions.length, 2);
  });

  test("that are refused are not asked for again for five seconds", async () => {
    const { questions, clock, tokenFor } = endpoint(503, "one");
    for (let i = 0; i < 10; i++) assert.match(await tokenFor(), /answered 503/);
    clock.now += 4999;
    assert.match(await tokenFor(), /answered 503/);
    assert.equal(questions.length, 1);
    clock.now += 1;
    assert.equal(await tokenFor(), "one");
  });

  test("that are refused stay refused for the endpoint's next version, but not with another secret", async () => {
    const { questions, clock, tokenFor } = endpoint(401, 401, "one");
    for (const id of ["a:1", "a:2", "b:1"]) assert.match(await tokenFor(id), /answered 401/);
    assert.equal(questions.length, 1);
    assert.match(await tokenFor("a:3", { ...client, clientSecret: "also wrong" }), /answered 401/);
    assert.equal(await tokenFor("a:4", { ...client, clientSecret: "right" }), "one");
    clock.now += 5000;
    assert.equal(await tokenFor("a:5"), "one");
    assert.equal(questions.length, 4);
  });

  test("that a receiver does not accept are asked for again every five seconds at most", async () => {
    const { questions, clock, tokens, tokenFor } = endpoint("one", "two", "three");
    await tokenFor();
    assert.equal(tokens.drop(access("a"), "one"), true);
    assert.equal(await tokenFor(), "two");
    clock.now += 4999;
    assert.equal(tokens.drop(access("a"), "two"), false);
    assert.equal(await tokenFor(), "two");
    clock.now += 1;
    assert.equal(tokens.drop(access("a"), "two"), true);
    assert.equal(await tokenFor(), "three");
    assert.equal(questions.length, 3);
  });

  test("are asked for again after a fault of ours, which is a denial", async () => {
    const { clock, tokenFor } = endpoint("fault", "one");
    assert.equal(await tokenFor(), "No access token: the token endpoint cannot be asked.");
    clock.now += 5000;
    assert.equal(await tokenFor(), "one");
  });

  test("that do not come in time are waited for no longer; the question stays the only one", async () => {
    const { questions, tokens } = endpoint("silence");
    for (let i = 0; i < 3; i++) {
      const answer = await tokens.tokenFor(access("a"), client, 5);
      assert.ok(answer.kind === "denied" && /within the attempt's time/.test(answer.detail));
    }
    assert.equal(questions.length, 1);
  });

  test("are bounded, the one that was not asked for the longest time is forgotten", async () => {
    const { questions, tokenFor } = endpoint("x");
    for (const id of ["a", "b", "c", "a", "d", "a"]) await tokenFor(id);
    assert.equal(questions.length, 4);
    await tokenFor("b");
    assert.equal(questions.length, 5);
  });
});
