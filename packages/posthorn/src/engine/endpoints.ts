import { PosthornError, unreachable } from "../base/errors.ts";
import { locatorOf, newId } from "../base/ids.ts";
import type { App } from "../domain/app.ts";
import type { NewAuditEntry } from "../domain/audit.ts";
import { DEFAULTS } from "../domain/defaults.ts";
import {
  type Endpoint,
  type EndpointStatus,
  type EndpointUpdateInput,
  endpointCreateSchema,
  endpointUpdateSchema,
  NO_ACCESS,
  secretRotateSchema,
} from "../domain/endpoint.ts";
import { compileEventTypePatterns } from "../domain/event-types.ts";
import { compileFilter, FilterSyntaxError } from "../domain/filter.ts";
import { parseInput } from "../domain/input.ts";
import type { GivenSecrets } from "../domain/scheme.ts";
import type { Vault } from "../security/vault.ts";
import type { EndpointRow, Store } from "../store/store.ts";
import type { Transport } from "../transports/transport.ts";
import { auditEntry, difference } from "./acting.ts";
import { type AccessChange, changedCredentials, readAccess, refuseTwice } from "./credentials.ts";
import {
  changedMeanwhile,
  type Edit,
  type EndpointEdits,
  type EndpointFields,
  targetOf,
} from "./endpoint-edits.ts";
import { newSecrets, overlapMsOf, refuseUnused, revealed, rotated, withMissing } from "./endpoint-secrets.ts";
import { auditedOf, viewOf } from "./endpoint-view.ts";
import type { EndpointAction, EndpointSecrets, Endpoints, EndpointView, PageQuery } from "./engine.ts";
import { fieldsUnderPolicy } from "./ownership.ts";
import type { OwnershipChecks } from "./ownership-checks.ts";
import { refuseBesideProfile } from "./profile-rules.ts";
import { withKeyMade } from "./profile-secrets.ts";
import { openCredentials, openHeaders, sealCredentials, sealHeaders } from "./sealing.ts";
import { pageOf } from "./window.ts";

export interface EndpointsNeeds {
  readonly store: Store;
  readonly vault: Vault;
  readonly transport: Transport;
  readonly edits: EndpointEdits;
  readonly checks: OwnershipChecks;
  remove(endpoint: Endpoint, audit: NewAuditEntry): Promise<void>;
}

export class EndpointResources implements Omit<Endpoints, "grant" | "test" | "replay"> {
  #needs: EndpointsNeeds;

  constructor(needs: EndpointsNeeds) {
    this.#needs = needs;
  }

  async create(appReference: string, input: unknown): Promise<EndpointView> {
    const { vault, transport, edits, checks } = this.#needs;
    const app = await edits.app(appReference);
    const given = parseInput(endpointCreateSchema, input);
    const {
      secret: _secret,
      signingKey: _signingKey,
      headers,
      authentication,
      clientCertificate,
      ...rest
    } = given;
    const { certificateAuthorities, encryption, ...settings } = rest;
    refuseUnused(given.scheme, given);
    await this.#refuseBeyondLimit(app);
    const parts = { authentication, clientCertificate, certificateAuthorities, encryption };
    const access = await readAccess(parts, transport);
    const endpoint = fieldsUnderPolicy(
      null,
      {
        ...settings,
        ...NO_ACCESS,
        ...access.facts,
        id: newId("ep", locatorOf(app.id)),
        appId: app.id,
        uid: settings.uid ?? null,
        eventTypes: settings.eventTypes ?? [],
        channels: settings.channels ?? [],
        disableReason: settings.status === "disabled" ? "by_hand" : null,
        version: 1,
      },
      checks.policyOf(app),
    );
    this.#check(endpoint, headers ?? {});
    const { id, appId } = endpoint;
    const row = await edits.create({
      endpoint,
      secrets: newSecrets(vault, endpoint, await withKeyMade(given.scheme, given)),
      sealedHeaders: sealHeaders(vault, appId, id, headers ?? {}),
      sealedCredentials: sealCredentials(vault, appId, id, changedCredentials(null, access)),
    });
    return this.#shown(row);
  }

