/** Posthorn as a library. */

export type {
  LibraryApps,
  LibraryEndpoints,
  LibraryEventTypes,
  LibraryKeys,
  Posthorn,
  PosthornOptions,
} from "./app/open.ts";
export { openPosthorn } from "./app/open.ts";
export type { NewEvent } from "./app/publish.ts";
export type { ErrorCode } from "./base/errors.ts";
export { ERRORS, PosthornError } from "./base/errors.ts";
export type {
  AppId,
  AttemptId,
  DeliveryId,
  EndpointId,
  EventId,
  KeyId,
  PublicationId,
  ReplayId,
} from "./base/ids.ts";
export type { Logger } from "./base/logger.ts";
export type { App, AppCreate, AppUpdate } from "./domain/app.ts";
export type { Attempt, AttemptOutcome } from "./domain/attempt.ts";
export type { Delivery, DeliveryState } from "./domain/delivery.ts";
export type { EndpointCreate, EndpointStatus, EndpointUpdate, SecretRotate } from "./domain/endpoint.ts";
export type { Event } from "./domain/event.ts";
export type { EventType, EventTypeCreate, EventTypePut } from "./domain/event-type.ts";
export type { Key, KeyCreate } from "./domain/key.ts";
export type { PublicationProblem, Published, StoredPublication } from "./domain/publication.ts";
export type { Replay, ReplayCreate } from "./domain/replay.ts";
export type {
  DeliveryQuery,
  EndpointView,
  EngineHealth,
  EventQuery,
  KeyQuery,
  PageQuery,
  PublicationQuery,
  Publications,
  PublishOutcome,
} from "./engine/engine.ts";
export type { Feed, FeedEntry, FeedListener } from "./engine/feed.ts";
export type { TransactionClient } from "./store/postgres/publish.ts";
export type { Page, Stats } from "./store/store.ts";
