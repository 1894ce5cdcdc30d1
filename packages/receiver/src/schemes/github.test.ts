import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { linesOf } from "../headers.ts";
import { VerificationError } from "../verification-error.ts";
import { github } from "./github.ts";

const SECRET = "It's a Secret to Everybody";
const CLOCK = { nowSeconds: 0, toleranceSeconds: 300 };
const ISSUE = '{"action":"opened","issue":{"title":"Täglich grüßt"}}';

function received(type: string, body: string, contentType = "application/json") {
  const url = "https://receiver.example/github";
  const event = { id: "72d3162e", type, contentType, body: Buffer.from(body), url, timestampSeconds: 0 };
  const signed = github.sign(event, [SECRET]);
  const verified = github.verifier([SECRET])(signed, CLOCK);
  assert.ok(verified.kind === "event");
  return { signed, payload: verified.payload, ...github.describe(verified.payload, linesOf(signed.headers)) };
}

describe("events of GitHub", () => {
  test("are called by their name and the action in them; the header has the name alone", () => {
    const { signed, type } = received("issues.opened", ISSUE);
    assert.equal(signed.headers["x-github-event"], "issues");
    assert.equal(type, "issues.opened");
    assert.equal(received("push", '{"ref":"refs/heads/main"}').type, "push");
    assert.equal(received("ping", '{"zen":"...","action":7}').type, "ping");
  });
  test("keep a dotted type whose end is no action in the data", () => {
    const { signed, type } = received("order.created", '{"total":1}');
    assert.equal(signed.headers["x-github-event"], "order.created");
    assert.equal(type, "order.created");
  });
  test("may come as a form, whose payload is what handlers get", () => {
    const form = new URLSearchParams({ payload: ISSUE }).toString();
    const { payload, data, type, id } = received("issues", form, "application/x-www-form-urlencoded");
    assert.equal(Buffer.from(payload).toString(), ISSUE);
    assert.deepEqual(data, JSON.parse(ISSUE));
    assert.deepEqual({ type, id }, { type: "issues.opened", id: "72d3162e" });
  });
  test("are read as what was signed, whatever the content type says", () => {
    const inComment = JSON.stringify({
      action: "created",
      comment: `&payload=${encodeURIComponent(ISSUE)}&x=`,
    });
    const form = "application/x-www-form-urlencoded";
    assert.deepEqual(received("issue_comment", inComment, form).data, JSON.parse(inComment));
    const sent = new URLSearchParams({ payload: ISSUE }).toString();
    assert.deepEqual(received("issues", sent, "application/json").data, JSON.parse(ISSUE));
  });
  test("without a payload, with two, or with anything but JSON are refused after the signature", () => {
    const refusal = (error: unknown) =>
      error instanceof VerificationError && error.code === "invalid_payload";
    for (const form of ["load=%7B%7D", "payload=%7B%7D&payload=%7B%7D", "payload=x"]) {
      assert.throws(() => received("issues", form, "application/x-www-form-urlencoded"), refusal, form);
    }
    assert.throws(() => received("issues", "Hello"), refusal);
  });
});