  async get(app: string, endpoint: string): Promise<EndpointView> {
    return viewOf(this.#needs.vault, await this.#needs.edits.row(app, endpoint));
  }

  async list(appReference: string, query: PageQuery = {}) {
    const { store, vault, edits } = this.#needs;
    const app = await edits.app(appReference);
    const page = await store.read.list("endpoint", { ...pageOf(query), appId: app.id });
    return { data: page.data.map((row) => viewOf(vault, row)), nextCursor: page.nextCursor };
  }

  async update(appReference: string, reference: string, input: unknown): Promise<EndpointView> {
    const { transport, edits, checks } = this.#needs;
    const given = parseInput(endpointUpdateSchema, input);
    const policy = checks.policyOf(await edits.app(appReference));
    const access = await readAccess(given, transport);
    const before =
      given.scheme === undefined ? undefined : (await edits.row(appReference, reference)).endpoint;
    // An RSA key takes a tenth of a second to make: not for an endpoint that has one, or does not exist.
    const isChange = before !== undefined && before.scheme !== given.scheme;
    const made = isChange ? await withKeyMade(given.scheme ?? "standard", {}) : {};
    const row = await edits.edit(appReference, reference, (found) => {
      if (before !== undefined && before.scheme !== found.endpoint.scheme) throw changedMeanwhile(reference);
      const edit = this.#changed(found, given, access, made);
      return { ...edit, endpoint: fieldsUnderPolicy(found.endpoint, edit.endpoint, policy) };
    });
    return this.#shown(row);
  }

  #changed(
    row: EndpointRow,
    given: EndpointUpdateInput,
    access: AccessChange,
    made: GivenSecrets,
  ): Edit & { endpoint: EndpointFields } {
    const { vault } = this.#needs;
    const { endpoint: before, sealedCredentials } = row;
    const { headers, status, ...patch } = given;
    const endpoint: EndpointFields = {
      ...merge(before, patch),
      ...access.facts,
      ...(status === undefined ? {} : statusFields(before, statusAfter(before, ACTIONS[status]))),
    };
    const { id, appId } = before;
    const headersNow =
      headers === undefined ? openHeaders(vault, appId, id, row.sealedHeaders) : (headers ?? {});
    this.#check(endpoint, headersNow);
    const credentials = changedCredentials(openCredentials(vault, appId, id, sealedCredentials), access);
    // The log says that these were given anew, since what differs in them is not in it.
    const replaced: string[] = SEALED_FIELDS.filter((name) => given[name] !== undefined);
    const secrets = withMissing(vault, endpoint, row, made);
    if (secrets.every((each) => !row.secrets.includes(each))) replaced.push("secret");
    return {
      action: "endpoint.update",
      ...(replaced.length === 0 ? {} : { note: { replaced } }),
      endpoint,
      secrets,
      ...(headers === undefined ? {} : { sealedHeaders: sealHeaders(vault, appId, id, headersNow) }),
      ...(Object.keys(access.credentials).length === 0
        ? {}
        : { sealedCredentials: sealCredentials(vault, appId, id, credentials) }),
    };
  }

