/** Publishing inside a user's own transaction, through the user's own client: calls the SQL function posthorn.publish. */
import { PosthornError } from "../../base/errors.ts";
import { isId, type PublicationId } from "../../base/ids.ts";
import type { EventEnvelope } from "../../domain/event.ts";
import { codeOf } from "./failure.ts";

/** A client of `pg`, or anything that runs a statement as it does. */
export interface TransactionClient {
  query(text: string, values: unknown[]): Promise<{ readonly rows: readonly unknown[] }>;
}

export interface TransactionPublication {
  readonly envelope: EventEnvelope;
  /** JSON. */
  readonly data: string;
  readonly idempotencyKey: string | null;
}

const PUBLISH = "SELECT posthorn.publish($1, $2, $3, $4, $5, $6, $7, $8, $9) AS id";

/** @throws PosthornError of the publication; any other error of the client's as it is */
export async function publishThrough(
  client: TransactionClient,
  { envelope, data, idempotencyKey }: TransactionPublication,
): Promise<PublicationId> {
  const { app, type, uid, timestamp, channels, orderingKey, deliverAt } = envelope;
  const given = [app, type, data, uid, timestamp, channels, orderingKey, deliverAt, idempotencyKey];
  let rows: readonly unknown[];
  try {
    ({ rows } = await client.query(
      PUBLISH,
      given.map((value) => value ?? null),
    ));
  } catch (error) {
    throw asProblem(error);
  }
  const { id } = (rows[0] ?? {}) as { readonly id?: unknown };
  if (!isId("pub", id)) throw new Error("posthorn.publish gave no id.");
  return id;
}

/** Arguments of the function that have other names than the fields of an event. */
const FIELDS: Readonly<Record<string, string>> = {
  occurred_at: "timestamp",
  ordering_key: "orderingKey",
  deliver_at: "deliverAt",
  idempotency_key: "idempotencyKey",
};
const PREFIX = "posthorn.publish: ";

function asProblem(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const { column, hint = "" } = error as { readonly column?: string; readonly hint?: string };
  switch (codeOf(error)) {
    case "22023":
    case "23503": {
      if (column === undefined || !error.message.startsWith(PREFIX)) return error;
      const pointer = `/${FIELDS[column] ?? column}`;
      const problem = error.message.slice(PREFIX.length + column.length);
      const code = column === "app" ? "not_found" : "invalid_field";
      return new PosthornError(code, `${pointer}${problem}. ${hint}`.trimEnd(), { pointer, cause: error });
    }
    case "3F000":
    case "42883":
      return new PosthornError(
        "invalid_field",
        "The database of /client has no function posthorn.publish: connect it to the database that `store` names, and run `posthorn migrate` there.",
        { pointer: "/client", cause: error },
      );
    case "42501":
      return new PosthornError(
        "forbidden",
        "The role of /client may not publish: GRANT USAGE ON SCHEMA posthorn and EXECUTE ON FUNCTION posthorn.publish to it.",
        { pointer: "/client", cause: error },
      );
    default:
      return error;
  }
}
