import { generateStandardSecret } from "@posthorn/receiver";
import { notFound, PosthornError, unreachable } from "../base/errors.ts";
import { locatorOf, newId } from "../base/ids.ts";
import type { App } from "../domain/app.ts";
import { DEFAULTS } from "../domain/defaults.ts";
import {
  type DisableReason,
  type Endpoint,
  type EndpointStatus,
  endpointCreateSchema,
  endpointUpdateSchema,
  secretRotateSchema,
} from "../domain/endpoint.ts";
import { compileEventTypePatterns } from "../domain/event-types.ts";
import { compileFilter, FilterSyntaxError } from "../domain/filter.ts";
import { parseInput } from "../domain/input.ts";
import type { Vault } from "../security/vault.ts";
import type { Change, EndpointRow, SaveResult, SealedSecret, Store } from "../store/store.ts";
import type { Transport } from "../transports/transport.ts";
import type { EndpointAction, Endpoints, EndpointView, PageQuery } from "./engine.ts";
import { openHeaders, openSecret, sealHeaders, sealSecret } from "./sealing.ts";
import { pageOf } from "./window.ts";

/** A rotation keeps at most so many outgoing secrets signing along. */
const OLD_SECRETS_MAX = 10;
/** Two people changing one endpoint at once: read again and repeat, so often at most. */
const CHANGED_MAX = 5;

export interface EndpointsNeeds {
  readonly store: Store;
  readonly vault: Vault;
  readonly transport: Transport;
  /** The endpoint changed in the store: caches and its lane follow. */
  changed(endpoint: Endpoint): Promise<void>;
  removed(endpoint: Endpoint): Promise<void>;
  disabled(endpoint: Endpoint, reason: DisableReason): Promise<void>;
}

type EndpointChange = Extract<Change, { kind: "endpoint" }>;
type EndpointFields = EndpointChange["endpoint"];

export class EndpointResources implements Omit<Endpoints, "test" | "replay"> {
  #needs: EndpointsNeeds;

  constructor(needs: EndpointsNeeds) {
    this.#needs = needs;
  }

