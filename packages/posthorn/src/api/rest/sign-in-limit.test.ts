import assert from "node:assert/strict";
import { test } from "node:test";
import { PosthornError } from "../../base/errors.ts";
import { SignInLimit } from "./sign-in-limit.ts";

const limited = (error: unknown): boolean => error instanceof PosthornError && error.code === "rate_limited";

test("the eleventh attempt waits until a minute after the first failure", () => {
  let now = 0;
  const limit = new SignInLimit(() => now);
  for (let n = 0; n < 10; n += 1) {
    limit.begin("192.0.2.1");
    now += 1000;
  }
  assert.throws(
    () => limit.begin("192.0.2.1"),
    (error) => limited(error) && (error as PosthornError).retryAfterSeconds === 50,
  );
  limit.begin("192.0.2.2");
  now = 60_000;
  limit.begin("192.0.2.1");
  limit.begin("192.0.2.1");
});

test("attempts that are under way count, and those that succeed do not", () => {
  const limit = new SignInLimit();
  for (let n = 0; n < 10; n += 1) limit.begin("192.0.2.1");
  assert.throws(() => limit.begin("192.0.2.1"), limited);
  limit.succeeded("192.0.2.1");
  limit.begin("192.0.2.1");
  assert.throws(() => limit.begin("192.0.2.1"), limited);
  for (let n = 0; n < 10; n += 1) limit.succeeded("192.0.2.1");
  assert.equal(limit.size, 0);
});

test("one network of IPv6 counts as one address, however it is written", () => {
  const limit = new SignInLimit();
  for (let n = 0; n < 10; n += 1) limit.begin(`2001:db8:0:1::${n}`);
  assert.throws(() => limit.begin("2001:db8:0:1:ffff:ffff:ffff:ffff"), limited);
  limit.begin("2001:db8:0:2::1");
  limit.begin("2001:db8::1");
});

test("it remembers 10,000 addresses, and forgets the earliest first", () => {
  const limit = new SignInLimit();
  for (let n = 0; n < 10; n += 1) limit.begin("192.0.2.1");
  for (let n = 0; n < 10_000; n += 1) {
    const last = `10.${n >> 16}.${(n >> 8) & 255}.${n & 255}`;
    limit.begin(last);
  }
  assert.equal(limit.size, 10_000);
  limit.begin("192.0.2.1");
});
