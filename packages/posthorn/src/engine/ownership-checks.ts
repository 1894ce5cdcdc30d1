/**
 * The checks: made at once behind the answer by the node that took the change, and again by a duty until the endpoint
 * consents. What is asked, and what counts as consent, stands in ownership-check.ts.
 */
import { hash, randomBytes } from "node:crypto";
import { messageOf, PosthornError, unreachable } from "../base/errors.ts";
import { isId } from "../base/ids.ts";
import type { Logger } from "../base/logger.ts";
import type { App } from "../domain/app.ts";
import type { Endpoint } from "../domain/endpoint.ts";
import type { OwnershipPolicy, Verification } from "../domain/ownership.ts";
import { equalHashes } from "../security/api-keys.ts";
import type { Vault } from "../security/vault.ts";
import type { EndpointRow, Store } from "../store/store.ts";
import type { Transport } from "../transports/transport.ts";
import { actAsSystem } from "./acting.ts";
import type { Edit, EndpointEdits } from "./endpoint-edits.ts";
import { EndpointRuntime } from "./endpoint-runtime.ts";
import { isDue, type OwnName, releasedFields, UNPROVED } from "./ownership.ts";
import { askOwner, type Handshake, type Verdict } from "./ownership-check.ts";
import { OwnershipPace } from "./ownership-pace.ts";

type Policy = Exclude<OwnershipPolicy, "off">;
type Subject = Pick<Endpoint, "id" | "appId">;

/** How long a callback may be used. */
const CALLBACK_MS = 24 * 3_600_000;
/** Behind answers: what is beyond waits for the duty. */
const UNDER_WAY_MAX = 100;
/** Of one turn of the duty: endpoints looked at, and asked. */
const PAGES_PER_TURN = 4;
const PAGE = 250;
const ASKED_PER_TURN = 32;

export interface OwnershipNeeds {
  readonly store: Store;
  readonly vault: Vault;
  readonly transport: Transport;
  readonly logger: Logger;
  readonly edits: EndpointEdits;
  readonly ownName: OwnName | null;
  /** Unless an app has its own. */
  readonly policy: OwnershipPolicy;
  /** The least time between two checks of one endpoint: see ownership-pace.ts for what follows from it. */
  readonly apartMs: number;
}

interface Callback {
  readonly url: string;
  readonly stored: NonNullable<Verification["callback"]>;
}

export class OwnershipChecks {
  #needs: OwnershipNeeds;
  #pace: OwnershipPace;
  #underWay = new Map<string, Promise<void>>();
  #cursor: string | undefined;
  #stopping = false;

  constructor(needs: OwnershipNeeds) {
    this.#needs = needs;
    this.#pace = new OwnershipPace(needs.apartMs);
  }

  policyOf({ ownershipCheck }: Pick<App, "ownershipCheck">): OwnershipPolicy {
    return ownershipCheck ?? this.#needs.policy;
  }

