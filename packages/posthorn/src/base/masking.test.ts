import assert from "node:assert/strict";
import { test } from "node:test";
import { maskSecrets, pointsAtSecret } from "./masking.ts";

test("secrets inside of a text are cut to their prefix, the rest stays", () => {
  for (const [text, shown] of [
    ['There is no key "phk_abc-DEF_1".', 'There is no key "phk_***".'],
    ["whsec_abc+/=,whsk_x", "whsec_***,whsk_***"],
    ["authorization: Bearer abcdefgh.ijk", "authorization: Bearer ***"],
    ["https://me:word@example.com/a@b", "https://***@example.com/a@b"],
    [
      "a -----BEGIN EC PRIVATE KEY-----\nabc\n-----END EC PRIVATE KEY----- b",
      "a -----PRIVATE KEY ***----- b",
    ],
    ["cut -----BEGIN PRIVATE KEY-----\nabc", "cut -----PRIVATE KEY ***-----"],
    [
      "evt_01h, dlv_x, a Bearer of news, https://example.com/?a=b@c",
      "evt_01h, dlv_x, a Bearer of news, https://example.com/?a=b@c",
    ],
  ] as const) {
    assert.equal(maskSecrets(text), shown);
  }
});

test("a pointer into a secret field is known as one", () => {
  for (const pointer of [
    "/secret",
    "/headers/x-token",
    "/0/Authorization",
    "/masterKey",
    "/authentication/password",
    "/clientCertificate/privateKey",
    "/authentication",
  ]) {
    assert.ok(pointsAtSecret(pointer), pointer);
  }
  for (const pointer of ["", "/name", "/secretary", "/authentication/tokenUrl", "/idempotency-key"])
    assert.ok(!pointsAtSecret(pointer), pointer);
});
