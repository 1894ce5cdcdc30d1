/** The reader's verbs by name. */
import type { StoreReader } from "../../store.ts";
import type { ReaderVerb } from "../wire.ts";
import { DueLanesQuery } from "./due-lanes.ts";
import { Endpoints } from "./endpoints.ts";
import { Find } from "./find.ts";
import { health } from "./health.ts";
import { Leases } from "./leases.ts";
import { List } from "./list.ts";
import { PublicKeys } from "./public-keys.ts";
import type { Reading } from "./reading.ts";
import { StatsVerb } from "./stats.ts";
import { UsageQuery } from "./usage.ts";

type Verbs = { [Verb in ReaderVerb]: (...args: Parameters<StoreReader[Verb]>) => unknown };

export function createVerbs(reading: Reading): Verbs {
  const endpoints = new Endpoints(reading);
  const find = new Find(reading, endpoints);
  const list = new List(reading, endpoints);
  const dueLanes = new DueLanesQuery(reading);
  const stats = new StatsVerb(reading);
  const leases = new Leases(reading);
  const publicKeys = new PublicKeys(reading);
  const usage = new UsageQuery(reading);
  return {
    config: (app) => endpoints.config(app),
    refresh: (known) => endpoints.refresh(known),
    find: (kind, reference) => find.run(kind, reference),
    list: (kind, query) => list.run(kind, query),
    dueLanes: (query) => dueLanes.run(query),
    leases: (incarnation, page) => leases.run(incarnation, page),
    stats: (query) => stats.run(query),
    publicKeys: (query) => publicKeys.run(query),
    usage: (scopes) => usage.run(scopes),
    health: () => health(reading),
  };
}
