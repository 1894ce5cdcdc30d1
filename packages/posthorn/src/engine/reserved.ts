/**
 * What only Posthorn itself publishes: news of its own, which receivers act upon. The test button is no way around: what it
 * sends goes to one endpoint, of whoever presses it.
 */
import { PosthornError } from "../base/errors.ts";
import type { App } from "../domain/app.ts";
import { OPERATOR_UID } from "../domain/defaults.ts";

const RESERVED_TYPES = "posthorn.";

/** @throws PosthornError `invalid_field` */
export function refuseReservedType(type: string): void {
  if (!type.startsWith(RESERVED_TYPES)) return;
  throw new PosthornError(
    "invalid_field",
    `/type must not begin with "${RESERVED_TYPES}": such events are made by Posthorn itself. Choose another name. (got ${type})`,
    { pointer: "/type", value: type },
  );
}

/** @throws PosthornError `invalid_field` */
export function refuseReservedApp({ uid }: App, reference: string): void {
  if (uid !== OPERATOR_UID) return;
  throw new PosthornError(
    "invalid_field",
    `/app is the app "${OPERATOR_UID}", to which Posthorn itself publishes news, and nobody else. Publish to an app of your own.`,
    { pointer: "/app", value: reference },
  );
}
