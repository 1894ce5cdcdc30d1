/** An app made ready for fanning out, and the bounded cache of such apps. */
import type { AppId } from "../base/ids.ts";
import type { App } from "../domain/app.ts";
import { OPERATOR_UID } from "../domain/defaults.ts";
import { isLimited } from "../domain/limits.ts";
import type { Vault } from "../security/vault.ts";
import type { AppConfig, StoreReader } from "../store/store.ts";
import { EndpointRuntime } from "./endpoint-runtime.ts";

const APPS_MAX = 2000;
const TYPES_PER_APP_MAX = 500;

export class AppRuntime {
  readonly app: App;
  /** Publishing to it is limited. News about Posthorn itself must not be lost to a limit. */
  readonly limited: boolean;
  readonly endpoints: readonly EndpointRuntime[];
  #byType = new Map<string, readonly EndpointRuntime[]>();

  constructor(config: AppConfig, vault: Vault) {
    this.app = config.app;
    this.limited = config.app.uid !== OPERATOR_UID && isLimited(config.app.limits);
    this.endpoints = config.endpoints
      .filter(({ endpoint }) => endpoint.status !== "disabled")
      .map((endpoint) => new EndpointRuntime(endpoint, vault));
  }

  /** Endpoints whose patterns match: looked up once per type, since a publish should not cost by the endpoints that do not care. */
  wanting(eventType: string): readonly EndpointRuntime[] {
    const known = this.#byType.get(eventType);
    if (known !== undefined) return known;
    const wanting = this.endpoints.filter((endpoint) => endpoint.wantsType(eventType));
    if (this.#byType.size >= TYPES_PER_APP_MAX) this.#byType.clear();
    this.#byType.set(eventType, wanting);
    return wanting;
  }
}

/**
 * Apps by id and uid, least recently loaded out first. It may be stale: `accept` carries the configVersion and answers
 * `stale`, upon which the publisher forgets the app and asks again.
 */
export class AppRuntimes {
  #read: StoreReader;
  #vault: Vault;
  #byReference = new Map<string, AppRuntime>();
  #loading = new Map<string, Promise<AppRuntime | undefined>>();
  #generation = 0;

  constructor(read: StoreReader, vault: Vault) {
    this.#read = read;
    this.#vault = vault;
  }

  /** The app in memory, without waiting. */
  peek(reference: string): AppRuntime | undefined {
    return this.#byReference.get(reference);
  }

  async get(reference: string): Promise<AppRuntime | undefined> {
    const known = this.#byReference.get(reference);
    if (known !== undefined) return known;
    const loading = this.#loading.get(reference);
    if (loading !== undefined) return loading;
    const load = this.#load(reference).finally(() => this.#loading.delete(reference));
    this.#loading.set(reference, load);
    return load;
  }

  forget(appId: AppId): void {
    this.#generation += 1;
    this.#loading.clear();
    for (const [reference, runtime] of this.#byReference) {
      if (runtime.app.id === appId) this.#byReference.delete(reference);
    }
  }

  forgetAll(): void {
    this.#generation += 1;
    this.#loading.clear();
    this.#byReference.clear();
  }

  async #load(reference: string): Promise<AppRuntime | undefined> {
    const generation = this.#generation;
    const config = await this.#read.config(reference);
    if (config === undefined) return undefined;
    const runtime = new AppRuntime(config, this.#vault);
    // A change that came while loading makes what was read doubtful: use it once, do not keep it.
    if (generation === this.#generation) this.#keep(reference, runtime);
    return runtime;
  }

  #keep(reference: string, runtime: AppRuntime): void {
    if (this.#byReference.size >= APPS_MAX) {
      const oldest = this.#byReference.keys().next().value;
      if (oldest !== undefined) this.#byReference.delete(oldest);
    }
    this.#byReference.set(reference, runtime);
  }
}
