/** What became of an event whose transaction ended. */
import { type Control, DeliveryControl, PoisonError } from "./control.ts";
import { StepError } from "./steps.ts";

export type Outcome =
  | { readonly kind: "handled" }
  | { readonly kind: "duplicate" }
  /** Another process works at it at this moment. */
  | { readonly kind: "busy" }
  | { readonly kind: "control"; readonly control: Control; readonly by: string; readonly error: Error }
  | { readonly kind: "poison"; readonly by: string; readonly error: Error }
  | Failure;

/** Passing: to be tried again. */
export interface Failure {
  readonly kind: "failed";
  readonly source: "handler" | "processor" | "store";
  readonly by: string;
  readonly error: unknown;
}

export const HANDLED: Outcome = { kind: "handled" };

/** @param error what a transaction rejected with */
export function outcomeOf(error: unknown): Outcome {
  if (!(error instanceof StepError)) return storeFailed(error);
  const { by, kind, cause } = error;
  if (cause instanceof DeliveryControl) return { kind: "control", control: cause.control, by, error: cause };
  if (cause instanceof PoisonError) return { kind: "poison", by, error: cause };
  return { kind: "failed", source: kind, by, error: cause };
}

export function storeFailed(error: unknown, by = "store"): Failure {
  return { kind: "failed", source: "store", by, error };
}
