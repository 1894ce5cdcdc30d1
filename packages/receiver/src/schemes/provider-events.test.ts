// What events of the providers say of themselves, beyond what holds for each scheme.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { linesOf } from "../headers.ts";
import { bitbucket } from "./bitbucket.ts";
import { gitlab } from "./gitlab.ts";
import { linear } from "./linear.ts";
import { meta } from "./meta.ts";
import { none } from "./none.ts";
import type { OutgoingEvent, Scheme } from "./scheme.ts";
import { shopify } from "./shopify.ts";
import { square } from "./square.ts";
import { svix } from "./svix.ts";
import { websub } from "./websub.ts";

const describes = (scheme: Pick<Scheme, "describe">, body: string, headers: Record<string, string> = {}) =>
  scheme.describe(Buffer.from(body), linesOf(headers));
const EVENT: OutgoingEvent = {
  id: "evt_1",
  type: "payment.updated",
  timestamp: "2023-11-14T22:13:20Z",
  data: Buffer.from('{"n":9007199254740993}'),
};
const composed = (scheme: Scheme, type = EVENT.type) =>
  Buffer.from(scheme.compose({ ...EVENT, type }).body).toString();
const unreadable = { name: "VerificationError", code: "invalid_payload" };

describe("what events say of themselves", () => {
  test("gitlab: the header's text, and the key that each attempt repeats", () => {
    const push = describes(gitlab, '{"object_kind":"push"}', {
      "X-Gitlab-Event": "Push Hook",
      "Idempotency-Key": "f5e5f430",
      "X-Gitlab-Event-UUID": "shared by others",
    });
    assert.deepEqual(push, { id: "f5e5f430", type: "Push Hook", data: { object_kind: "push" } });
    assert.equal(describes(gitlab, "{}", { "x-gitlab-event": "Tag Push Hook" }).id, null);
    assert.throws(() => describes(gitlab, "{}"), { code: "missing_header" });
  });
  test("bitbucket: Bitbucket's in headers, Jira's in the body", () => {
    const push = { "X-Event-Key": "repo:push", "X-Request-UUID": "d1" };
    assert.deepEqual(describes(bitbucket, "{}", push), { id: "d1", type: "repo:push", data: {} });
    const issue = describes(bitbucket, '{"webhookEvent":"jira:issue_created"}', {
      "X-Atlassian-Webhook-Identifier": "j1",
    });
    assert.deepEqual([issue.id, issue.type], ["j1", "jira:issue_created"]);
    const own = { "X-Event-Key": "repo:refs_changed", "X-Request-Id": "r1" };
    assert.equal(describes(bitbucket, "{}", own).id, "r1");
    assert.equal(describes(bitbucket, "{}", { ...push, ...own }).id, "d1");
    assert.throws(() => describes(bitbucket, "{}"), unreadable);
    assert.throws(() => describes(bitbucket, "[]"), unreadable);
  });
  test("shopify: the topic, and the webhook's id", () => {
    const headers = { "X-Shopify-Topic": "orders/create", "X-Shopify-Webhook-Id": "b54557e4" };
    const order = describes(shopify, '{"id":820982911946154508}', headers);
    assert.deepEqual([order.id, order.type], ["b54557e4", "orders/create"]);
    assert.throws(() => describes(shopify, "{}", { "x-shopify-topic": "orders/create" }), {
      code: "missing_header",
    });
  });
  test("square: the object inside, or what is left of a deleted one", () => {
    const body = composed(square);
    assert.equal(
      body,
      '{"type":"payment.updated","event_id":"evt_1","created_at":"2023-11-14T22:13:20Z","data":{"type":"payment","id":"evt_1","object":{"n":9007199254740993}}}',
    );
    assert.deepEqual(describes(square, '{"event_id":"e","type":"card.deleted","data":{"deleted":true}}'), {
      id: "e",
      type: "card.deleted",
      data: { deleted: true },
    });
    assert.equal(describes(square, '{"event_id":"e","type":"t"}').data, null);
    assert.throws(() => describes(square, '{"type":"t"}'), unreadable);
  });
  test("linear: what a thing is and what was done to it", () => {
    assert.equal(
      composed(linear, "Issue.create"),
      '{"action":"create","type":"Issue","createdAt":"2023-11-14T22:13:20Z","webhookId":"evt_1","data":{"n":9007199254740993}}',
    );
    const headers = { "Linear-Delivery": "l1" };
    const notification = describes(linear, '{"type":"AppUserNotification","notification":{}}', headers);
    assert.deepEqual(notification.data, { type: "AppUserNotification", notification: {} });
    assert.equal(notification.type, "AppUserNotification");
    assert.throws(() => describes(linear, '{"action":"create"}', headers), unreadable);
  });
  test("linear: signing adds the time of the attempt, unless the body has one", () => {
    const sign = (body: string) =>
      Buffer.from(
        linear.sign(
          {
            ...{ id: "l1", type: "Issue", contentType: "application/json", url: "https://receiver.example/" },
            ...{ body: Buffer.from(body), timestampSeconds: 1_700_000_000 },
          },
          ["secret"],
        ).body,
      ).toString();
    assert.equal(sign('{ "type":"Issue" }\n'), '{ "type":"Issue" ,"webhookTimestamp":1700000000000}');
    const timed = '{"webhookTimestamp":1,"type":"Issue"}';
    assert.equal(sign(timed), timed);
    const nested = '{"type":"Issue","data":{"webhookTimestamp":1}}';
    assert.match(sign(nested), /,"webhookTimestamp":1700000000000}$/);
  });
  test("svix and none: any JSON, opened where it is an envelope", () => {
    const headers = { "svix-id": "msg_1", "idempotency-key": "key_1" };
    for (const scheme of [svix, none]) {
      const id = scheme === svix ? "msg_1" : "key_1";
      const type = scheme.name;
      const read = (body: string) => describes(scheme, body, headers);
      assert.deepEqual(read('{"type":"a.b","data":[1]}'), { id, type: "a.b", data: [1] });
      assert.deepEqual(read('{"type":"a.b","data":null}'), { id, type: "a.b", data: null });
      assert.deepEqual(read('{"type":"a.b","n":1}'), { id, type: "a.b", data: { type: "a.b", n: 1 } });
      assert.deepEqual(read('{"order_id":"12345"}'), { id, type, data: { order_id: "12345" } });
      assert.deepEqual(read('{"type":7}'), { id, type, data: { type: 7 } });
      for (const body of ["[]", '"text"', "1", "null"]) {
        assert.deepEqual(read(body), { id, type, data: JSON.parse(body) });
      }
      for (const body of ["", "order=1", Buffer.from([0xff]).toString("latin1")]) {
        assert.throws(() => read(body), unreadable);
      }
    }
  });
  test("none: a body that is not JSON is not said to be signed", () => {
    assert.throws(() => describes(none, "no"), { ...unreadable, message: /^The body is not JSON/ });
  });
  test("none: ids and types that others put into headers", () => {
    assert.deepEqual(describes(none, "{}", { "ce-id": "c1", "ce-type": "order.created" }), {
      id: "c1",
      type: "order.created",
      data: {},
    });
    assert.equal(describes(none, "{}", { "webhook-id": "w1", "idempotency-key": "k1" }).id, "w1");
    assert.equal(describes(none, "{}").id, null);
  });
  test("none: an id of CloudEvents is one of its source, in either mode", () => {
    const binary = (source: string) => describes(none, "{}", { "ce-id": "1", "ce-source": source }).id;
    const structured = (source: string, more = {}) =>
      describes(none, JSON.stringify({ specversion: "1.0", id: "1", type: "t", source, ...more })).id;
    assert.deepEqual([binary("/a"), binary("/b")], ["/a\n1", "/b\n1"]);
    assert.deepEqual([structured("/a"), structured("/b")], ["/a\n1", "/b\n1"]);
    assert.equal(structured("/a", { specversion: undefined }), null);
  });
  test("meta and websub: the same again is the same; of another topic it is not", () => {
    const page = (time: number) => describes(meta, `{"object":"page","entry":[{"time":${time}}]}`).id;
    assert.match(page(1) ?? "", /^sha256:[0-9a-f]{64}$/);
    assert.equal(page(1), page(1));
    assert.notEqual(page(1), page(2));
    const feed = (body: string, link?: string) =>
      describes(websub, body, link === undefined ? {} : { Link: link }).id;
    const [hub, self] = ['<https://hub.example/>; rel="hub"', '<https://example.com/a>; rel="self"'];
    assert.equal(feed("<feed/>", self), feed("<feed/>", `${hub}, <https://example.com/a>; rel=self`));
    assert.equal(feed("<feed/>", hub), feed("<feed/>"));
    const others = [feed("<feed/>", self.replace("/a", "/b")), feed("<feed/>"), feed("<feed></feed>", self)];
    assert.equal(new Set([feed("<feed/>", self), ...others]).size, 4);
  });
});
