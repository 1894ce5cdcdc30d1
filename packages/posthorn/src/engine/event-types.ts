import { notFound, PosthornError } from "../base/errors.ts";
import {
  type EventType,
  eventTypeCreateSchema,
  eventTypeNameSchema,
  eventTypePutSchema,
} from "../domain/event-type.ts";
import { parseInput } from "../domain/input.ts";
import { compileSchema } from "../domain/schema.ts";
import type { Store } from "../store/store.ts";
import { auditEntry, difference } from "./acting.ts";
import type { AppRuntimes } from "./app-runtime.ts";
import type { Catalogue } from "./catalogue.ts";
import type { EventTypes, PageQuery } from "./engine.ts";
import { pageOf } from "./window.ts";

export interface EventTypesNeeds {
  readonly store: Store;
  readonly apps: AppRuntimes;
  readonly catalogue: Catalogue;
}

type Row = Omit<EventType, "createdAtMs" | "updatedAtMs">;

export function createEventTypes({ store, apps, catalogue }: EventTypesNeeds): EventTypes {
  async function get(name: string): Promise<EventType> {
    const found = await store.read.find("event_type", { id: name });
    if (found === undefined) throw notFound("event type", name);
    return found;
  }

  /** Every app's configVersion moves with it, so that no node publishes by an old schema. */
  async function save(eventType: Row, before: EventType | null): Promise<EventType> {
    if (eventType.schema !== null) checkExample(eventType);
    const create = before === null;
    const entry = auditEntry({
      action: create ? "event_type.create" : "event_type.update",
      target: { kind: "event_type", id: eventType.name },
      ...difference(before === null ? null : rowOf(before), eventType),
    });
    const result = await store.write.save({ kind: "event_type", create, eventType }, entry);
    if (result.kind === "uid_taken") throw nameTaken(eventType.name);
    apps.forgetAll();
    catalogue.forget();
    return get(eventType.name);
  }

  return {
    get,
    list: (query: PageQuery = {}) => store.read.list("event_type", pageOf(query)),
    create: (input) => run(() => save(parseInput(eventTypeCreateSchema, input), null)),
    async put(name, input) {
      const parsed = parseInput(eventTypePutSchema, input);
      return save(
        { name: parseInput(eventTypeNameSchema, name), ...parsed },
        (await store.read.find("event_type", { id: name })) ?? null,
      );
    },
    async remove(name) {
      const before = await get(name);
      const entry = auditEntry({
        action: "event_type.remove",
        target: { kind: "event_type", id: name },
        ...difference(rowOf(before), null),
      });
      if (!(await store.write.remove({ kind: "event_type", name }, entry)))
        throw notFound("event type", name);
      apps.forgetAll();
      catalogue.forget();
    },
  };
}

function rowOf({ createdAtMs: _created, updatedAtMs: _updated, ...row }: EventType): Row {
  return row;
}

/** What is thrown at once comes as a rejection. */
async function run<Result>(work: () => Promise<Result>): Promise<Result> {
  return work();
}

function checkExample({ schema, example }: Row): void {
  const check = compileSchema(schema);
  if (example === null) return;
  const problem = check(example);
  if (problem === null) return;
  const pointer = `/example${problem.pointer}`;
  throw new PosthornError(
    "schema_mismatch",
    `${pointer} ${problem.message}: the example must match the schema.`,
    { pointer },
  );
}

function nameTaken(name: string): PosthornError {
  return new PosthornError("name_taken", `/name "${name}" is registered already. Use PUT to change it.`, {
    pointer: "/name",
    value: name,
  });
}
