/** How a node and its store are, in sentences for people. */
import { messageOf } from "../base/errors.ts";
import type { StoreHealth, StoreReader } from "../store/store.ts";
import type { EngineHealth } from "./engine.ts";

/** A load balancer asks often and waits briefly. */
const ANSWER_MS_MAX = 2000;
const PARTITIONS_AHEAD_MS_MIN = 2 * 86_400_000;

/** `problems` are those of the process itself. */
export async function readHealth(
  read: Pick<StoreReader, "health">,
  problems: readonly string[],
  figures: Pick<EngineHealth, "inFlight" | "waitingInMemory">,
): Promise<EngineHealth> {
  let store: StoreHealth | null = null;
  const ofStore: string[] = [];
  try {
    store = await answerOf(read);
    ofStore.push(...problemsOf(store));
  } catch (error) {
    ofStore.push(`The store cannot be read: ${messageOf(error)}`);
  }
  const all = [...ofStore, ...problems];
  return { ready: all.length === 0, problems: all, warnings: store?.warnings ?? [], store, ...figures };
}

function answerOf(read: Pick<StoreReader, "health">): Promise<StoreHealth> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${ANSWER_MS_MAX / 1000} s`)), ANSWER_MS_MAX);
    timer.unref();
  });
  return Promise.race([read.health(), late]).finally(() => clearTimeout(timer));
}

function problemsOf({ accepting, partitionsUntilMs }: StoreHealth): string[] {
  const problems: string[] = [];
  if (!accepting) problems.push("The disk is nearly full: publishing answers 503, deliveries go on.");
  if (partitionsUntilMs !== null && partitionsUntilMs - Date.now() < PARTITIONS_AHEAD_MS_MIN) {
    const until = new Date(partitionsUntilMs).toISOString().slice(0, 16);
    problems.push(
      `Partitions are made until ${until}Z only: see duty.failed in the log of a node that dispatches.`,
    );
  }
  return problems;
}