  async create(appReference: string, input: unknown): Promise<EndpointView> {
    const app = await this.#app(appReference);
    const { secret = generateStandardSecret(), headers, ...given } = parseInput(endpointCreateSchema, input);
    const id = newId("ep", locatorOf(app.id));
    const endpoint: EndpointFields = {
      ...given,
      id,
      appId: app.id,
      uid: given.uid ?? null,
      eventTypes: given.eventTypes ?? [],
      channels: given.channels ?? [],
      disableReason: given.status === "disabled" ? "by_hand" : null,
      version: 1,
    };
    this.#check(endpoint);
    const result = await this.#needs.store.write.save({
      kind: "endpoint",
      create: true,
      endpoint,
      secrets: [{ sealed: sealSecret(this.#needs.vault, app.id, id, secret), expiresAtMs: null }],
      sealedHeaders: sealHeaders(this.#needs.vault, app.id, id, headers ?? {}),
    });
    this.#checkSaved(result, endpoint);
    return this.#changed(await this.row(app.id, id));
  }

  async get(app: string, endpoint: string): Promise<EndpointView> {
    return this.#view(await this.row(app, endpoint));
  }

  async list(appReference: string, query: PageQuery = {}) {
    const app = await this.#app(appReference);
    const page = await this.#needs.store.read.list("endpoint", { ...pageOf(query), appId: app.id });
    return { data: page.data.map((row) => this.#view(row)), nextCursor: page.nextCursor };
  }

  async update(app: string, endpoint: string, input: unknown): Promise<EndpointView> {
    const { headers, status, ...patch } = parseInput(endpointUpdateSchema, input);
    return this.#edit(app, endpoint, (row) => {
      const before = row.endpoint;
      const changed: EndpointFields = {
        ...merge(before, patch),
        ...(status === undefined ? {} : statusFields(before, status)),
      };
      this.#check(changed);
      const sealedHeaders =
        headers === undefined
          ? row.sealedHeaders
          : sealHeaders(this.#needs.vault, before.appId, before.id, headers ?? {});
      return { endpoint: changed, secrets: row.secrets, sealedHeaders };
    });
  }

  async remove(app: string, endpoint: string): Promise<void> {
    await this.#needs.removed((await this.row(app, endpoint)).endpoint);
  }

  async secret(app: string, endpoint: string): Promise<string> {
    const { endpoint: found, secrets } = await this.row(app, endpoint);
    const current = secrets.find(({ expiresAtMs }) => expiresAtMs === null);
    if (current === undefined) throw notFound("secret of endpoint", endpoint);
    return openSecret(this.#needs.vault, found.appId, found.id, current.sealed);
  }

  async rotateSecret(app: string, endpoint: string, input: unknown): Promise<string> {
    const { secret = generateStandardSecret(), overlapSeconds } = parseInput(secretRotateSchema, input ?? {});
    await this.#edit(app, endpoint, (row) => {
      const { appId, id } = row.endpoint;
      const sealed = sealSecret(this.#needs.vault, appId, id, secret);
      return {
        endpoint: row.endpoint,
        secrets: [{ sealed, expiresAtMs: null }, ...outgoing(row.secrets, overlapSeconds * 1000)],
        sealedHeaders: row.sealedHeaders,
      };
    });
    return secret;
  }

  async act(app: string, reference: string, action: EndpointAction): Promise<EndpointView> {
    const { endpoint } = await this.row(app, reference);
    const status = statusAfter(endpoint, action);
    await this.setStatus(endpoint, status, status === "disabled" ? "by_hand" : null);
    if (action === "resume" || action === "enable") {
      await this.#needs.store.write.save({ kind: "unblock", endpointId: endpoint.id });
      await this.#needs.changed(endpoint);
    }
    return this.get(endpoint.appId, endpoint.id);
  }

  async setStatus(
    endpoint: Endpoint,
    status: EndpointStatus,
    disableReason: DisableReason | null,
  ): Promise<void> {
    const result = await this.#needs.store.write.save({
      kind: "endpoint_status",
      endpointId: endpoint.id,
      status,
      disableReason,
    });
    if (result.kind !== "saved") throw notFound("endpoint", endpoint.id);
    await this.#needs.changed(endpoint);
    if (status === "disabled" && disableReason !== null && endpoint.status !== "disabled") {
      await this.#needs.disabled(endpoint, disableReason);
    }
  }

  /** @throws PosthornError `not_found` for an unknown app or endpoint, and for an endpoint of another app. */
  async row(appReference: string, reference: string): Promise<EndpointRow> {
    const app = await this.#app(appReference);
    const row = await this.#needs.store.read.find("endpoint", { id: reference, appId: app.id });
    if (row === undefined || row.endpoint.appId !== app.id) throw notFound("endpoint", reference);
    return row;
  }

  async #app(reference: string): Promise<App> {
    const app = await this.#needs.store.read.find("app", { id: reference });
    if (app === undefined) throw notFound("app", reference);
    return app;
  }

