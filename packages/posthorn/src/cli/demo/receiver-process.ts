/** The demo's receiver: signatures are checked by an implementation that is not ours, the package standardwebhooks. */
import { answerCalls } from "../proof/child.ts";
import type { Inbound } from "../proof/http-responder.ts";
import { seededRandom } from "../proof/random.ts";
import { type Receiver, type ReceiverEndpoint, startReceiver } from "../proof/receiver.ts";
import { demoPackage } from "./payloads.ts";

interface StandardWebhooks {
  Webhook: new (secret: string) => { verify(body: string, headers: Record<string, string>): unknown };
}

let receiver: Receiver | undefined;

function started(): Receiver {
  if (receiver === undefined) throw new Error("The receiver has not been started.");
  return receiver;
}

const calls = {
  async start({ ledgerFile, seed }: { ledgerFile: string; seed: number }) {
    const { Webhook } = demoPackage<StandardWebhooks>("standardwebhooks");
    receiver = await startReceiver({ ledgerFile, random: seededRandom(seed), verify });
    return receiver.port;

    function verify(request: Inbound, secret: string): boolean {
      const headers = Object.fromEntries(
        ["webhook-id", "webhook-timestamp", "webhook-signature"].map((name) => [
          name,
          request.header(name) ?? "",
        ]),
      );
      try {
        new Webhook(secret).verify(request.body.toString("utf8"), headers);
        return true;
      } catch {
        return false;
      }
    }
  },
  set: (endpoints: readonly ReceiverEndpoint[]) => started().set(endpoints),
  counts: (_: null) => started().counts(),
  close: (_: null) => started().close(),
};
export type DemoReceiverCalls = typeof calls;

answerCalls(calls);