  /** Behind the answer, if this is an endpoint that has yet to be asked. What would be too fast is for the duty. */
  begin(endpoint: Endpoint): void {
    const { id, status, verification } = endpoint;
    if (status !== "unverified" || verification?.checks !== 0) return;
    if (this.#stopping || this.#underWay.size >= UNDER_WAY_MAX || this.#underWay.has(id)) return;
    if (this.#pace.take(endpoint) === null) void this.#behind(endpoint);
  }

  /**
   * Asks because somebody wants it now; who comes while it is being asked waits for that. What comes of it stands in the
   * endpoint.
   * @throws PosthornError `state_conflict`: it need not prove anything; `rate_limited`: it, or its host, was asked just now.
   * No one may have us send questions to a third party as fast as he likes, whatever he does to have them sent: begin and the
   * duty keep to the same pace
   */
  async verify(endpoint: Endpoint): Promise<void> {
    const { id } = endpoint;
    const underWay = this.#underWay.get(id);
    if (underWay !== undefined) return underWay;
    const waitMs = this.#pace.take(endpoint);
    if (waitMs !== null) {
      throw new PosthornError(
        "rate_limited",
        `Endpoint ${id} was asked just now, or others at its host were. Try again in a moment.`,
        {
          retryAfterSeconds: Math.ceil(waitMs / 1000),
        },
      );
    }
    await this.#alone(id, this.#check(endpoint));
  }

  /** The endpoint as it stands after it. */
  async #check({ id, appId }: Subject): Promise<Endpoint> {
    const { edits, vault, transport, ownName } = this.#needs;
    const policy = this.policyOf(await edits.app(appId));
    const callback = policy === "cloudevents" ? this.#newCallback(id) : null;
    const row = await edits.edit(appId, id, (found) =>
      policy === "off" ? releaseEdit(found) : questionEdit(found, policy, callback),
    );
    if (policy === "off") return row.endpoint;
    const runtime = new EndpointRuntime(row, vault);
    const handshake: Handshake | null =
      ownName === null ? null : { ...ownName, callbackUrl: callback?.url ?? null };
    const verdict = await askSafely(runtime, transport, policy, handshake);
    const left = await edits.edit(appId, id, (found) => {
      const { endpoint } = found;
      // It has another URL now, which is yet to be asked; or it consented meanwhile by its callback.
      if (endpoint.url !== row.endpoint.url || endpoint.verification === null) return null;
      if (isOvertaken(endpoint.verification, verdict, callback)) return null;
      return verdictEdit(found, verdict, policy === "cloudevents" ? (ownName?.origin ?? null) : null);
    });
    return left.endpoint;
  }

  /** @throws PosthornError `not_found` for a key that is unknown, used or over */
  async grant(
    callbackKey: string,
    { ratePerMinute }: { readonly ratePerMinute: number | null },
  ): Promise<void> {
    const { store, edits, ownName } = this.#needs;
    const [id = ""] = callbackKey.split(".", 1);
    const row = isId("ep", id) ? await store.read.find("endpoint", { id }) : undefined;
    if (row === undefined) throw unknownCallback();
    // It was offered under another policy, which asks for another proof now.
    if (this.policyOf(await edits.app(row.endpoint.appId)) !== "cloudevents") throw unknownCallback();
    const granted = ratePerMinute ?? ownName?.ratePerMinute ?? null;
    await edits.edit(row.endpoint.appId, row.endpoint.id, (found) => {
      if (!fits(found.endpoint.verification?.callback ?? null, callbackKey)) throw unknownCallback();
      const verdict: Verdict = { kind: "consents", grantedPerMinute: granted };
      return { ...verdictEdit(found, verdict, ownName?.origin ?? null), action: "endpoint.grant" };
    });
  }

  /** One turn of the duty: endpoints that a crash left unasked, and those that did not consent yet. */
  async runOnce(): Promise<{ more: boolean }> {
    const { store } = this.#needs;
    for (let page = 0; page < PAGES_PER_TURN; page++) {
      const query = { limit: PAGE, oldestFirst: true, unverified: true };
      const found = await store.read.list(
        "endpoint",
        this.#cursor === undefined ? query : { ...query, cursor: this.#cursor },
      );
      const due = found.data
        .map(({ endpoint }) => endpoint)
        .filter((endpoint) => this.#isToBeAsked(endpoint));
      const asked: Promise<void>[] = [];
      for (const endpoint of due) {
        // The rest of this page is for the next turn.
        if (asked.length === ASKED_PER_TURN) break;
        if (this.#pace.take(endpoint) === null) asked.push(this.#behind(endpoint));
      }
      await Promise.all(asked);
      if (asked.length === ASKED_PER_TURN) return { more: true };
      this.#cursor = found.nextCursor ?? undefined;
      if (this.#cursor === undefined || asked.length > 0) break;
    }
    return { more: false };
  }

  /** Resolves when no check is under way; none begins any more. */
  async stop(): Promise<void> {
    this.#stopping = true;
    await Promise.allSettled(this.#underWay.values());
  }

  #isToBeAsked({ id, status, verification }: Endpoint): boolean {
    if (status !== "unverified" || this.#stopping || this.#underWay.has(id)) return false;
    return verification === null || isDue(verification, Date.now());
  }

  #behind(subject: Subject): Promise<void> {
    const check = actAsSystem(() => this.#check(subject)).catch((error: unknown) => {
      const facts = { endpointId: subject.id, error: messageOf(error) };
      this.#needs.logger.warn(facts, "ownership.check_failed");
      return null;
    });
    return this.#alone(subject.id, check);
  }

  /** For as long as it runs no other check of the endpoint begins. */
  #alone(id: string, check: Promise<Endpoint | null>): Promise<void> {
    const alone = check
      .finally(() => this.#underWay.delete(id))
      // What was given another URL meanwhile has yet to be asked.
      .then((endpoint) => void (endpoint !== null && this.begin(endpoint)));
    this.#underWay.set(id, alone);
    return alone;
  }

  /** Its key is in the URL alone: what is stored is its hash. */
  #newCallback(id: string): Callback | null {
    const callbacks = this.#needs.ownName?.callbacks ?? null;
    if (callbacks === null) return null;
    const key = `${id}.${randomBytes(24).toString("base64url")}`;
    return { url: callbacks + key, stored: { hash: hashOf(key), expiresAtMs: Date.now() + CALLBACK_MS } };
  }
}

/** What cannot be asked at all, since a secret does not open, is a failure like any other. */
async function askSafely(
  runtime: EndpointRuntime,
  transport: Transport,
  policy: Policy,
  handshake: Handshake | null,
): Promise<Verdict> {
  try {
    return await askOwner({ runtime, transport }, policy, handshake);
  } catch (error) {
    const detail = messageOf(error);
    return { kind: "fails", problem: "It could not be asked.", detail: { kind: "invalid", detail } };
  }
}

/** The callback must be known before the question is asked: the answer may come by it first. */
function questionEdit({ endpoint }: EndpointRow, policy: Policy, callback: Callback | null): Edit | null {
  const verification: Verification = { ...(endpoint.verification ?? UNPROVED), policy };
  if (callback === null && endpoint.verification?.policy === policy) return null;
  return {
    action: null,
    endpoint: { ...endpoint, verification: { ...verification, callback: callback?.stored ?? null } },
  };
}

/** The policy is off. */
function releaseEdit({ endpoint }: EndpointRow): Edit {
  if (endpoint.status !== "unverified") {
    throw new PosthornError(
      "state_conflict",
      `Endpoint ${endpoint.id} need not prove that it wants its events: the ownership check of its app is off.`,
    );
  }
  return { action: "endpoint.verify", endpoint: releasedFields(endpoint, true) };
}

function isOvertaken({ callback }: Verification, verdict: Verdict, ours: Callback | null): boolean {
  return verdict.kind !== "consents" && ours !== null && callback?.hash !== ours.stored.hash;
}

/** A failure takes nothing back that was consented to: only another URL does. */
function verdictEdit({ endpoint }: EndpointRow, verdict: Verdict, origin: string | null): Edit {
  const before = endpoint.verification as Verification;
  const asked = { ...before, checkedAtMs: Date.now(), checks: before.checks + 1 };
  switch (verdict.kind) {
    case "consents": {
      const { grantedPerMinute } = verdict;
      const verification = {
        ...asked,
        verifiedAtMs: Date.now(),
        problem: null,
        origin,
        grantedPerMinute,
        callback: null,
      };
      const status = endpoint.status === "unverified" ? "enabled" : endpoint.status;
      return { action: "endpoint.verify", endpoint: { ...endpoint, status, verification } };
    }
    case "undecided":
      return {
        action: "endpoint.verify",
        endpoint: { ...endpoint, verification: { ...asked, problem: verdict.problem } },
      };
    case "fails":
      return {
        action: "endpoint.verify",
        endpoint: { ...endpoint, verification: { ...asked, problem: verdict.problem, callback: null } },
        ...(verdict.detail === undefined ? {} : { note: { outcome: verdict.detail } }),
      };
    default:
      return unreachable(verdict, "verdict");
  }
}

function hashOf(callbackKey: string): string {
  return hash("sha256", callbackKey, "hex");
}

function fits(callback: Verification["callback"], callbackKey: string): boolean {
  if (callback === null || callback.expiresAtMs <= Date.now()) return false;
  return equalHashes(Buffer.from(callback.hash, "hex"), Buffer.from(hashOf(callbackKey), "hex"));
}

/** The same for all three, and without the key: it opens something. */
function unknownCallback(): PosthornError {
  return new PosthornError(
    "not_found",
    "This verification is not known: it was used, is over, or never was.",
  );
}