  async #edit(
    app: string,
    reference: string,
    change: (row: EndpointRow) => Omit<EndpointChange, "kind" | "create">,
  ): Promise<EndpointView> {
    for (let turn = 0; turn < CHANGED_MAX; turn++) {
      const row = await this.row(app, reference);
      const edit = change(row);
      const result = await this.#needs.store.write.save({ kind: "endpoint", create: false, ...edit });
      if (result.kind === "changed") continue;
      this.#checkSaved(result, edit.endpoint);
      if (edit.endpoint.status === "disabled" && row.endpoint.status !== "disabled") {
        await this.#needs.disabled(row.endpoint, "by_hand");
      }
      return this.#changed(await this.row(row.endpoint.appId, row.endpoint.id));
    }
    throw new PosthornError(
      "changed_meanwhile",
      `Endpoint "${reference}" is being changed by others. Try again.`,
    );
  }

  async #changed(row: EndpointRow): Promise<EndpointView> {
    await this.#needs.changed(row.endpoint);
    return this.#view(row);
  }

  #check(endpoint: EndpointFields): void {
    this.#needs.transport.checkUrl(endpoint.url);
    compileEventTypePatterns(endpoint.eventTypes);
    if (endpoint.filter === null) return;
    try {
      compileFilter(endpoint.filter);
    } catch (error) {
      if (!(error instanceof FilterSyntaxError)) throw error;
      throw new PosthornError("invalid_filter", `/filter: ${error.message}`, {
        pointer: "/filter",
        value: endpoint.filter,
      });
    }
  }

  #checkSaved(result: SaveResult, endpoint: EndpointFields): void {
    if (result.kind === "saved") return;
    if (result.kind === "uid_taken") {
      throw new PosthornError(
        "uid_taken",
        `/uid "${endpoint.uid}" belongs to another endpoint of this app. Choose another one.`,
        {
          pointer: "/uid",
          value: endpoint.uid,
        },
      );
    }
    throw notFound("endpoint", endpoint.id);
  }

  #view({ endpoint, secrets, sealedHeaders, lane, filterErrors, filterError }: EndpointRow): EndpointView {
    const headers = openHeaders(this.#needs.vault, endpoint.appId, endpoint.id, sealedHeaders);
    const expiries = secrets.flatMap(({ expiresAtMs }) =>
      expiresAtMs !== null && expiresAtMs > Date.now() ? [expiresAtMs] : [],
    );
    return {
      ...endpoint,
      headerNames: Object.keys(headers),
      breaker: lane.breaker,
      failingForMs: lane.failingForMs,
      filterErrors,
      filterError,
      oldSecretExpiresAtMs: expiries.length === 0 ? null : Math.max(...expiries),
    };
  }
}

/** PATCH merges, `null` clears to the default. */
function merge(before: Endpoint, patch: Partial<Record<keyof Endpoint, unknown>>): EndpointFields {
  const cleared: Partial<Record<keyof Endpoint, unknown>> = {
    uid: null,
    description: "",
    eventTypes: [],
    channels: [],
    filter: null,
    rateLimitPerSecond: null,
    inFlightMax: DEFAULTS.inFlightMax,
    timeoutMs: DEFAULTS.timeoutMs,
    retrySchedule: DEFAULTS.retrySchedule,
    ordering: "unordered",
    onDeadLetter: "continue",
    scheme: "standard",
  };
  const merged: Record<string, unknown> = { ...before };
  for (const [field, value] of Object.entries(patch)) {
    if (value !== undefined) merged[field] = value ?? cleared[field as keyof Endpoint];
  }
  return merged as unknown as EndpointFields;
}

function statusFields(before: Endpoint, status: EndpointStatus): Pick<Endpoint, "status" | "disableReason"> {
  if (status === before.status) return { status, disableReason: before.disableReason };
  return { status, disableReason: status === "disabled" ? "by_hand" : null };
}

function statusAfter(endpoint: Endpoint, action: EndpointAction): EndpointStatus {
  switch (action) {
    case "enable":
      return "enabled";
    case "disable":
      return "disabled";
    case "pause":
      if (endpoint.status === "enabled" || endpoint.status === "paused") return "paused";
      throw new PosthornError(
        "state_conflict",
        `Endpoint ${endpoint.id} is ${endpoint.status}; only an enabled one can be paused.`,
      );
    case "resume":
      if (endpoint.status === "enabled" || endpoint.status === "paused") return "enabled";
      throw new PosthornError(
        "state_conflict",
        `Endpoint ${endpoint.id} is ${endpoint.status}; only a paused one can be resumed. Enable it instead.`,
      );
    default:
      return unreachable(action, "endpoint action");
  }
}

/** The secrets that sign along: the one that was current, until the overlap ends, and earlier ones that are not over yet. */
function outgoing(secrets: readonly SealedSecret[], overlapMs: number): SealedSecret[] {
  const now = Date.now();
  return secrets
    .map(({ sealed, expiresAtMs }) => ({ sealed, expiresAtMs: expiresAtMs ?? now + overlapMs }))
    .filter(({ expiresAtMs }) => expiresAtMs > now)
    .slice(0, OLD_SECRETS_MAX);
}
