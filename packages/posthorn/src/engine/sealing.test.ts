import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { newAppId, newId } from "../base/ids.ts";
import { createVault, VaultError } from "../security/vault.ts";
import { openHeaders, openSecret, sealHeaders, sealSecret } from "./sealing.ts";

const vault = createVault(Buffer.alloc(32, 1));
const [app, otherApp] = [newAppId(), newAppId()];
const [endpoint, otherEndpoint] = [newId("ep"), newId("ep")];

describe("what is sealed for an endpoint", () => {
  test("opens for it", () => {
    assert.equal(openSecret(vault, app, endpoint, sealSecret(vault, app, endpoint, "whsec_x")), "whsec_x");
    const headers = { Authorization: "Bearer x", "x-shop": "7" };
    const sealed = sealHeaders(vault, app, endpoint, headers);
    assert.ok(sealed !== null && !Buffer.from(sealed).includes("Bearer"));
    assert.deepEqual(openHeaders(vault, app, endpoint, sealed), headers);
  });

  test("is nothing where there are no headers", () => {
    assert.equal(sealHeaders(vault, app, endpoint, {}), null);
    assert.deepEqual(openHeaders(vault, app, endpoint, null), {});
  });

  test("is bound to the row that it is stored in, for ever: other words would not open what is stored", () => {
    const bindings: string[] = [];
    const seal = (_: unknown, binding: string): Uint8Array => {
      bindings.push(binding);
      return new Uint8Array();
    };
    sealSecret({ ...vault, seal }, app, endpoint, "whsec_x");
    sealHeaders({ ...vault, seal }, app, endpoint, { a: "b" });
    assert.deepEqual(bindings, [
      `${app}|endpoints|secret|${endpoint}`,
      `${app}|endpoints|headers|${endpoint}`,
    ]);
  });

  test("opens neither for another endpoint or app, nor as the other of the two", () => {
    const secret = sealSecret(vault, app, endpoint, "{}");
    const headers = sealHeaders(vault, app, endpoint, { a: "b" });
    for (const open of [
      () => openSecret(vault, app, otherEndpoint, secret),
      () => openSecret(vault, otherApp, endpoint, secret),
      () => openHeaders(vault, app, otherEndpoint, headers),
      () => openHeaders(vault, app, endpoint, secret),
      () => openSecret(vault, app, endpoint, headers as Uint8Array),
    ]) {
      assert.throws(open, VaultError);
    }
  });
});
