/**
 * The write side as the engine sees it. Calls made while the writer is busy wait here and go with its next message, so a
 * commit carries whatever came during the last one. Nothing lingers: an idle writer gets what one turn of the event loop brought.
 */
import type { IncarnationId } from "../../base/ids.ts";
import type { NewAuditEntry } from "../../domain/audit.ts";
import type { EndpointFigures } from "../../domain/figures.ts";
import {
  BYTES_MAX,
  DELIVERIES_MAX,
  sliced,
  type Weight,
  weightOfAcceptance,
  weightOfSettlement,
} from "../slices.ts";
import type {
  Acceptance,
  AcceptResult,
  BreakerChange,
  CancelTarget,
  Change,
  Claim,
  NewNode,
  Redelivery,
  RemoveTarget,
  ReplayStep,
  Settlement,
  SettleResult,
  StoreWriter,
  Usage,
} from "../store.ts";
import { type Answer, type Call, Packer, uncarry, type WriterMethods, type WriterVerb } from "./wire.ts";
import type { WorkerThread } from "./worker-thread.ts";

interface Waiting {
  readonly verb: WriterVerb;
  readonly args: readonly unknown[];
  readonly weight: Weight;
  resolve(value: unknown): void;
  reject(error: unknown): void;
}

const LIGHT: Weight = { deliveries: 1, bytes: 0 };

type Returns<Verb extends WriterVerb> = ReturnType<WriterMethods[Verb]>;

export class WriterClient implements WriterMethods, StoreWriter {
  #thread: WorkerThread<WriterVerb>;
  #waiting: Waiting[] = [];
  #busy = false;
  #idle: (() => void)[] = [];

  constructor(thread: WorkerThread<WriterVerb>) {
    this.#thread = thread;
  }

