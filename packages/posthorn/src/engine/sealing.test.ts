import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { newAppId, newId } from "../base/ids.ts";
import { createVault, VaultError } from "../security/vault.ts";
import type { EndpointConfig } from "../store/store.ts";
import {
  openCredentials,
  openHeaders,
  openKey,
  openSecret,
  resealed,
  sealCredentials,
  sealHeaders,
  sealKey,
  sealSecret,
} from "./sealing.ts";

const vault = createVault(Buffer.alloc(32, 1));
const [app, otherApp] = [newAppId(), newAppId()];
const [endpoint, otherEndpoint] = [newId("ep"), newId("ep")];
const credentials = { authentication: "pa55word", clientKey: null, encryptionKey: null };

describe("what is sealed for an endpoint", () => {
  test("opens for it", () => {
    assert.equal(openSecret(vault, app, endpoint, sealSecret(vault, app, endpoint, "whsec_x")), "whsec_x");
    const headers = { Authorization: "Bearer x", "x-shop": "7" };
    const sealed = sealHeaders(vault, app, endpoint, headers);
    assert.ok(sealed !== null && !Buffer.from(sealed).includes("Bearer"));
    assert.deepEqual(openHeaders(vault, app, endpoint, sealed), headers);
    assert.equal(openKey(vault, app, endpoint, sealKey(vault, app, endpoint, "whsk_x")), "whsk_x");
    const kept = sealCredentials(vault, app, endpoint, credentials);
    assert.ok(kept !== null && !Buffer.from(kept).includes("pa55word"));
    assert.deepEqual(openCredentials(vault, app, endpoint, kept), credentials);
  });

  test("is nothing where there are no headers, or no credentials", () => {
    const none = { authentication: null, clientKey: null, encryptionKey: null };
    assert.equal(sealCredentials(vault, app, endpoint, none), null);
    assert.equal(openCredentials(vault, app, endpoint, null), null);
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
    sealKey({ ...vault, seal }, app, endpoint, "whsk_x");
    sealCredentials({ ...vault, seal }, app, endpoint, credentials);
    assert.deepEqual(bindings, [
      `${app}|endpoints|secret|${endpoint}`,
      `${app}|endpoints|headers|${endpoint}`,
      `${app}|endpoints|signing_key|${endpoint}`,
      `${app}|endpoints|credentials|${endpoint}`,
    ]);
  });

  test("opens neither for another endpoint or app, nor as another column", () => {
    const secret = sealSecret(vault, app, endpoint, "{}");
    const headers = sealHeaders(vault, app, endpoint, { a: "b" });
    const kept = sealCredentials(vault, app, endpoint, credentials);
    for (const open of [
      () => openSecret(vault, app, otherEndpoint, secret),
      () => openSecret(vault, otherApp, endpoint, secret),
      () => openHeaders(vault, app, otherEndpoint, headers),
      () => openHeaders(vault, app, endpoint, secret),
      () => openSecret(vault, app, endpoint, headers as Uint8Array),
      () => openKey(vault, app, endpoint, secret),
      () => openCredentials(vault, app, otherEndpoint, kept),
      () => openHeaders(vault, app, endpoint, kept),
    ]) {
      assert.throws(open, VaultError);
    }
  });

  test("is sealed anew under another master key, each part in its place, and then is not touched again", () => {
    const later = createVault(Buffer.alloc(32, 2), [Buffer.alloc(32, 1)]);
    const before = {
      endpoint: { id: endpoint, appId: app } as EndpointConfig["endpoint"],
      secrets: [
        { sealed: sealSecret(vault, app, endpoint, "whsec_x"), expiresAtMs: null, publicKey: null },
        { sealed: sealKey(vault, app, endpoint, "whsk_x"), expiresAtMs: 5, publicKey: Buffer.alloc(32) },
      ],
      sealedHeaders: null,
      sealedCredentials: sealCredentials(vault, app, endpoint, credentials),
    };
    const after = resealed(later, before);
    assert.ok(after !== null);
    const only = createVault(Buffer.alloc(32, 2));
    const [secret, key] = after.secrets;
    assert.equal(openSecret(only, app, endpoint, secret?.sealed ?? new Uint8Array()), "whsec_x");
    assert.equal(openKey(only, app, endpoint, key?.sealed ?? new Uint8Array()), "whsk_x");
    assert.equal(key?.expiresAtMs, 5);
    assert.equal(after.sealedHeaders, null);
    assert.deepEqual(openCredentials(only, app, endpoint, after.sealedCredentials), credentials);
    assert.equal(resealed(later, { ...before, ...after }), null);
  });
});
