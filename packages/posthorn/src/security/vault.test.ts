import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { describe, test } from "node:test";
import fc from "fast-check";
import { createVault, VaultError, type VaultErrorReason } from "./vault.ts";

const masterKey = randomBytes(32);
const vault = createVault(masterKey);
const row = "app_1|endpoints|secret|ep_1";

function fails(reason: VaultErrorReason): (error: unknown) => boolean {
  return (error) =>
    error instanceof VaultError && error.reason === reason && !error.message.includes("whsec");
}

describe("the vault", () => {
  test("opens what it sealed, byte for byte", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.string(), (plaintext, binding) => {
        assert.deepEqual(new Uint8Array(vault.open(vault.seal(plaintext, binding), binding)), plaintext);
      }),
      { numRuns: 100 },
    );
    assert.equal(Buffer.from(vault.open(vault.seal("whsec_ä", row), row)).toString(), "whsec_ä");
  });

  test("shows the form: version, key id, iv, ciphertext of equal length, tag", () => {
    const sealed = vault.seal("whsec_x", row);
    assert.equal(sealed.length, 1 + 4 + 12 + 7 + 16);
    assert.equal(sealed[0], 1);
    assert.notDeepEqual(sealed, vault.seal("whsec_x", row));
    assert.equal(Buffer.from(sealed).includes("whsec_x"), false);
  });

  test("does not open an envelope in another row", () => {
    const other = "app_1|endpoints|secret|ep_2";
    assert.throws(() => vault.open(vault.seal("whsec_x", row), other), fails("not_authentic"));
  });

  test("does not open an envelope with any bit changed", () => {
    const sealed = vault.seal("whsec_x", row);
    for (let byte = 0; byte < sealed.length; byte++) {
      const changed = Uint8Array.from(sealed);
      changed[byte] = (changed[byte] ?? 0) ^ 1;
      assert.throws(() => vault.open(changed, row), VaultError);
    }
    assert.throws(() => vault.open(sealed.subarray(0, 32), row), fails("damaged"));
    assert.throws(() => vault.open(new Uint8Array(0), row), fails("damaged"));
    assert.throws(() => vault.open(Uint8Array.from(sealed).fill(2, 0, 1), row), fails("unknown_version"));
  });

  test("after a change of master keys opens old envelopes and seals under the new key", () => {
    const changed = createVault(randomBytes(32), [masterKey]);
    assert.equal(Buffer.from(changed.open(vault.seal("whsec_x", row), row)).toString(), "whsec_x");
    assert.throws(() => vault.open(changed.seal("whsec_x", row), row), fails("unknown_key"));
  });

  test("never uses an iv twice", () => {
    const ivs = new Set<string>();
    for (let i = 0; i < 20_000; i++) ivs.add(Buffer.from(vault.seal("", row)).toString("hex", 5, 17));
    assert.equal(ivs.size, 20_000);
  });

  test("wants 32 bytes of master key", () => {
    assert.throws(() => createVault(randomBytes(16)), /32 bytes, this one 16/);
  });
});
