/** What stands under a pattern of `handlers`, typed by the event map. */
import type { ProcessContext, Processor } from "../processors/processor.ts";
import type { ReceivedEvent } from "./event.ts";

export interface HandlerContext<Transaction = unknown> extends ProcessContext<Transaction> {
  /** Which try of the inbox this is, from 1; undefined where the sender tries again, who knows. */
  readonly attempt?: number;
}

/** Whatever it throws undoes what it wrote in its transaction. See DeliveryControl and PoisonError for saying more than "it failed". */
export type Handler<Event = ReceivedEvent, Transaction = unknown> = (
  event: Event,
  context: HandlerContext<Transaction>,
) => unknown;

export type Step<Event = ReceivedEvent, Transaction = unknown> =
  | Handler<Event, Transaction>
  | Processor<Transaction>;

type Steps<Event, Transaction> = Step<Event, Transaction> | readonly Step<Event, Transaction>[];

/** `order.created.eu` -> `order`, `order.created`. */
type Prefixes<Name extends string> = Name extends `${infer Head}.${infer Rest}`
  ? Head | `${Head}.${Prefixes<Rest>}`
  : never;

type NamesOf<Events> = keyof Events & string;

/** The names, and the wildcards that match at least one of them. */
type PatternsOf<Events> = NamesOf<Events> | `${Prefixes<NamesOf<Events>>}.${"*" | "**"}` | "*";

type Matching<Name extends string, Pattern extends string> = Pattern extends "*"
  ? Name
  : Pattern extends `${infer Prefix}.**`
    ? Extract<Name, `${Prefix}.${string}`>
    : Pattern extends `${infer Prefix}.*`
      ? Exclude<Extract<Name, `${Prefix}.${string}`>, `${Prefix}.${string}.${string}`>
      : Extract<Name, Pattern>;

/** A union of events, told apart by `type`. */
type EventNamed<Events, Name> = Name extends NamesOf<Events> ? ReceivedEvent<Name, Events[Name]> : never;

/** The event that a handler under this pattern gets. */
export type EventUnder<Events, Pattern extends string> = EventNamed<
  Events,
  Matching<NamesOf<Events>, Pattern>
>;

/** With an event map, a name or wildcard that nothing in it matches is a type error; without one, every pattern is taken. */
export type Handlers<Events, Transaction> = string extends keyof Events
  ? { readonly [pattern: string]: Steps<ReceivedEvent, Transaction> }
  : {
      readonly [Pattern in PatternsOf<Events>]?: Steps<EventUnder<Events, Pattern>, Transaction>;
    };
