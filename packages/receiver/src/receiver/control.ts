/** What a handler throws to say more than "it failed". Nothing of what it wrote in its transaction stays. */

export type Control =
  /** Not now: 503 with `Retry-After`. In the inbox: again after as long. */
  | { readonly kind: "retry_after"; readonly seconds: number }
  /** Never again this event: 422 with `webhook-delivery: abort-message`. */
  | { readonly kind: "abort" }
  /** Never again anything: 410 with `webhook-delivery: disable`. */
  | { readonly kind: "disable" };

export class DeliveryControl extends Error {
  override readonly name = "DeliveryControl";
  readonly control: Control;

  constructor(control: Control, reason: string) {
    super(reason);
    this.control = control;
  }
}

/** `throw retryAfter(30, "the warehouse is closed")`. @throws RangeError unless it is a whole number of seconds from 1 to 86,400 */
export function retryAfter(seconds: number, reason = "not now"): DeliveryControl {
  if (!Number.isInteger(seconds) || seconds < 1 || seconds > 86_400) {
    throw new RangeError(`retryAfter takes whole seconds from 1 to 86400, not ${seconds}`);
  }
  return new DeliveryControl({ kind: "retry_after", seconds }, reason);
}

/** `throw abort("no such customer")`: the sender ends this delivery. */
export function abort(reason = "refused"): DeliveryControl {
  return new DeliveryControl({ kind: "abort" }, reason);
}

/** `throw disable("this shop is closed")`: the sender disables the endpoint. */
export function disable(reason = "not wanted any more"): DeliveryControl {
  return new DeliveryControl({ kind: "disable" }, reason);
}

/**
 * This event can never be processed, however often it comes: a field is missing, a value fits no column. It goes to the dead letters
 * with the reason, is acknowledged, and stands in nobody's way. Everything else that is thrown counts as passing, and is tried again.
 */
export class PoisonError extends Error {
  override readonly name = "PoisonError";
}
