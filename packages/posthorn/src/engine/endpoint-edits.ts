/** Endpoints in the store: found within their app, and changed so that of two people at once neither loses what the other did. */
import { notFound, PosthornError } from "../base/errors.ts";
import type { App } from "../domain/app.ts";
import type { DisableReason, Endpoint, EndpointStatus } from "../domain/endpoint.ts";
import type { Vault } from "../security/vault.ts";
import type { Change, EndpointRow, SaveResult, Store } from "../store/store.ts";
import { auditEntry, difference } from "./acting.ts";
import { auditedOf } from "./endpoint-view.ts";

/** Two people changing one endpoint at once: read again and repeat, so often at most. */
const CHANGED_MAX = 5;

export interface EndpointEditsNeeds {
  readonly store: Store;
  readonly vault: Vault;
  /** The endpoint changed in the store: caches and its lane follow. */
  changed(endpoint: Endpoint): Promise<void>;
  disabled(endpoint: Endpoint, reason: DisableReason): Promise<void>;
}

type EndpointChange = Extract<Change, { kind: "endpoint" }>;
export type EndpointFields = EndpointChange["endpoint"];

/** What an edit leaves out stays as it is. */
export interface Edit extends Partial<Omit<EndpointChange, "kind" | "create">> {
  /** As the audit log names it; null: it is not worth an entry. */
  readonly action: string | null;
  /** What the entry says besides what differs. */
  readonly note?: Readonly<Record<string, unknown>>;
}

export class EndpointEdits {
  #needs: EndpointEditsNeeds;

  constructor(needs: EndpointEditsNeeds) {
    this.#needs = needs;
  }

  /** @throws PosthornError `not_found` */
  async app(reference: string): Promise<App> {
    const app = await this.#needs.store.read.find("app", { id: reference });
    if (app === undefined) throw notFound("app", reference);
    return app;
  }

  /** @throws PosthornError `not_found` for an unknown app or endpoint, and for an endpoint of another app. */
  async row(appReference: string, reference: string): Promise<EndpointRow> {
    const app = await this.app(appReference);
    const row = await this.#needs.store.read.find("endpoint", { id: reference, appId: app.id });
    if (row === undefined || row.endpoint.appId !== app.id) throw notFound("endpoint", reference);
    return row;
  }

  async create(change: Omit<EndpointChange, "kind" | "create">): Promise<EndpointRow> {
    const { endpoint } = change;
    const { store, vault } = this.#needs;
    const entry = auditEntry({
      ...targetOf("endpoint.create", endpoint),
      ...difference(null, auditedOf(vault, change)),
    });
    this.#checkSaved(await store.write.save({ kind: "endpoint", create: true, ...change }, entry), endpoint);
    return this.#followed(await this.row(endpoint.appId, endpoint.id));
  }

  /**
   * Repeats when somebody else was quicker. `change` says what follows from the row; null: nothing is to be done any more.
   * @throws PosthornError `not_found`, `uid_taken`, `changed_meanwhile`, and what `change` throws
   */
  async edit(
    app: string,
    reference: string,
    change: (row: EndpointRow) => Edit | null,
  ): Promise<EndpointRow> {
    for (let turn = 0; turn < CHANGED_MAX; turn++) {
      const row = await this.row(app, reference);
      const edit = change(row);
      if (edit === null) return row;
      const result = await this.#save(row, edit);
      if (result.kind === "changed") continue;
      const endpoint = edit.endpoint ?? row.endpoint;
      this.#checkSaved(result, endpoint);
      if (endpoint.status === "disabled" && row.endpoint.status !== "disabled") {
        await this.#needs.disabled(row.endpoint, endpoint.disableReason ?? "by_hand");
      }
      return this.#followed(await this.row(row.endpoint.appId, row.endpoint.id));
    }
    throw changedMeanwhile(reference);
  }

  /** By a policy: whatever else was changed meanwhile. */
  async setStatus(
    endpoint: Endpoint,
    status: EndpointStatus,
    disableReason: DisableReason | null,
  ): Promise<void> {
    const { store, changed, disabled } = this.#needs;
    const entry = auditEntry({
      ...targetOf(`endpoint.${status === "disabled" ? "disable" : "status"}`, endpoint),
      ...difference(
        { status: endpoint.status, disableReason: endpoint.disableReason },
        { status, disableReason },
      ),
    });
    const { id: endpointId } = endpoint;
    const result = await store.write.save(
      { kind: "endpoint_status", endpointId, status, disableReason },
      entry,
    );
    if (result.kind !== "saved") throw notFound("endpoint", endpointId);
    await changed(endpoint);
    if (status === "disabled" && disableReason !== null && endpoint.status !== "disabled") {
      await disabled(endpoint, disableReason);
    }
  }

  /** Something of its lane changed in the store. */
  follow(endpoint: Endpoint): Promise<void> {
    return this.#needs.changed(endpoint);
  }

  async #save(row: EndpointRow, { action, note, ...edit }: Edit): Promise<SaveResult> {
    const { store, vault } = this.#needs;
    const { endpoint, secrets, sealedHeaders, sealedCredentials } = row;
    const change = { endpoint, secrets, sealedHeaders, sealedCredentials, ...edit };
    return store.write.save(
      { kind: "endpoint", create: false, ...change },
      entryOf(vault, row, change, action, note),
    );
  }

  async #followed(row: EndpointRow): Promise<EndpointRow> {
    await this.#needs.changed(row.endpoint);
    return row;
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
}

export function changedMeanwhile(reference: string): PosthornError {
  return new PosthornError(
    "changed_meanwhile",
    `Endpoint "${reference}" is being changed by others. Try again.`,
  );
}

export function targetOf(action: string, { id, appId }: Pick<Endpoint, "id" | "appId">) {
  return { action, target: { kind: "endpoint", id }, appId };
}

function entryOf(
  vault: Vault,
  row: EndpointRow,
  change: Omit<EndpointChange, "kind" | "create">,
  action: string | null,
  note: Edit["note"],
) {
  if (action === null) return undefined;
  const { before, after } = difference(auditedOf(vault, row), auditedOf(vault, change));
  return auditEntry({ ...targetOf(action, row.endpoint), before, after: { ...after, ...note } });
}