  async remove(app: string, reference: string): Promise<void> {
    const row = await this.#needs.edits.row(app, reference);
    const { endpoint } = row;
    const before = auditedOf(this.#needs.vault, row);
    const entry = auditEntry({ ...targetOf("endpoint.remove", endpoint), ...difference(before, null) });
    await this.#needs.remove(endpoint, entry);
  }

  /** Nothing is shown before the log says who asked for it. */
  async secret(app: string, reference: string): Promise<EndpointSecrets> {
    const { store, vault } = this.#needs;
    const row = await this.#needs.edits.row(app, reference);
    const secrets = revealed(vault, row);
    await store.write.save({ kind: "audit" }, auditEntry(targetOf("secret.reveal", row.endpoint)));
    return secrets;
  }

  async rotateSecret(app: string, reference: string, input: unknown): Promise<EndpointSecrets> {
    const { vault, edits } = this.#needs;
    const { overlapSeconds, ...given } = parseInput(secretRotateSchema, input ?? {});
    const { endpoint: before } = await edits.row(app, reference);
    refuseUnused(before.scheme, given);
    const ready = await withKeyMade(before.scheme, given);
    const row = await edits.edit(app, reference, ({ endpoint, secrets }) => {
      // What it needs was made ready for another scheme.
      if (endpoint.scheme !== before.scheme) throw changedMeanwhile(reference);
      const overlapMs = overlapMsOf(endpoint.scheme, overlapSeconds);
      return {
        action: "secret.rotate",
        note: { overlapSeconds: overlapMs / 1000 },
        secrets: rotated(vault, endpoint, secrets, { ...ready, overlapMs }),
      };
    });
    // The key of the encryption is not new: see `secret`.
    return { ...revealed(vault, row), encryptionKey: null };
  }

  async verify(app: string, reference: string): Promise<EndpointView> {
    const { endpoint } = await this.#needs.edits.row(app, reference);
    await this.#needs.checks.verify(endpoint);
    return this.get(endpoint.appId, endpoint.id);
  }

  async act(appReference: string, reference: string, action: EndpointAction): Promise<EndpointView> {
    const { store, edits, checks } = this.#needs;
    const policy = checks.policyOf(await edits.app(appReference));
    const row = await edits.edit(appReference, reference, ({ endpoint }) => {
      const status = statusAfter(endpoint, action);
      const changed = { ...endpoint, ...statusFields(endpoint, status) };
      return { action: `endpoint.${action}`, endpoint: fieldsUnderPolicy(endpoint, changed, policy) };
    });
    if (action === "resume" || action === "enable") {
      await store.write.save({ kind: "unblock", endpointId: row.endpoint.id });
      await edits.follow(row.endpoint);
    }
    return this.#shown(await this.#needs.edits.row(row.endpoint.appId, row.endpoint.id));
  }

  /** As it was saved; if it has to prove itself, it is asked behind the answer. */
  #shown(row: EndpointRow): EndpointView {
    this.#needs.checks.begin(row.endpoint);
    return viewOf(this.#needs.vault, row);
  }

  /** Two who create the last one at the same time may both do so: the limit is for order, not for accounting. */
  async #refuseBeyondLimit({ id, uid, limits }: App): Promise<void> {
    if (limits.endpoints === null) return;
    const config = await this.#needs.store.read.config(id);
    const count = config?.endpoints.length ?? 0;
    if (count < limits.endpoints) return;
    throw new PosthornError(
      "limit_reached",
      `App "${uid ?? id}" has ${count} endpoints, and its limit (limits.endpoints) is ${limits.endpoints}. Delete one that is not needed, or have the limit raised.`,
    );
  }

  #check(endpoint: EndpointFields, headers: Readonly<Record<string, string>>): void {
    this.#needs.transport.checkUrl(endpoint.url);
    refuseTwice(endpoint.authentication, headers);
    refuseBesideProfile(endpoint, headers);
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
}

const SEALED_FIELDS = ["headers", "authentication", "clientCertificate", "encryption"] as const;

/** PATCH merges, `null` clears to the default. What has credentials is read elsewhere. */
function merge(before: Endpoint, patch: Omit<EndpointUpdateInput, "headers" | "status">): EndpointFields {
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
  const {
    authentication: _a,
    clientCertificate: _c,
    certificateAuthorities: _ca,
    encryption: _e,
    ...plain
  } = patch;
  const merged: Record<string, unknown> = { ...before };
  for (const [field, value] of Object.entries(plain)) {
    if (value !== undefined) merged[field] = value ?? cleared[field as keyof Endpoint];
  }
  return merged as unknown as EndpointFields;
}

/** PATCH of the status is the action that leads there, and is refused as that is. */
const ACTIONS = { enabled: "enable", paused: "pause", disabled: "disable" } as const satisfies Record<
  NonNullable<EndpointUpdateInput["status"]>,
  EndpointAction
>;

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
