/**
 * News about Posthorn itself, published to the reserved app `operator` and delivered like any other event. None are made
 * about that app, so no event can breed events; and none are stored while nobody there listens.
 */
import { messageOf } from "../base/errors.ts";
import { type AppId, type EndpointId, newAppId, type PublicationId } from "../base/ids.ts";
import type { Logger } from "../base/logger.ts";
import { DEFAULTS, OPERATOR_UID } from "../domain/defaults.ts";
import { NO_APP_LIMITS } from "../domain/limits.ts";
import type { Publication, PublicationProblem } from "../domain/publication.ts";
import type { EndedDelivery, Store } from "../store/store.ts";
import type { AppRuntimes } from "./app-runtime.ts";
import type { PublishOutcome } from "./engine.ts";

export interface OperationalEventsNeeds {
  readonly apps: AppRuntimes;
  readonly logger: Logger;
  publish(publication: Publication): Promise<PublishOutcome>;
}

export class OperationalEvents {
  #needs: OperationalEventsNeeds;

  constructor(needs: OperationalEventsNeeds) {
    this.#needs = needs;
  }

  endpointFailing(appId: AppId, endpointId: EndpointId, failures: number): void {
    this.#tell("posthorn.endpoint.failing", appId, { appId, endpointId, failures });
  }

  endpointDisabled(appId: AppId, endpointId: EndpointId, reason: string): void {
    this.#tell("posthorn.endpoint.disabled", appId, { appId, endpointId, reason });
  }

  endpointRecovered(appId: AppId, endpointId: EndpointId): void {
    this.#tell("posthorn.endpoint.recovered", appId, { appId, endpointId });
  }

  deadLettered(ended: Omit<EndedDelivery, "state">): void {
    const { appId, endpointId, eventId, eventType, reason } = ended;
    const data = { appId, endpointId, eventId, eventType, deliveryId: ended.id, reason };
    // The uid makes it one event, however often the news is told.
    this.#tell("posthorn.delivery.dead_lettered", appId, data, `dead_lettered:${ended.id}`);
  }

  /** Something published inside a user's own transaction cannot become an event. */
  publicationRefused(
    appId: AppId,
    publicationId: PublicationId,
    eventType: string | null,
    { code, message, pointer }: PublicationProblem,
  ): void {
    const data = { appId, publicationId, eventType, code, message, pointer };
    this.#tell("posthorn.publication.refused", appId, data);
  }

  #tell(type: string, about: AppId, data: object, uid?: string): void {
    this.#publish(type, about, data, uid).catch((error: unknown) => {
      this.#needs.logger.warn({ eventType: type, error: messageOf(error) }, "operational_event.lost");
    });
  }

  async #publish(type: string, about: AppId, data: object, uid: string | undefined): Promise<void> {
    const operator = await this.#needs.apps.get(OPERATOR_UID);
    if (operator === undefined || operator.app.id === about || operator.wanting(type).length === 0) return;
    const bytes = Buffer.from(JSON.stringify(data));
    const envelope = { app: operator.app.id, type, ...(uid === undefined ? {} : { uid }) };
    const outcome = await this.#needs.publish({ envelope, data: bytes, raw: bytes, idempotencyKey: null });
    if (outcome.kind === "refused") throw outcome.error;
  }
}

/** The app that the news goes to. Of two nodes that start at once one makes it. */
export async function ensureOperator({ read, write }: Pick<Store, "read" | "write">): Promise<void> {
  if ((await read.find("app", { id: OPERATOR_UID })) !== undefined) return;
  const app = {
    id: newAppId(),
    uid: OPERATOR_UID,
    name: "Operational events",
    metadata: {},
    retentionDays: DEFAULTS.retentionDays,
    limits: NO_APP_LIMITS,
    ownershipCheck: null,
  };
  await write.save({ kind: "app", create: true, app });
}
