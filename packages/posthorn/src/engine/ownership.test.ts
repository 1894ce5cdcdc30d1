import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { runtimeOf } from "../../test/lanes.ts";
import { newAppId, newId } from "../base/ids.ts";
import { type Endpoint, NO_ACCESS } from "../domain/endpoint.ts";
import type { Verification } from "../domain/ownership.ts";
import { fieldsUnderPolicy, isDue, ownNameOf, UNPROVED } from "./ownership.ts";

const unproved: Verification = { ...UNPROVED, policy: "challenge" };
const proved: Verification = { ...unproved, verifiedAtMs: 1, checkedAtMs: 1, checks: 1 };

function endpoint(changes: Partial<Endpoint> = {}): Endpoint {
  return { ...runtimeOf().endpoint, ...NO_ACCESS, id: newId("ep"), appId: newAppId(), ...changes };
}
function after(
  before: Endpoint | null,
  changes: Partial<Endpoint>,
  policy: "off" | "challenge" = "challenge",
) {
  const { status, verification, disableReason } = fieldsUnderPolicy(
    before,
    { ...(before ?? endpoint()), ...changes },
    policy,
  );
  return { status, verification, disableReason };
}

describe("what a change means for the ownership check", () => {
  test("a new endpoint has to prove itself; one that is not to run yet does so when it is enabled", () => {
    const unverified = { status: "unverified", verification: unproved, disableReason: null };
    assert.deepEqual(after(null, {}), unverified);
    const paused = after(null, { status: "paused" });
    assert.deepEqual(paused, { ...unverified, status: "paused" });
    assert.deepEqual(after(endpoint({ ...paused, status: "paused" }), { status: "enabled" }), unverified);
    const disabled = endpoint({ status: "disabled", disableReason: "by_hand", verification: unproved });
    assert.deepEqual(after(disabled, { status: "enabled", disableReason: null }), unverified);
  });

  test("another URL has to prove itself anew, whatever the one before did", () => {
    const verified = endpoint({ verification: proved });
    assert.equal(after(verified, { url: "https://other.example/" }).status, "unverified");
    assert.deepEqual(after(verified, { url: "https://other.example/" }).verification, unproved);
    const paused = after(endpoint({ verification: proved, status: "paused" }), {
      url: "https://other.example/",
    });
    assert.deepEqual([paused.status, paused.verification], ["paused", unproved]);
    assert.deepEqual(after(verified, { description: "new" }).verification, proved);
    assert.equal(after(verified, { description: "new" }).status, "enabled");
  });

  test("nobody enables an unverified endpoint: asking for it is a new check, and when the last one was stays known", () => {
    const callback = { hash: "00", expiresAtMs: 1 };
    const failed = endpoint({
      status: "unverified",
      verification: { ...unproved, checkedAtMs: 1, checks: 9, callback },
    });
    assert.deepEqual(after(failed, { status: "enabled" }), {
      status: "unverified",
      verification: { ...unproved, checkedAtMs: 1, checks: 0 },
      disableReason: null,
    });
    assert.equal(after(failed, { description: "new" }).verification?.checks, 9);
  });

  test("who asked not to be sent anything more has taken its consent back; by hand is no such thing", () => {
    const verified = (disableReason: Endpoint["disableReason"]) =>
      endpoint({ status: "disabled", disableReason, verification: proved });
    for (const reason of ["gone", "receiver_asked"] as const) {
      const left = { ...unproved, checkedAtMs: 1 };
      assert.equal(after(verified(reason), { status: "enabled" }).status, "unverified", reason);
      for (const status of ["enabled", "paused"] as const)
        assert.deepEqual(after(verified(reason), { status }).verification, left, `${reason}, ${status}`);
      assert.deepEqual(
        after(verified(reason), { description: "new" }).verification,
        proved,
        "it is disabled still",
      );
      const early = endpoint({ status: "disabled", disableReason: reason });
      assert.equal(after(early, { status: "enabled" }).status, "unverified", "it was never asked");
    }
    for (const reason of ["by_hand", "failing"] as const)
      assert.equal(after(verified(reason), { status: "enabled" }).status, "enabled", reason);
  });

  test("endpoints from before the policy stay as they are until their URL changes", () => {
    assert.deepEqual(after(endpoint(), { description: "new" }).verification, null);
    assert.equal(after(endpoint({ status: "paused" }), { status: "enabled" }).status, "enabled");
    assert.equal(after(endpoint(), { url: "https://other.example/" }).status, "unverified");
  });

  test("with the policy off nothing has to be proved; what was proved for the URL stays known", () => {
    assert.deepEqual(after(null, {}, "off"), { status: "enabled", verification: null, disableReason: null });
    const waiting = endpoint({ status: "unverified", verification: unproved });
    assert.deepEqual(after(waiting, { status: "enabled" }, "off").status, "enabled");
    assert.deepEqual(after(endpoint({ verification: proved }), {}, "off").verification, proved);
    assert.equal(
      after(endpoint({ verification: proved }), { url: "https://o.example/" }, "off").verification,
      null,
    );
  });
});

describe("when an endpoint is asked again", () => {
  const minutes = (count: number) => count * 60_000;
  test("at once after a crash, then ever later, and 20 times within 72 h", () => {
    assert.ok(isDue(unproved, 0));
    let nowMs = 0;
    let checks = 0;
    for (let verification = unproved; ; ) {
      let waitMs = 0;
      while (!isDue(verification, nowMs + waitMs) && waitMs < minutes(24 * 60)) waitMs += minutes(1);
      if (waitMs >= minutes(24 * 60)) break;
      nowMs += waitMs;
      checks += 1;
      verification = { ...verification, checkedAtMs: nowMs, checks };
    }
    assert.equal(checks, 20);
    assert.ok(nowMs > minutes(60 * 60) && nowMs < minutes(72 * 60), `${nowMs / minutes(60)} h`);
  });

  test("a minute after the last time, when it is to prove itself anew", () => {
    const anew = { ...unproved, checkedAtMs: minutes(9) };
    assert.ok(!isDue(anew, minutes(9.9)));
    assert.ok(isDue(anew, minutes(10)));
  });

  test("not while it has a callback to answer by", () => {
    const asked = {
      ...unproved,
      checkedAtMs: 1,
      checks: 1,
      callback: { hash: "00", expiresAtMs: minutes(60) },
    };
    assert.ok(!isDue(asked, minutes(59)));
    assert.ok(isDue(asked, minutes(60)));
  });
});

describe("what the server calls itself", () => {
  const options = {
    ownershipCheck: "cloudevents",
    publicUrl: "",
    originName: "",
    requestRatePerMinute: 0,
  } as const;
  test("the host of its public URL unless given; the handshake does not begin without a name", () => {
    assert.throws(() => ownNameOf(options), /Set originName to its DNS name, or publicUrl/);
    assert.equal(ownNameOf({ ...options, ownershipCheck: "challenge" }), null);
    assert.deepEqual(ownNameOf({ ...options, publicUrl: "https://hooks.example.com:8443/" }), {
      origin: "hooks.example.com",
      callbacks: "https://hooks.example.com:8443/v1/verifications/",
      ratePerMinute: null,
    });
    const named = {
      ...options,
      publicUrl: "http://10.0.0.1:8071",
      originName: "events.example.com",
      requestRatePerMinute: 60,
    };
    assert.deepEqual(ownNameOf(named), { origin: "events.example.com", callbacks: null, ratePerMinute: 60 });
  });
});
