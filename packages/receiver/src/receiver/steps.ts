/** The steps of one pattern, and how they are gone through within a transaction. */
import type { ProcessContext, Processor } from "../processors/processor.ts";
import type { ReceivedEvent } from "./event.ts";
import { compilePatterns } from "./event-types.ts";
import type { Handler, Step } from "./handlers.ts";

export interface Route {
  readonly pattern: string;
  readonly steps: readonly Step[];
  /** Processors alone: they take many events at once. A function gets each in a transaction of its own. */
  readonly batched: boolean;
}

/** @throws TypeError that names the pattern */
export function routesOf(handlers: Readonly<Record<string, unknown>>): {
  readonly routes: readonly Route[];
  readonly processors: readonly Processor[];
  routeOf(eventType: string): Route | undefined;
} {
  const routes = Object.entries(handlers)
    .filter(([, given]) => given !== undefined)
    .map(([pattern, given]): Route => {
      const steps = (Array.isArray(given) ? given : [given]).map((step) => checkStep(pattern, step));
      if (steps.length === 0) throw new TypeError(`handlers: the list of ${pattern} is empty.`);
      return { pattern, steps, batched: steps.every(isProcessor) };
    });
  return {
    routes,
    processors: [...new Set(routes.flatMap(({ steps }) => steps.filter(isProcessor)))],
    routeOf: compilePatterns(routes.map((route) => [route.pattern, route] as const)),
  };
}

function checkStep(pattern: string, step: unknown): Step {
  if (typeof step === "function") return step as Handler;
  if (typeof step === "object" && step !== null && "kind" in step && step.kind === "processor") {
    return step as Processor;
  }
  throw new TypeError(`handlers: ${pattern} must be a function, a processor, or a list of them.`);
}

function isProcessor(step: Step): step is Processor {
  return typeof step !== "function";
}

/** A step threw; `cause` is what. Anything else that a transaction rejects with comes from its store. */
export class StepError extends Error {
  readonly by: string;
  readonly kind: "handler" | "processor";

  constructor(cause: unknown, processor?: Processor) {
    super(cause instanceof Error ? cause.message : String(cause), { cause });
    this.kind = processor === undefined ? "handler" : "processor";
    this.by = processor?.name ?? "handler";
  }
}

export interface Load {
  readonly event: ReceivedEvent;
  readonly attempt?: number;
}

/** @throws StepError */
export async function goThrough(
  route: Route,
  loads: readonly Load[],
  context: ProcessContext,
): Promise<void> {
  const events = loads.map(({ event }) => event);
  for (const step of route.steps) {
    try {
      if (isProcessor(step)) await step.process(events, context);
      else for (const { event, ...attempt } of loads) await step(event, { ...context, ...attempt });
    } catch (error) {
      throw new StepError(error, isProcessor(step) ? step : undefined);
    }
  }
}
