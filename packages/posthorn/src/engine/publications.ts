/**
 * Picks up what users published inside their own transactions, once those have committed. One node at a time does it, so
 * that each app's events keep their order. It looks for rows, with no cursor: numbers are given before commits, and a row
 * with a low number may appear after one with a high number.
 */
import { monotonicMs } from "../base/clock.ts";
import type { PosthornError } from "../base/errors.ts";
import type { IncarnationId, PublicationId } from "../base/ids.ts";
import { createDuty, type Duty } from "../base/lifecycle.ts";
import type { Logger } from "../base/logger.ts";
import { LIMITS } from "../domain/defaults.ts";
import { scanJson } from "../domain/json.ts";
import type { Publication, StoredPublication } from "../domain/publication.ts";
import type { Store } from "../store/store.ts";
import type { FiguresCounter } from "./figures.ts";
import type { OperationalEvents } from "./operational-events.ts";
import type { FoundPublication } from "./publish-in-order.ts";
import type { PickedUp } from "./publisher.ts";

/** How long a committed publication waits for a node that is idle. */
const LOOK_EVERY_MS = 50;
const PICK_MAX = 500;
/** How often a node asks for the duty that another one has. */
const ASK_EVERY_MS = 250;
const PAUSE_MS = 1000;
/** What fails inside of us may pass, but must not be tried for ever. */
const TRIES_MAX = 5;

export interface PublicationPickerNeeds {
  readonly store: Store;
  readonly figures: FiguresCounter;
  readonly news: OperationalEvents;
  readonly logger: Logger;
  incarnation(): IncarnationId | null;
  /** @throws PosthornError with status 503 when what is not stored by then must wait */
  publish(found: readonly FoundPublication[]): Promise<ReadonlyMap<PublicationId, PickedUp>>;
}

export class PublicationPicker {
  readonly duty: Duty;
  #needs: PublicationPickerNeeds;
  /** The incarnation that had the duty when it last asked. */
  #holder: IncarnationId | null = null;
  #askAtMs = 0;
  #resumeAtMs = 0;
  #tries = new Map<PublicationId, number>();

  constructor(needs: PublicationPickerNeeds) {
    this.#needs = needs;
    this.duty = createDuty({
      name: "publications",
      everyMs: LOOK_EVERY_MS,
      logger: needs.logger,
      runOnce: () => this.#turn(),
    });
  }

  async #turn(): Promise<{ more: boolean }> {
    const incarnation = this.#needs.incarnation();
    if (incarnation === null || monotonicMs() < this.#resumeAtMs) return { more: false };
    try {
      return { more: await this.#pick(incarnation) };
    } catch (error) {
      this.#resumeAtMs = monotonicMs() + PAUSE_MS;
      throw error;
    }
  }

  /** Whether there is more to be picked up at once. */
  async #pick(incarnation: IncarnationId): Promise<boolean> {
    const { store, figures } = this.#needs;
    if (this.#holder !== incarnation && !(await this.#has(incarnation))) return false;
    const found = await store.read.publications(PICK_MAX);
    // Asked again before anything is done: another node may have taken over since.
    if (found.length === 0 || !(await this.#has(incarnation))) return false;
    const outcomes = await this.#needs.publish(
      found.map((stored) => ({ id: stored.id, read: () => readStored(stored) })),
    );
    for (const stored of found) {
      const outcome = outcomes.get(stored.id);
      if (outcome?.kind === "refused") await this.#refused(stored, outcome.error);
      else this.#tries.delete(stored.id);
      if (outcome?.kind === "accepted") figures[outcome.duplicate ? "duplicates" : "accepted"] += 1;
    }
    return found.length === PICK_MAX;
  }

  async #has(incarnation: IncarnationId): Promise<boolean> {
    if (this.#holder !== incarnation && monotonicMs() < this.#askAtMs) return false;
    this.#askAtMs = monotonicMs() + ASK_EVERY_MS;
    const has = await this.#needs.store.write.takeDuty("publications", incarnation);
    this.#holder = has ? incarnation : null;
    return has;
  }

  async #refused({ id, appId, envelope }: StoredPublication, error: PosthornError): Promise<void> {
    const { code, message } = error;
    const { store, figures, news, logger } = this.#needs;
    if (code === "internal" && this.#triesOf(id) < TRIES_MAX) return;
    this.#tries.delete(id);
    const problem = { code, message, pointer: error.pointer ?? null };
    if (!(await store.write.refusePublication(id, problem))) return;
    figures.refused += 1;
    logger.warn({ publicationId: id, appId, code }, "publication.refused");
    news.publicationRefused(appId, id, eventTypeOf(envelope), problem);
  }

  #triesOf(id: PublicationId): number {
    const tries = (this.#tries.get(id) ?? 0) + 1;
    if (this.#tries.size >= 10 * PICK_MAX) this.#tries.clear();
    this.#tries.set(id, tries);
    return tries;
  }
}

/** @throws PosthornError when its data is deeper than is allowed, or has a key twice: what PostgreSQL does not look at */
function readStored({ envelope, data, idempotencyKey, createdAtMs }: StoredPublication): Publication {
  const { start, end } = scanJson(data, { depthMax: LIMITS.jsonDepthMax });
  const given = envelope as Readonly<Record<string, unknown>>;
  return {
    // It occurred when it was published, not when it is picked up.
    envelope: { timestamp: new Date(createdAtMs).toISOString(), ...given },
    data: data.subarray(start, end),
    // As it was given: without what was filled in, and the same whenever it is read.
    raw: Buffer.concat([Buffer.from(JSON.stringify(given)), data]),
    idempotencyKey,
  };
}

function eventTypeOf(envelope: unknown): string | null {
  const { type } = envelope as { readonly type?: unknown };
  return typeof type === "string" ? type : null;
}
