/** The endpoints' part of the engine: what changes them, what asks them for consent, and what their users call. */
import type { Logger } from "../base/logger.ts";
import type { NewAuditEntry } from "../domain/audit.ts";
import type { Endpoint } from "../domain/endpoint.ts";
import type { Vault } from "../security/vault.ts";
import type { Store } from "../store/store.ts";
import type { Transport } from "../transports/transport.ts";
import { EndpointEdits } from "./endpoint-edits.ts";
import { EndpointResources } from "./endpoints.ts";
import type { Endpoints } from "./engine.ts";
import { limitedKey } from "./limits.ts";
import type { OperationalEvents } from "./operational-events.ts";
import type { EngineOptions } from "./options.ts";
import { ownNameOf } from "./ownership.ts";
import { OwnershipChecks } from "./ownership-checks.ts";
import type { Publisher } from "./publisher.ts";
import type { ReplayRunner } from "./replays.ts";
import { testEndpoint } from "./test-event.ts";

export interface CreateEndpointsNeeds {
  readonly store: Store;
  readonly vault: Vault;
  readonly transport: Transport;
  readonly logger: Logger;
  readonly options: EngineOptions;
  readonly news: OperationalEvents;
  readonly publisher: Publisher;
  readonly replays: ReplayRunner;
  changed(endpoint: Endpoint): Promise<void>;
  remove(endpoint: Endpoint, audit: NewAuditEntry): Promise<void>;
}

export interface EndpointsRoom {
  readonly edits: EndpointEdits;
  readonly checks: OwnershipChecks;
  readonly endpoints: Endpoints;
}

/** @throws Error when the ownership check is one that this server cannot make */
export function createEndpoints(needs: CreateEndpointsNeeds): EndpointsRoom {
  const { store, vault, transport, logger, options, news, publisher, replays, changed, remove } = needs;
  const edits = new EndpointEdits({
    store,
    vault,
    changed,
    disabled: async (endpoint, reason) => news.endpointDisabled(endpoint.appId, endpoint.id, reason),
  });
  const checks = new OwnershipChecks({
    store,
    vault,
    transport,
    logger,
    edits,
    ownName: ownNameOf(options),
    policy: options.ownershipCheck,
    apartMs: options.ownershipApartMs,
  });
  const resources = new EndpointResources({ store, vault, transport, edits, checks, remove });
  const endpoints: Endpoints = {
    create: (app, input) => resources.create(app, input),
    get: (app, endpoint) => resources.get(app, endpoint),
    list: (app, query) => resources.list(app, query),
    update: (app, endpoint, input) => resources.update(app, endpoint, input),
    remove: (app, endpoint) => resources.remove(app, endpoint),
    secret: (app, endpoint) => resources.secret(app, endpoint),
    rotateSecret: (app, endpoint, input) => resources.rotateSecret(app, endpoint, input),
    verify: (app, endpoint) => resources.verify(app, endpoint),
    grant: (callbackKey, input) => checks.grant(callbackKey, input),
    act: (app, endpoint, action) => resources.act(app, endpoint, action),
    test: async (app, endpoint, input, by) =>
      testEndpoint({ store, vault, publisher }, await edits.row(app, endpoint), input, limitedKey(by)),
    replay: async (app, endpoint, input) => replays.start(await edits.row(app, endpoint), input),
  };
  return { edits, checks, endpoints };
}
