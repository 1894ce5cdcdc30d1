import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { generateStandardSecret } from "../schemes/standard-secret.ts";
import { VerificationError } from "../verification-error.ts";
import { Bodies } from "./body-limit.ts";
import { createReceiver } from "./receiver.ts";

const MIB = 1024 * 1024;

test("a body is copied together as it comes: nothing of its chunks is kept", async () => {
  const bodies = new Bodies(10_000);
  const chunk = new Uint8Array(1);
  const body = await bodies.read(null, async (add) => {
    for (let index = 0; index < 10_000; index += 1) {
      chunk[0] = index % 251;
      add(chunk);
    }
  });
  assert.deepEqual(
    body,
    Uint8Array.from({ length: 10_000 }, (_, index) => index % 251),
  );
  assert.deepEqual(await bodies.read("0", async () => {}), new Uint8Array());
});

test("a body over the limit is refused at once by its length, and else where it goes over", async () => {
  const bodies = new Bodies(5);
  const tooLarge = (error: unknown) => error instanceof VerificationError && error.code === "body_too_large";
  await assert.rejects(
    bodies.read("6", () => assert.fail("it was read")),
    tooLarge,
  );
  await assert.rejects(
    bodies.read("1", async (add) => {
      add(new Uint8Array(5));
      assert.throws(() => add(new Uint8Array(1)), tooLarge);
      add(new Uint8Array(1));
    }),
    tooLarge,
  );
});

/** A request whose body goes no further than this, and the way to break it off. */
function halfSent(bytes: number): { readonly request: Request; breakOff(): void } {
  let breakOff = () => {};
  const body = new ReadableStream({
    start(controller) {
      controller.enqueue(new Uint8Array(bytes));
      breakOff = () => controller.error(new Error("The sender is gone."));
    },
  });
  const request = new Request("https://receiver.example/", {
    method: "POST",
    body,
    duplex: "half",
  } as RequestInit);
  return { request, breakOff };
}

test("what is being read of all bodies is bounded: 503 until one is through, or broken off", async (context: TestContext) => {
  const errors: unknown[] = [];
  const receiver = createReceiver({
    scheme: "standard",
    secrets: generateStandardSecret(),
    bodyBytesMax: 40 * MIB,
    handlers: {},
    onError: (error) => errors.push(error),
  });
  context.after(() => receiver.close());
  const first = halfSent(40 * MIB);
  const answered = receiver.fetch(first.request);
  const second = await receiver.fetch(halfSent(30 * MIB).request);
  assert.deepEqual([second.status, second.headers.get("retry-after")], [503, "5"]);
  first.breakOff();
  assert.deepEqual([(await answered).status, String(errors)], [500, "Error: The sender is gone."]);
  const third = new Request("https://receiver.example/", { method: "POST", body: new Uint8Array(40 * MIB) });
  assert.equal((await receiver.fetch(third)).status, 401);
  assert.deepEqual(receiver.counters().refused, { busy: 1, internal_error: 1, missing_header: 1 });
});
