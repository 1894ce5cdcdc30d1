/**
 * Events of users' own transactions become events of ours in the order in which a node found them. Those of one app are
 * planned at once, with one configuration, and stored in one transaction or one after the other: so what is stale is stale
 * with all that follows it of its app, and nothing overtakes.
 */
import type { PosthornError } from "../base/errors.ts";
import type { PublicationId } from "../base/ids.ts";
import type { Publication } from "../domain/publication.ts";
import { sliced, weightOfAcceptance } from "../store/slices.ts";
import type { AcceptResult, StoreWriter } from "../store/store.ts";
import type { AppRuntime } from "./app-runtime.ts";
import type { Catalogue } from "./catalogue.ts";
import type { Dispatcher } from "./dispatcher.ts";
import type { EngineOptions } from "./options.ts";
import { type Prepared, prepare } from "./prepared.ts";
import { changesTooFast, type PickedUp, type Planned, type Publisher, STALE_MAX } from "./publisher.ts";
import { refuseReservedApp, refuseReservedType } from "./reserved.ts";

export interface PublishInOrderNeeds {
  readonly write: Pick<StoreWriter, "accept">;
  readonly catalogue: Catalogue;
  readonly dispatcher: Dispatcher;
  readonly publisher: Publisher;
  readonly options: EngineOptions;
}

export interface FoundPublication {
  readonly id: PublicationId;
  /** @throws PosthornError when it cannot be read */
  read(): Publication;
}

interface Waiting {
  readonly id: PublicationId;
  readonly prepared: Prepared;
}
interface Step extends Waiting {
  readonly app: AppRuntime;
  readonly planned: Planned;
}

/** What became of each; kept together, since every step may end some. */
class Outcomes extends Map<PublicationId, PickedUp> {
  #publisher: Publisher;
  #passing: PosthornError | null = null;

  constructor(publisher: Publisher) {
    super();
    this.#publisher = publisher;
  }

  /** @param thrown what went wrong with this one. What will pass is nobody's fault: it ends the whole, see `goOn`. */
  refuse(id: PublicationId, thrown: unknown): void {
    const error = this.#publisher.problemOf(thrown);
    if (error.status === 503) this.#passing ??= error;
    else this.set(id, { kind: "refused", error });
  }

  /** @throws PosthornError with status 503 when what comes next must wait */
  goOn(): void {
    if (this.#passing !== null) throw this.#passing;
  }
}

/**
 * Never refuses one for what will pass. Nor for a limit: the transaction has committed long since, and what comes from it
 * must not be lost to a quota. It is counted for the app's day all the same, so that others may find it used up.
 * @throws PosthornError with status 503 when it cannot go on: what is not stored by then is to be found again
 */
export async function publishInOrder(
  needs: PublishInOrderNeeds,
  found: readonly FoundPublication[],
): Promise<ReadonlyMap<PublicationId, PickedUp>> {
  const { publisher, options } = needs;
  publisher.checkRoom();
  const outcomes = new Outcomes(publisher);
  let waiting: readonly Waiting[] = each(found, outcomes, ({ id, read }) => ({
    id,
    prepared: prepare(read(), options),
  }));
  for (let turn = 0; waiting.length > 0; turn++) {
    if (turn === STALE_MAX) throw changesTooFast(waiting[0]?.prepared.envelope.app ?? "");
    const stale = await accept(needs, await plan(needs, waiting, outcomes), outcomes);
    for (const { planned } of stale) publisher.reload(planned.acceptance.event.appId);
    waiting = stale;
  }
  return outcomes;
}

async function plan(
  { publisher, catalogue }: PublishInOrderNeeds,
  waiting: readonly Waiting[],
  outcomes: Outcomes,
): Promise<readonly Step[]> {
  const apps = new Map<string, AppRuntime>();
  const ready: (Waiting & { readonly app: AppRuntime })[] = [];
  for (const one of waiting) {
    const { app: reference, type } = one.prepared.envelope;
    try {
      refuseReservedType(type);
      const app = apps.get(reference) ?? (await publisher.app(reference));
      refuseReservedApp(app.app, reference);
      apps.set(reference, app);
      await catalogue.check(type, one.prepared.data);
      ready.push({ ...one, app });
    } catch (error) {
      outcomes.refuse(one.id, error);
      outcomes.goOn();
    }
  }
  // Nothing is waited for from here on: all of an app see the same.
  return each(ready, outcomes, ({ id, prepared, app }) => ({
    id,
    prepared,
    app,
    planned: publisher.plan(app, prepared, null, id),
  }));
}

/** Answers those that were planned with an old configuration. */
async function accept(
  { write, publisher, dispatcher }: PublishInOrderNeeds,
  steps: readonly Step[],
  outcomes: Outcomes,
): Promise<readonly Step[]> {
  const stale: Step[] = [];
  const open = new Set(steps);
  try {
    for (const { items } of sliced(steps, ({ planned }) => weightOfAcceptance(planned.acceptance))) {
      const results = await write.accept(items.map(({ planned }) => planned.acceptance));
      for (const [index, step] of items.entries()) {
        open.delete(step);
        try {
          const outcome = publisher.conclude(
            results[index] as AcceptResult,
            step.planned,
            step.prepared.envelope,
          );
          if (outcome === "again") stale.push(step);
          else outcomes.set(step.id, outcome);
          if (outcome !== "again" && outcome.kind === "accepted" && !outcome.duplicate)
            publisher.countForLimits(step.app);
        } catch (error) {
          outcomes.refuse(step.id, error);
        }
      }
      outcomes.goOn();
    }
  } finally {
    for (const { planned } of open) dispatcher.unreserve(planned.handOvers);
  }
  return stale;
}

/** What can be made of each; the others are refused. */
function each<Item extends { readonly id: PublicationId }, Result>(
  items: readonly Item[],
  outcomes: Outcomes,
  make: (item: Item) => Result,
): Result[] {
  return items.flatMap((item) => {
    try {
      return [make(item)];
    } catch (error) {
      outcomes.refuse(item.id, error);
      return [];
    }
  });
}
