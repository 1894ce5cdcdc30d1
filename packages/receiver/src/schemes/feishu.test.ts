import assert from "node:assert/strict";
import { createCipheriv, createHash } from "node:crypto";
import { describe, test } from "node:test";
import { linesOf } from "../headers.ts";
import { VerificationError } from "../verification-error.ts";
import { feishu } from "./feishu.ts";
import type { FeishuSecret } from "./feishu-secret.ts";
import type { Verified } from "./scheme.ts";

const NOW = 1_700_000_000;
const KEY = "test key";
const TOKEN = "v1-token";
const SECRET: FeishuSecret = { encryptKey: KEY, verificationToken: TOKEN };
const QUESTION = { challenge: "ajls384kdjx98XX", token: TOKEN, type: "url_verification" };
const V2 = {
  ...{ schema: "2.0", header: { event_id: "f7984f25", event_type: "im.message.receive_v1", token: TOKEN } },
  event: { message: { id: "om_1" } },
};
const V1 = {
  ts: "1502199207.7",
  uuid: "41b5f371",
  token: TOKEN,
  type: "event_callback",
  event: { type: "add_bot" },
};

function encrypted(message: unknown, key = KEY): string {
  const aesKey = createHash("sha256").update(key).digest();
  const cipher = createCipheriv("aes-256-cbc", aesKey, Buffer.alloc(16, 7));
  const text = typeof message === "string" ? message : JSON.stringify(message);
  const bytes = Buffer.concat([Buffer.alloc(16, 7), cipher.update(text), cipher.final()]);
  return JSON.stringify({ encrypt: bytes.toString("base64") });
}

function signatureOf(body: string, key = KEY): Record<string, string> {
  const signature = createHash("sha256").update(`${NOW}nonce${key}${body}`).digest("hex");
  return {
    ...{
      "X-Lark-Request-Timestamp": String(NOW),
      "X-Lark-Request-Nonce": "nonce",
      "X-Lark-Signature": signature,
    },
  };
}

function accept(
  body: string,
  headers: Record<string, string> = {},
  secrets: readonly FeishuSecret[] = [SECRET],
): Verified {
  const request = { method: "POST", url: "https://r.example/", headers, body };
  return feishu.verifier(secrets)(request, { nowSeconds: NOW, toleranceSeconds: 300 });
}
const signed = (message: unknown, secrets?: readonly FeishuSecret[]) => {
  const body = encrypted(message);
  return accept(body, signatureOf(body), secrets);
};
const refused = (code: string, run: () => unknown, message = /./) =>
  assert.throws(run, { name: "VerificationError", code, message });
const challengeIn = (verified: Verified) =>
  verified.kind === "handshake" ? JSON.parse(verified.answer.body) : assert.fail("an event");
const messageOf = (run: () => unknown) => {
  try {
    run();
  } catch (error) {
    assert.ok(error instanceof VerificationError);
    return `${error.code}: ${error.message}`;
  }
  assert.fail("nothing was thrown");
};

describe("the question of Feishu's console", () => {
  test("is answered encrypted and signed, encrypted without a signature, and in the clear", () => {
    const expected = { challenge: QUESTION.challenge };
    assert.deepEqual(challengeIn(signed(QUESTION)), expected);
    assert.deepEqual(challengeIn(accept(encrypted(QUESTION))), expected);
    const tokenOnly = [{ verificationToken: TOKEN }];
    assert.deepEqual(challengeIn(accept(JSON.stringify(QUESTION), {}, tokenOnly)), expected);
  });
  test("with another token, key or signature it is not", () => {
    refused("no_matching_signature", () => signed({ ...QUESTION, token: "other" }));
    refused("missing_header", () => accept(encrypted({ ...QUESTION, token: "other" })));
    refused("missing_header", () => accept(encrypted(QUESTION, "other key")));
    refused("no_matching_signature", () => accept(encrypted(QUESTION), signatureOf("other body")));
    refused("no_matching_signature", () =>
      accept(JSON.stringify({ ...QUESTION, token: "other" }), {}, [{ verificationToken: TOKEN }]),
    );
  });
  test("no event without a signature, and no word about how far a stranger's message got", () => {
    const bytes = Buffer.from(JSON.parse(encrypted(QUESTION)).encrypt as string, "base64");
    bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
    const spoiled = JSON.stringify({ encrypt: bytes.toString("base64") });
    const bodies = [
      encrypted(V2),
      encrypted(V1),
      spoiled,
      encrypted("no JSON"),
      "no JSON",
      "{}",
      '{"encrypt":7}',
    ];
    const expected = messageOf(() => accept(""));
    assert.match(expected, /^missing_header: .*x-lark-signature/);
    for (const body of bodies)
      assert.equal(
        messageOf(() => accept(body)),
        expected,
        body,
      );
  });
  test("what is no random text is not echoed: a block of somebody's message could be in it", () => {
    for (const challenge of ["<script>", "a b", "\ufffd", "", 7, "x".repeat(257)]) {
      refused("missing_header", () => accept(encrypted({ ...QUESTION, challenge })));
      refused("no_matching_signature", () => signed({ ...QUESTION, challenge }));
    }
  });
});

