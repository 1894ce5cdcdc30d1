/** The writer's verbs by name. `accept` and `settle` also come apart into elements, so that a bad one fails alone. */
import type { Acceptance, AcceptResult, BreakerChange, Settlement, SettleResult } from "../../store.ts";
import type { WriterMethods, WriterVerb } from "../wire.ts";
import type { Writing } from "../writing.ts";
import { Accept } from "./accept.ts";
import { AuditLog } from "./audit.ts";
import { ClaimVerb } from "./claim.ts";
import { Ending } from "./ending.ts";
import { FanOut } from "./fan-out.ts";
import { Finish } from "./finish.ts";
import { Later } from "./later.ts";
import { Nodes } from "./nodes.ts";
import { Order } from "./order.ts";
import { Prune } from "./prune.ts";
import { Record as RecordVerb } from "./record.ts";
import { Remove } from "./remove.ts";
import { Replays } from "./replays.ts";
import { Rescue } from "./rescue.ts";
import { Save } from "./save.ts";
import { Settle } from "./settle.ts";
import { Use } from "./use.ts";

type Synchronous = {
  [Verb in WriterVerb]: (
    ...args: Parameters<WriterMethods[Verb]>
  ) => Awaited<ReturnType<WriterMethods[Verb]>>;
};

export interface Verbs extends Synchronous {
  acceptOne(acceptance: Acceptance): AcceptResult;
  settleOne(settlement: Settlement): SettleResult;
  setBreakers(breakers: readonly BreakerChange[]): void;
}

export function createVerbs(writing: Writing): Verbs {
  const order = new Order(writing);
  const finish = new Finish(writing, order);
  const later = new Later(writing);
  const accept = new Accept(writing, order);
  const settle = new Settle(writing, finish);
  const claim = new ClaimVerb(writing, finish);
  const fanOut = new FanOut(writing, later, order);
  const rescue = new Rescue(writing, finish);
  const ending = new Ending(writing, finish);
  const save = new Save(writing, order);
  const remove = new Remove(writing);
  const replays = new Replays(writing, later);
  const record = new RecordVerb(writing);
  const prune = new Prune(writing);
  const nodes = new Nodes(writing);
  const audit = new AuditLog(writing);
  const use = new Use(writing);
  const setBreakers = (breakers: readonly BreakerChange[]): void => {
    for (const breaker of breakers) settle.setBreaker(breaker);
  };
  return {
    acceptOne: (acceptance) => accept.run(acceptance),
    settleOne: (settlement) => settle.run(settlement),
    setBreakers,
    enlist: (node) => nodes.enlist(node),
    beat: (incarnation) => nodes.beat(incarnation),
    retire: (incarnation) => nodes.retire(incarnation),
    accept: (acceptances) => acceptances.map((acceptance) => accept.run(acceptance)),
    extendFanOut: (deliveriesMax) => fanOut.extend(deliveriesMax),
    claim: (request) => claim.run(request),
    settle(settlements, breakers) {
      const results = settlements.map((settlement) => settle.run(settlement));
      setBreakers(breakers);
      return results;
    },
    rescue: (deliveriesMax) => rescue.run(deliveriesMax),
    expire: (deliveriesMax) => ending.expire(deliveriesMax),
    redeliver: (redeliveries) => later.redeliverAll(redeliveries),
    cancel: (target, deliveriesMax) => ending.cancel(target, deliveriesMax),
    save(change, entry) {
      const result = save.run(change);
      if (entry !== undefined && result.kind === "saved") audit.append(entry);
      return result;
    },
    remove(target, entry) {
      const removed = remove.run(target);
      if (entry !== undefined && removed) audit.append(entry);
      return removed;
    },
    use: (usages) => use.run(usages),
    advanceReplay: (step) => replays.advance(step),
    record: (incarnation, figures) => record.run(incarnation, figures),
    prune: (rowsMax) => prune.run(rowsMax),
    advance(ms) {
      writing.clock.advance(ms);
      writing.nowMs = writing.clock.nowMs();
      nodes.saveNow();
    },
  };
}
