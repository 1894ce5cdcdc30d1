import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, test } from "node:test";
import { apiKeyPrefix, equalHashes, generateApiKey, hashApiKey } from "./api-keys.ts";

describe("API keys", () => {
  test("are opaque, start with phk_ and hold at least 160 random bits", () => {
    const { key, prefix } = generateApiKey();
    assert.match(key, /^phk_[A-Za-z0-9_-]{43}$/);
    assert.equal(prefix, key.slice(0, 10));
    assert.equal(apiKeyPrefix(key), prefix);
    assert.equal(new Set(Array.from({ length: 1000 }, () => generateApiKey().key)).size, 1000);
  });

  test("are known by their SHA-256", () => {
    const { key, hash } = generateApiKey();
    assert.deepEqual(Buffer.from(hash), createHash("sha256").update(key).digest());
    assert.equal(equalHashes(hash, hashApiKey(key)), true);
    assert.equal(equalHashes(hash, hashApiKey(`${key}x`)), false);
    assert.equal(equalHashes(hash, new Uint8Array(0)), false);
  });
});