describe("an event of Feishu's", () => {
  const described = (verified: Verified) => {
    assert.ok(verified.kind === "event");
    return feishu.describe(verified.payload, linesOf({}));
  };
  test("schema 2.0 and 1.0: id, type and data", () => {
    assert.deepEqual(described(signed(V2)), {
      id: "f7984f25",
      type: "im.message.receive_v1",
      data: V2.event,
    });
    assert.deepEqual(described(signed(V1)), { id: "41b5f371", type: "add_bot", data: V1.event });
  });
  test("one that speaks of url_verification is an event", () => {
    assert.equal(signed({ ...V2, event: { text: '"type":"url_verification"' } }).kind, "event");
  });
  test("the token is checked where it is given, in its place by schema", () => {
    const wrong = { ...V2, token: TOKEN, header: { ...V2.header, token: "other" } };
    refused("no_matching_signature", () => signed(wrong));
    refused("no_matching_signature", () => signed({ ...V1, token: undefined }));
    assert.equal(signed(wrong, [{ encryptKey: KEY }]).kind, "event");
  });
  test("a ciphertext that cannot be opened is refused in the words of a wrong signature", () => {
    const good = encrypted(V2);
    const expected = messageOf(() => accept(good, signatureOf(`${good} `)));
    assert.match(expected, /^no_matching_signature/);
    for (const body of [
      encrypted(V2, "other key"),
      '{"encrypt":"AAAA"}',
      '{"encrypt":"*"}',
      '{"encrypt":""}',
      '{"encrypt":[]}',
    ]) {
      assert.equal(
        messageOf(() => accept(body, signatureOf(body))),
        expected,
        body,
      );
    }
  });
  test("without an Encrypt Key the token alone lets in; with one it does not", () => {
    const body = JSON.stringify(V2);
    const verified = accept(body, {}, [{ verificationToken: TOKEN }]);
    assert.equal(described(verified).id, "f7984f25");
    assert.equal(verified.kind === "event" && verified.timestampSeconds, null);
    refused("missing_header", () => accept(body));
    refused("no_matching_signature", () => accept(body, {}, [{ verificationToken: "other" }]));
  });
  test("during a rotation the old key and the new count", () => {
    const body = encrypted(V2, "next");
    assert.equal(accept(body, signatureOf(body, "next"), [SECRET, { encryptKey: "next" }]).kind, "event");
  });
  test("signed, but not Feishu's", () => {
    for (const body of ["no JSON", "{}", '{"header":{}}', '{"event":{}}']) {
      refused("invalid_payload", () => feishu.describe(Buffer.from(body), linesOf({})));
    }
  });
});

describe("an event of ours in Feishu's form", () => {
  const event = {
    id: "evt_1",
    type: "a.b",
    timestamp: "2023-11-14T22:13:20.000Z",
    data: Buffer.from('{"n":1.0}'),
  };
  const sent = (secret: FeishuSecret) =>
    feishu.sign(
      {
        ...feishu.compose(event),
        id: "evt_1",
        type: "a.b",
        timestampSeconds: NOW,
        url: "https://r.example/",
      },
      [secret],
    );
  test("is of schema 2.0, carries the token, and its data is as it was", () => {
    const text = Buffer.from(sent({ verificationToken: TOKEN }).body).toString();
    assert.ok(text.endsWith(',"event":{"n":1.0}}'));
    assert.deepEqual(JSON.parse(text).header, {
      ...{ event_id: "evt_1", event_type: "a.b", create_time: "1700000000000", token: TOKEN },
      ...{ app_id: "", tenant_key: "" },
    });
  });
  test("is encrypted and signed where there is a key, and neither where there is none", () => {
    const { body, headers } = sent(SECRET);
    const verified = accept(Buffer.from(body).toString(), { ...headers });
    assert.ok(verified.kind === "event");
    assert.ok(Buffer.from(verified.payload).includes('"event":{"n":1.0}'));
    assert.deepEqual(Object.keys(sent({ verificationToken: TOKEN }).headers), ["content-type"]);
  });
  test("secrets: JSON, or the Encrypt Key alone; a part that is wrong is named and not shown", () => {
    assert.deepEqual(feishu.parseSecret(`${KEY}\n`), { encryptKey: KEY });
    assert.deepEqual(feishu.parseSecret(JSON.stringify(SECRET)), SECRET);
    refused(
      "invalid_secret",
      () => feishu.parseSecret('{"encryptkey":"hidden"}'),
      /^(?!.*hidden).*"encryptKey"/,
    );
    refused(
      "invalid_secret",
      () => feishu.parseSecret('{"encryptKey":" hidden"}'),
      /^(?!.*hidden).*white space/,
    );
    refused("invalid_secret", () => feishu.parseSecret('{"encryptKey":hidden}'), /^(?!.*hidden)/);
  });
});
