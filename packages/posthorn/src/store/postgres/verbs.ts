/** The contract's two halves, made of the verbs: each a function of a file of its own whose first parameter is the context. */
import type { StoreReader, StoreWriter } from "../store.ts";
import type { Context } from "./context.ts";
import { toPosthornError } from "./failure.ts";
import type { HealthReader } from "./health.ts";
import type { Hearts } from "./hearts.ts";
import { dueLanes } from "./read/due-lanes.ts";
import { config, refresh } from "./read/endpoints.ts";
import { find } from "./read/find.ts";
import { leases } from "./read/leases.ts";
import { list } from "./read/list.ts";
import { publicKeys } from "./read/public-keys.ts";
import { publications } from "./read/publications.ts";
import { stats } from "./read/stats.ts";
import { usage } from "./read/usage.ts";
import { accept } from "./write/accept.ts";
import { claim } from "./write/claim.ts";
import { cancel, expire } from "./write/ending.ts";
import { extendFanOut } from "./write/fan-out.ts";
import { redeliver } from "./write/later.ts";
import { takeDuty } from "./write/nodes.ts";
import { prune } from "./write/prune.ts";
import { refusePublication } from "./write/publications.ts";
import { record } from "./write/record.ts";
import { remove } from "./write/remove.ts";
import { advanceReplay } from "./write/replays.ts";
import { rescue } from "./write/rescue.ts";
import { save } from "./write/save.ts";
import { settle } from "./write/settle.ts";
import { use } from "./write/usage.ts";

type Verb<Args extends readonly unknown[], Result> = (context: Context, ...args: Args) => Promise<Result>;
type Method<Args extends readonly unknown[], Result> = (...args: Args) => Promise<Result>;

export function writerOf(context: Context, hearts: Hearts): StoreWriter {
  const method = methodsOf(context);
  return {
    enlist: method((_, node) => hearts.enlist(node)),
    beat: method((_, incarnation) => hearts.beat(incarnation)),
    retire: method((_, incarnation) => hearts.retire(incarnation)),
    takeDuty: method(takeDuty),
    accept: method(accept),
    extendFanOut: method(extendFanOut),
    claim: method(claim),
    settle: method(settle),
    rescue: method(rescue),
    expire: method(expire),
    redeliver: method(redeliver),
    cancel: method(cancel),
    save: method(save),
    remove: method(remove),
    use: method(use),
    advanceReplay: method(advanceReplay),
    record: method(record),
    refusePublication: method(refusePublication),
    prune: method(prune),
  };
}

export function readerOf(context: Context, health: HealthReader): StoreReader {
  const method = methodsOf(context);
  return {
    config: method(config),
    refresh: method(refresh),
    find: method(find) as StoreReader["find"],
    list: method(list) as StoreReader["list"],
    dueLanes: method(dueLanes),
    leases: method(leases),
    publications: method(publications),
    stats: method(stats),
    publicKeys: method(publicKeys),
    usage: method(usage),
    health: method(() => health.read()),
  };
}

/** Callers see our errors, not the database's. */
function methodsOf(context: Context) {
  return <Args extends readonly unknown[], Result>(verb: Verb<Args, Result>): Method<Args, Result> =>
    async (...args) => {
      try {
        return await verb(context, ...args);
      } catch (error) {
        throw toPosthornError(error);
      }
    };
}
