/**
 * Publish: check, fan out, accept. An event that is answered with `accepted` is durable; one that is refused left
 * nothing behind. Batches form by themselves: what queued up while the store committed goes with its next commit.
 */
import { messageOf, notFound, PosthornError, unreachable } from "../base/errors.ts";
import { type AppId, locatorOf, newId, type PublicationId } from "../base/ids.ts";
import type { Logger } from "../base/logger.ts";
import { LIMITS } from "../domain/defaults.ts";
import type { EventEnvelope } from "../domain/event.ts";
import type { Key } from "../domain/key.ts";
import type { Publication } from "../domain/publication.ts";
import { scheduleMsMax } from "../domain/retry-schedule.ts";
import type { Acceptance, AcceptResult, NewDelivery, StoreWriter } from "../store/store.ts";
import type { AppRuntime, AppRuntimes } from "./app-runtime.ts";
import { Batcher } from "./batcher.ts";
import type { Catalogue } from "./catalogue.ts";
import type { Dispatcher, HandOver } from "./dispatcher.ts";
import type { EndpointRuntime } from "./endpoint-runtime.ts";
import type { PublishOutcome } from "./engine.ts";
import { matchingEndpoints } from "./fan-out.ts";
import type { FiguresCounter } from "./figures.ts";
import type { Hold } from "./hold.ts";
import type { Charge, Limits } from "./limits.ts";
import type { EngineOptions } from "./options.ts";
import { conflict, type Prepared, prepare } from "./prepared.ts";
import { refuseReservedApp, refuseReservedType } from "./reserved.ts";

/** An app whose configuration changes faster than this many reads has other troubles. */
export const STALE_MAX = 20;

export interface Planned {
  readonly acceptance: Acceptance;
  /** Deliveries that have a place in memory if they are accepted. */
  readonly handOvers: readonly HandOver[];
  readonly matched: number;
}

/** `taken`: another node was quicker. */
export type PickedUp = PublishOutcome | { readonly kind: "taken" };

export interface PublisherNeeds {
  readonly write: StoreWriter;
  readonly hold: Pick<Hold, "check">;
  readonly apps: AppRuntimes;
  readonly catalogue: Catalogue;
  readonly dispatcher: Dispatcher;
  readonly figures: FiguresCounter;
  readonly limits: Limits;
  readonly logger: Logger;
  readonly options: EngineOptions;
  /** A large fan-out was accepted and is to be continued. */
  fanOutPending(): void;
}

interface PublishTerms {
  /** The key that publishes, if it has limits. */
  readonly by: Key | null;
  /** To this endpoint and no other. */
  readonly only: EndpointRuntime | null;
  /** Types, and the app, that are Posthorn's own. */
  readonly mayReserved: boolean;
}

export class Publisher {
  #needs: PublisherNeeds;
  #accepts: Batcher<Acceptance, AcceptResult>;

