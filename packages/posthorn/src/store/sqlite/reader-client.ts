/** The read side as the engine sees it. */
import type {
  AppConfig,
  DueLanes,
  DueQuery,
  KnownEndpoint,
  ListQuery,
  Page,
  Reference,
  ResourceKind,
  Resources,
  Stats,
  StatsQuery,
  StoreHealth,
  StoreReader,
} from "../store.ts";
import { type ReaderVerb, uncarry } from "./wire.ts";
import type { WorkerThread } from "./worker-thread.ts";

export class ReaderClient implements StoreReader {
  #thread: WorkerThread<ReaderVerb>;

  constructor(thread: WorkerThread<ReaderVerb>) {
    this.#thread = thread;
  }

  config(app: string): Promise<AppConfig | undefined> {
    return this.#call("config", [app]);
  }
  refresh(known: readonly KnownEndpoint[]): ReturnType<StoreReader["refresh"]> {
    return this.#call("refresh", [known]);
  }
  find<Kind extends ResourceKind>(kind: Kind, reference: Reference): Promise<Resources[Kind] | undefined> {
    return this.#call("find", [kind, reference]);
  }
  list<Kind extends ResourceKind>(kind: Kind, query: ListQuery): Promise<Page<Resources[Kind]>> {
    return this.#call("list", [kind, query]);
  }
  dueLanes(query: DueQuery): Promise<DueLanes> {
    return this.#call("dueLanes", [query]);
  }
  leases(...args: Parameters<StoreReader["leases"]>): ReturnType<StoreReader["leases"]> {
    return this.#call("leases", args);
  }
  /** There are none of users' own transactions. */
  publications(): Promise<readonly []> {
    return Promise.resolve([]);
  }
  stats(query: StatsQuery): Promise<Stats> {
    return this.#call("stats", [query]);
  }
  publicKeys(query: Parameters<StoreReader["publicKeys"]>[0]): ReturnType<StoreReader["publicKeys"]> {
    return this.#call("publicKeys", [query]);
  }
  usage(scopes: Parameters<StoreReader["usage"]>[0]): ReturnType<StoreReader["usage"]> {
    return this.#call("usage", [scopes]);
  }
  health(): Promise<StoreHealth> {
    return this.#call("health", []);
  }

  async #call<Result>(verb: ReaderVerb, args: readonly unknown[]): Promise<Result> {
    const [answer] = await this.#thread.send([{ verb, args }], []);
    if (answer === undefined) throw new Error("The store's reader gave no answer.");
    if ("error" in answer) throw uncarry(answer.error);
    return answer.value as Result;
  }
}
