/** The receiver as a process of its own. */
import { answerCalls } from "./child.ts";
import { seededRandom } from "./random.ts";
import { type Receiver, type ReceiverEndpoint, startReceiver } from "./receiver.ts";

let receiver: Receiver | undefined;

function started(): Receiver {
  if (receiver === undefined) throw new Error("The receiver has not been started.");
  return receiver;
}

const calls = {
  async start({ ledgerFile, seed }: { ledgerFile: string; seed: number }) {
    receiver = await startReceiver({ ledgerFile, random: seededRandom(seed) });
    return receiver.port;
  },
  set: (endpoints: readonly ReceiverEndpoint[]) => started().set(endpoints),
  counts: (_: null) => started().counts(),
  flush: (_: null) => started().flush(),
  close: (_: null) => started().close(),
};
export type ReceiverCalls = typeof calls;

answerCalls(calls);