  enlist(node: NewNode): Returns<"enlist"> {
    return this.#call("enlist", [node]);
  }
  beat(incarnation: IncarnationId): Returns<"beat"> {
    return this.#call("beat", [incarnation]);
  }
  retire(incarnation: IncarnationId): Returns<"retire"> {
    return this.#call("retire", [incarnation]);
  }
  /** There is no other node. */
  takeDuty(): Promise<boolean> {
    return Promise.resolve(true);
  }
  /** There are no publications of users' own transactions. */
  refusePublication(): Promise<boolean> {
    return Promise.resolve(false);
  }
  async accept(acceptances: readonly Acceptance[]): Promise<AcceptResult[]> {
    const slices = sliced(acceptances, weightOfAcceptance);
    const answers = slices.map(({ items, weight }) => this.#call("accept", [items], weight));
    return answers.length === 1 ? answers[0]! : (await Promise.all(answers)).flat();
  }
  extendFanOut(deliveriesMax: number): Returns<"extendFanOut"> {
    return this.#call("extendFanOut", [Math.min(deliveriesMax, DELIVERIES_MAX)], {
      deliveries: deliveriesMax,
      bytes: 0,
    });
  }
  claim(claim: Claim): Returns<"claim"> {
    const deliveries = claim.lanes.reduce((sum, { totalMax }) => sum + totalMax, 0);
    // Its room is what it may take at most; seldom is so much due.
    return this.#call("claim", [claim], { deliveries: Math.min(deliveries, DELIVERIES_MAX / 2), bytes: 0 });
  }
  async settle(
    settlements: readonly Settlement[],
    breakers: readonly BreakerChange[],
  ): Promise<SettleResult[]> {
    const slices = sliced(settlements, weightOfSettlement);
    const last = slices.length - 1;
    const answers = slices.map(({ items, weight }, index) =>
      this.#call("settle", [items, index === last ? breakers : []], weight),
    );
    return answers.length === 1 ? answers[0]! : (await Promise.all(answers)).flat();
  }
  rescue(deliveriesMax: number): Returns<"rescue"> {
    return this.#duty("rescue", deliveriesMax);
  }
  expire(deliveriesMax: number): Returns<"expire"> {
    return this.#duty("expire", deliveriesMax);
  }
  redeliver(redeliveries: readonly Redelivery[]): Returns<"redeliver"> {
    return this.#call("redeliver", [redeliveries], { deliveries: redeliveries.length, bytes: 0 });
  }
  cancel(target: CancelTarget, deliveriesMax: number): Returns<"cancel"> {
    const max = Math.min(deliveriesMax, DELIVERIES_MAX);
    return this.#call("cancel", [target, max], { deliveries: max, bytes: 0 });
  }
  save(change: Change, audit?: NewAuditEntry): Returns<"save"> {
    return this.#call("save", [change, audit]);
  }
  remove(target: RemoveTarget, audit?: NewAuditEntry): Returns<"remove"> {
    return this.#call("remove", [target, audit]);
  }
  use(usages: readonly Usage[]): Returns<"use"> {
    return this.#call("use", [usages], { deliveries: usages.length, bytes: 0 });
  }
  advanceReplay(step: ReplayStep): Returns<"advanceReplay"> {
    return this.#call("advanceReplay", [step], { deliveries: step.redeliveries.length, bytes: 0 });
  }
  record(incarnation: IncarnationId, figures: readonly EndpointFigures[]): Returns<"record"> {
    return this.#call("record", [incarnation, figures], { deliveries: figures.length, bytes: 0 });
  }
  prune(rowsMax: number): Returns<"prune"> {
    return this.#duty("prune", rowsMax);
  }
  advance(ms: number): Promise<void> {
    return this.#call("advance", [ms]);
  }

  /** Resolves when nothing is waiting or under way. */
  async idle(): Promise<void> {
    if (!this.#busy && this.#waiting.length === 0) return;
    await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  #duty<Verb extends "rescue" | "expire" | "prune">(verb: Verb, max: number): Returns<Verb> {
    const rows = Math.min(max, DELIVERIES_MAX);
    return this.#call(verb, [rows] as never, { deliveries: rows, bytes: 0 });
  }

  #call<Verb extends WriterVerb>(
    verb: Verb,
    args: Parameters<WriterMethods[Verb]>,
    weight = LIGHT,
  ): Returns<Verb> {
    const promise = new Promise<unknown>((resolve, reject) => {
      this.#waiting.push({ verb, args, weight, resolve, reject });
      if (this.#busy) return;
      this.#busy = true;
      setImmediate(() => this.#send());
    });
    return promise as Returns<Verb>;
  }

  #send(): void {
    const batch = this.#take();
    if (batch.length === 0) {
      this.#busy = false;
      for (const resolve of this.#idle.splice(0)) resolve();
      return;
    }
    const { calls, transferList } = packed(batch);
    this.#thread.send(calls, transferList).then(
      (answers) => {
        // The writer goes on while the answers are given out.
        this.#send();
        for (const [index, waiting] of batch.entries()) give(waiting, answers[index]);
      },
      (error: unknown) => {
        for (const waiting of batch) waiting.reject(error);
        this.#send();
      },
    );
  }

  #take(): Waiting[] {
    let deliveries = 0;
    let bytes = 0;
    let count = 0;
    for (const { weight } of this.#waiting) {
      deliveries += weight.deliveries;
      bytes += weight.bytes;
      if (count > 0 && (deliveries > DELIVERIES_MAX || bytes > BYTES_MAX)) break;
      count += 1;
    }
    return this.#waiting.splice(0, count);
  }
}

function give(waiting: Waiting, answer: Answer | undefined): void {
  if (answer === undefined) waiting.reject(new Error("The store's writer gave no answer."));
  else if ("error" in answer) waiting.reject(uncarry(answer.error));
  else waiting.resolve(answer.value);
}

/** The calls with all their bytes in one buffer. */
function packed(batch: readonly Waiting[]): { calls: Call<WriterVerb>[]; transferList: ArrayBuffer[] } {
  const packer = new Packer();
  for (const { verb, args } of batch) {
    if (verb === "accept") for (const { event } of args[0] as Acceptance[]) packer.reserve(event.payload);
    if (verb === "settle")
      for (const { attempt } of args[0] as Settlement[]) packer.reserve(attempt?.responseBody ?? null);
  }
  const calls = batch.map(({ verb, args }): Call<WriterVerb> => {
    if (verb === "accept")
      return { verb, args: [(args[0] as Acceptance[]).map((each) => packAcceptance(each, packer))] };
    if (verb === "settle")
      return { verb, args: [(args[0] as Settlement[]).map((each) => packSettlement(each, packer)), args[1]] };
    return { verb, args };
  });
  return { calls, transferList: packer.transferList };
}

function packAcceptance(acceptance: Acceptance, packer: Packer): Acceptance {
  return { ...acceptance, event: { ...acceptance.event, payload: packer.pack(acceptance.event.payload) } };
}

function packSettlement(settlement: Settlement, packer: Packer): Settlement {
  const { attempt } = settlement;
  if (attempt?.responseBody == null) return settlement;
  return { ...settlement, attempt: { ...attempt, responseBody: packer.pack(attempt.responseBody) } };
}