  constructor(needs: PublisherNeeds) {
    this.#needs = needs;
    this.#accepts = new Batcher({
      run: (acceptances) => needs.write.accept(acceptances),
      itemsMax: 2000,
      weightMax: LIMITS.batchBytesMax,
    });
  }

  /**
   * Never rejects: what goes wrong with one publication is its own outcome.
   * @param by the key that publishes, if it has limits
   */
  publish(publication: Publication, by: Key | null): Promise<PublishOutcome> {
    return this.#counted(this.#publish(publication, { by, only: null, mayReserved: false }));
  }

  /** News about Posthorn itself: of types, and to the app, that are reserved for them. Never rejects. */
  publishNews(publication: Publication): Promise<PublishOutcome> {
    return this.#counted(this.#publish(publication, { by: null, only: null, mayReserved: true }));
  }

  async #counted(publishing: Promise<PublishOutcome>): Promise<PublishOutcome> {
    try {
      const outcome = await publishing;
      if (outcome.kind === "accepted") this.count(outcome.duplicate);
      return outcome;
    } catch (error) {
      this.#needs.figures.refused += 1;
      return { kind: "refused", error: this.problemOf(error) };
    }
  }

  /** To one endpoint whatever it asks for: the test button. `by` as for `publish`. */
  publishTo(endpoint: EndpointRuntime, publication: Publication, by: Key | null): Promise<PublishOutcome> {
    return this.#publish(publication, { by, only: endpoint, mayReserved: true });
  }

  /** Resolves when nothing is on its way to the store. */
  async idle(): Promise<void> {
    await this.#accepts.idle();
  }

  async #publish(publication: Publication, { by, only, mayReserved }: PublishTerms): Promise<PublishOutcome> {
    this.checkRoom();
    const prepared = prepare(publication, this.#needs.options);
    const { envelope } = prepared;
    if (!mayReserved) refuseReservedType(envelope.type);
    for (let turn = 0; turn < STALE_MAX; turn++) {
      const app = this.#needs.apps.peek(envelope.app) ?? (await this.app(envelope.app));
      if (!mayReserved) refuseReservedApp(app.app, envelope.app);
      // Asked before anything else costs much. Whoever has no limits does not wait for them.
      const charge =
        app.limited || by !== null
          ? await this.#needs.limits.admit({ app, key: by, payloadBytes: prepared.payload.bytes.length })
          : null;
      let outcome: PickedUp | "again" | undefined;
      try {
        const check = this.#needs.catalogue.check(envelope.type, prepared.data);
        if (check !== undefined) await check;
        const planned = this.plan(app, prepared, only);
        outcome = this.conclude(await this.#accept(planned), planned, envelope);
      } finally {
        if (charge !== null) settleCharge(charge, outcome);
      }
      if (outcome === "again") this.reload(app.app.id);
      else if (outcome.kind !== "taken") return outcome;
    }
    throw changesTooFast(envelope.app);
  }

  // ---- steps, also for publications that are picked up in order ----------------------------------------------------

  /** @throws PosthornError `not_found` */
  async app(reference: string): Promise<AppRuntime> {
    const app = await this.#needs.apps.get(reference);
    if (app === undefined) throw appNotFound(reference);
    return app;
  }

  /** What is known of the app and of the types is old. */
  reload(appId: AppId): void {
    this.#needs.apps.forget(appId);
    this.#needs.catalogue.forget();
  }

  /** @throws PosthornError `held`, `stopping`, `overloaded` */
  checkRoom(): void {
    const { options, dispatcher, hold } = this.#needs;
    hold.check();
    if (dispatcher.stopping)
      throw new PosthornError("stopping", "The server is stopping. Try again.", { retryAfterSeconds: 5 });
    if (
      this.#accepts.waiting < options.acceptQueueMax &&
      this.#accepts.waitingWeight < options.acceptQueueBytesMax
    )
      return;
    throw new PosthornError("overloaded", `${this.#accepts.waiting} events wait to be stored. Try again.`, {
      retryAfterSeconds: 1,
    });
  }

  /** Chooses the endpoints, and reserves what places in memory there are for them. */
  plan(
    app: AppRuntime,
    prepared: Prepared,
    only: EndpointRuntime | null = null,
    publication?: PublicationId,
  ): Planned {
    const { envelope, payload, timestamp } = prepared;
    const { dispatcher, options, figures } = this.#needs;
    const locator = locatorOf(app.app.id);
    const id = newId("evt", locator);
    const channels = envelope.channels ?? [];
    const orderingKey = envelope.orderingKey ?? null;
    const matched =
      only !== null
        ? [only]
        : matchingEndpoints(
            app,
            { id, eventType: envelope.type, timestamp, channels, orderingKey, data: prepared.data },
            figures,
          );
    if (prepared.deliverAtMs !== null) refuseOrdered(matched, envelope);
    const { now, later } = split(matched, options.fanOutAtOnceMax);
    const mayHandOver = isDue(prepared.deliverAtMs);
    const deliveries = now.map(
      (runtime): NewDelivery => ({
        id: newId("dlv", locator),
        endpointId: runtime.endpoint.id,
        trigger: only === null ? "publish" : "test",
        class: 0,
        orderKey: only === null ? runtime.orderKeyOf(orderingKey) : null,
        lease: mayHandOver ? dispatcher.reserve(runtime, payload.bytes.length) : null,
        expiresInMs: expiresInMs(runtime.endpoint.retrySchedule),
      }),
    );
    const handOvers: HandOver[] = [];
    for (const [index, delivery] of deliveries.entries()) {
      const runtime = now[index];
      if (delivery.lease === null || runtime === undefined) continue;
      handOvers.push({
        runtime,
        delivery,
        eventId: id,
        eventType: envelope.type,
        hops: prepared.hops,
        payload: payload.bytes,
      });
    }
    return {
      matched: matched.length,
      handOvers,
      acceptance: {
        event: {
          id,
          appId: app.app.id,
          uid: envelope.uid ?? null,
          eventType: envelope.type,
          timestamp,
          channels,
          orderingKey,
          deliverAtMs: prepared.deliverAtMs,
          hops: prepared.hops,
          payload: payload.bytes,
          dataStart: payload.dataStart,
          dataEnd: payload.dataEnd,
        },
        configVersion: app.app.configVersion,
        deliveries,
        fanOut: later.map((runtime) => runtime.endpoint.id),
        idempotency: prepared.idempotency,
        source: null,
        ...(publication === undefined ? {} : { publication }),
      },
    };
  }

  async #accept(planned: Planned): Promise<AcceptResult> {
    try {
      const { acceptance } = planned;
      return await this.#accepts.push(
        acceptance,
        acceptance.event.payload.length + 200 * acceptance.deliveries.length,
      );
    } catch (error) {
      this.#needs.dispatcher.unreserve(planned.handOvers);
      throw error;
    }
  }

  /** `again`: it was planned with an old configuration. */
  conclude(result: AcceptResult, planned: Planned, { app }: EventEnvelope): PickedUp | "again" {
    const { dispatcher } = this.#needs;
    const { event } = planned.acceptance;
    if (result.kind !== "accepted") dispatcher.unreserve(planned.handOvers);
    switch (result.kind) {
      case "accepted":
        this.#handOver(planned, result.unleased);
        return {
          kind: "accepted",
          id: event.id,
          duplicate: false,
          deliveries: planned.matched,
          fanOut: fanOutState(planned),
        };
      case "duplicate":
        return {
          kind: "accepted",
          id: result.eventId,
          duplicate: true,
          deliveries: result.deliveries,
          fanOut: result.fanOut,
        };
      case "stale":
        return "again";
      case "conflict":
        throw conflict(result.key, result.eventId);
      case "gone":
        // Gone for the store may be an old id behind a uid that was given anew: look once more.
        this.#needs.apps.forget(event.appId);
        throw appNotFound(app);
      case "taken":
        return result;
      case "full":
        throw new PosthornError(
          "storage_full",
          "The disk is nearly full. Nothing was stored; try again later.",
          { retryAfterSeconds: 30 },
        );
      case "unavailable":
        throw new PosthornError(
          "store_unavailable",
          "The connection to the store broke. The event may or may not have been stored: ask again.",
          { retryAfterSeconds: 1 },
        );
      case "failed":
        throw new PosthornError("internal", `The event could not be stored: ${result.message}`);
      default:
        return unreachable(result, "accept result");
    }
  }

  #handOver(planned: Planned, unleased: readonly string[]): void {
    const { dispatcher, figures } = this.#needs;
    const { event, deliveries, fanOut } = planned.acceptance;
    for (const delivery of deliveries) figures.created(event.appId, delivery.endpointId);
    for (const handOver of planned.handOvers) {
      if (unleased.includes(handOver.delivery.id)) dispatcher.unreserve([handOver]);
      else dispatcher.handOver(handOver);
    }
    const stored = deliveries.some((delivery) => delivery.lease === null);
    if (stored) dispatcher.storedUnleased(planned.acceptance);
    if (fanOut.length > 0) this.#needs.fanOutPending();
  }

  /** An event that was accepted without asking the limits of its app. */
  countForLimits(app: AppRuntime): void {
    if (app.limited) this.#needs.limits.count(app);
  }

  count(duplicate: boolean): void {
    if (duplicate) this.#needs.figures.duplicates += 1;
    else this.#needs.figures.accepted += 1;
  }

  problemOf(error: unknown): PosthornError {
    if (error instanceof PosthornError) return error;
    this.#needs.logger.error({ error: messageOf(error) }, "publish.failed");
    return new PosthornError("internal", "The event could not be stored.", { cause: error });
  }
}

