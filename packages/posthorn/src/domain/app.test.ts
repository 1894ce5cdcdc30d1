import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { newAppId } from "../base/ids.ts";
import { appCreateSchema, appUpdateSchema, metadataSchema, uidSchema } from "./app.ts";

describe("the uid that a caller chose", () => {
  test("is up to 128 letters, digits and _ . : @ -", () => {
    for (const uid of [
      "a",
      "shop-1",
      "acme.eu:7",
      "me@example.com",
      "...",
      "x".repeat(128),
      "application_1",
    ]) {
      assert.ok(uidSchema.safeParse(uid).success, uid);
    }
    for (const uid of ["", "a b", "a/b", "é", "a\n", "x".repeat(129), 7, null]) {
      assert.ok(!uidSchema.safeParse(uid).success, String(uid));
    }
  });

  test("cannot be taken for an id of ours, nor for a step in a path", () => {
    for (const uid of [newAppId(), "app_x", "ep_1", ".", ".."])
      assert.ok(!uidSchema.safeParse(uid).success, uid);
  });
});

describe("an app", () => {
  test("needs a name only, and is kept for 30 days", () => {
    assert.deepEqual(appCreateSchema.parse({ name: "Acme" }), {
      name: "Acme",
      metadata: {},
      retentionDays: 30,
      ownershipCheck: null,
    });
  });

  test("is kept for 7, 30, 90 or 365 days", () => {
    for (const retentionDays of [7, 30, 90, 365]) appCreateSchema.parse({ name: "a", retentionDays });
    for (const retentionDays of [0, 8, 7.5, "7", -30]) {
      assert.ok(!appCreateSchema.safeParse({ name: "a", retentionDays }).success, String(retentionDays));
    }
  });

  test("carries up to 16 KiB of metadata, counted in bytes", () => {
    const metadata = (text: string) =>
      Object.fromEntries(Array.from({ length: 15 }, (_, n) => [`key${n}`, text]));
    assert.ok(metadataSchema.safeParse(metadata("x".repeat(1024))).success);
    assert.ok(!metadataSchema.safeParse(metadata("界".repeat(1024))).success);
    assert.ok(!metadataSchema.safeParse({ a: 1 }).success);
  });

  test("a change may name any field, null clears, unknown fields are refused", () => {
    const patch = { uid: null, metadata: null, retentionDays: null };
    assert.deepEqual(appUpdateSchema.parse(patch), patch);
    assert.deepEqual(appUpdateSchema.parse({}), {});
    assert.ok(!appUpdateSchema.safeParse({ name: null }).success);
    assert.ok(!appUpdateSchema.safeParse({ nmae: "x" }).success);
  });
});
