// One event through the whole receiver, with nothing but what every runtime has: Request, Response, and the core.
import { createReceiver, generateStandardSecret, signStandard } from "../src/index.ts";

/** @throws Error when the receiver does not take it once, know it the second time, and refuse it changed */
export async function receivesOne(): Promise<void> {
  const secret = generateStandardSecret();
  const seen: unknown[] = [];
  const receiver = createReceiver({
    scheme: "standard",
    secrets: [secret],
    handlers: {
      "order.created": (event) => {
        seen.push(event.data);
      },
    },
  });
  const body = '{"type":"order.created","timestamp":"2026-01-01T00:00:00Z","data":{"order":7}}';
  const timestampSeconds = Math.floor(Date.now() / 1000);
  const headers = {
    "content-type": "application/json",
    "webhook-id": "evt_1",
    "webhook-timestamp": String(timestampSeconds),
    "webhook-signature": signStandard({ id: "evt_1", timestampSeconds, body, secrets: [secret] }),
  };
  const answers: number[] = [];
  for (const sent of [body, body, body.replace("7", "8")]) {
    const request = new Request("https://receiver.example/hooks", { method: "POST", headers, body: sent });
    answers.push((await receiver.fetch(request)).status);
  }
  await receiver.close();
  const said = JSON.stringify({ answers, seen });
  if (said !== '{"answers":[200,200,401],"seen":[{"order":7}]}') throw new Error(`it received ${said}`);
}