/** @param outcome undefined: something was thrown */
function settleCharge(charge: Charge, outcome: PickedUp | "again" | undefined): void {
  if (outcome === "again") charge.undo();
  else if (outcome?.kind === "accepted" && !outcome.duplicate) charge.accepted();
  else charge.refused();
}

/**
 * A fan-out to more endpoints than are reached at once is continued in chunks. Ordered endpoints are reached now all the
 * same: a later event must not overtake this one there.
 */
function split(
  matched: readonly EndpointRuntime[],
  atOnceMax: number,
): { readonly now: readonly EndpointRuntime[]; readonly later: readonly EndpointRuntime[] } {
  if (matched.length <= atOnceMax) return { now: matched, later: [] };
  const isOrdered = ({ endpoint }: EndpointRuntime): boolean => endpoint.ordering !== "unordered";
  return { now: matched.filter(isOrdered), later: matched.filter((runtime) => !isOrdered(runtime)) };
}

/** What is due later waits in the store. */
function isDue(deliverAtMs: number | null): boolean {
  return deliverAtMs === null || deliverAtMs <= Date.now();
}

function fanOutState(planned: Planned): "done" | "pending" {
  return planned.acceptance.fanOut.length > 0 ? "pending" : "done";
}

/** How long a delivery may live: its whole schedule, and the wait past the last due time. */
export function expiresInMs(schedule: readonly number[]): number {
  return scheduleMsMax(schedule) + LIMITS.waitMsMax;
}

function refuseOrdered(matched: readonly EndpointRuntime[], envelope: EventEnvelope): void {
  const ordered = matched.find((runtime) => runtime.orderKeyOf(envelope.orderingKey ?? null) !== null);
  if (ordered === undefined) return;
  throw new PosthornError(
    "invalid_deliver_at",
    `/deliverAt cannot be kept: endpoint ${ordered.endpoint.id} receives in order. Leave deliverAt out, or make the endpoint unordered.`,
    { pointer: "/deliverAt", value: envelope.deliverAt },
  );
}

export function changesTooFast(app: string): PosthornError {
  return new PosthornError("overloaded", `The configuration of app "${app}" changes too fast. Try again.`, {
    retryAfterSeconds: 1,
  });
}

function appNotFound(reference: string): PosthornError {
  const { code, message } = notFound("app", reference);
  return new PosthornError(code, `${message} Create it first, or check /app.`, {
    pointer: "/app",
    value: reference,
  });
}
