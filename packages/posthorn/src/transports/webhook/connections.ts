/**
 * Kept connections, each an undici Client with one exchange at a time. Not undici's Pool or Agent: those keep a client
 * object for every connection that ever was, know no bound over all origins but refusal, and cannot give up an exchange
 * that still waits for its connection. Here the most recently used connection of an origin goes first, so that a burst's
 * extra ones fall idle and close.
 */
import type { EventEmitter } from "node:events";
import type { Socket } from "node:net";
import { Client } from "undici";
import type { ShipmentAccess } from "../transport.ts";
import type { Connector, Dial } from "./connector.ts";

export interface Connection {
  readonly client: Client;
  /** Whom it may serve: an origin, and whose TLS it was made with. */
  readonly key: string;
  readonly access: ShipmentAccess | undefined;
  /** How it was connected, or is being connected; undefined before, and after it was lost. */
  dial: Dial | undefined;
  /** Something was answered on it: its receiver takes it as it is. */
  hasServed: boolean;
  isIdle: boolean;
  isDiscarded: boolean;
  /** Who uses it. */
  user: ConnectionUser | undefined;
  /** What had come over it when its last exchange began. */
  bytesReadBefore: number;
}

export interface ConnectionUser {
  /** More came than an answer may have. */
  overrun(): void;
}

export interface Connections {
  /** An idle connection to this origin, else a new one. Give it back with `release` or `discard`. */
  acquire(origin: string, access?: ShipmentAccess): Connection;
  /** After an answer that was read to its end. */
  release(connection: Connection): void;
  /** Closes it at once, connected or not. */
  discard(connection: Connection): void;
  /** This machine is short of something: closes idle ones. */
  relieve(): void;
  /** Closes idle ones, and from now on each one as it is released. Resolves when the idle ones are closed. */
  close(): Promise<void>;
  /** Open or opening connections. */
  readonly open: number;
}

export interface ConnectionsOptions {
  readonly connect: Connector;
  /** How long an idle connection is kept; less when the receiver's Keep-Alive header says so. */
  readonly keepAliveMs: number;
  /** Over all origins; beyond it the one that has been idle longest is closed. */
  readonly idleConnectionsMax: number;
  readonly responseHeadersBytesMax: number;
  /** From the start of an exchange to that of the next, whatever it consists of. */
  readonly answerBytesMax: number;
}

/** A connection is given up so long before the receiver would close it: a request on its way meanwhile would be lost. */
const KEEP_ALIVE_MARGIN_MS = 1000;
/** More than none: over TLS the last write is reported as done only after the answer was read. */
const UNWRITTEN_BYTES_MAX = 64 * 1024;
/**
 * How often the bytes that came are looked at. A parser reads a gigabyte per second; what nobody is told of (extensions of
 * chunks, empty lines, tickets of TLS) would keep it busy until the deadline. A look costs less than a timer per exchange.
 */
const LOOK_MS = 50;
/** Idle connections are closed at most so often for what they keep from others. */
const RELIEF_MS = 60_000;
/** undici's `destroy` gives a promise to whoever passes no callback. */
const noop = (): void => {};

export function createConnections(options: ConnectionsOptions): Connections {
  /** Idle ones by key, the most recently used last. */
  const idleByKey = new Map<string, Connection[]>();
  /** Idle ones over all, the longest idle first. */
  const idle = new Set<Connection>();
  const all = new Set<Connection>();
  let isClosed = false;
  let relievedAtMs = Number.NEGATIVE_INFINITY;
  /** While there are connections. */
  let looking: NodeJS.Timeout | undefined;

  function look(): void {
    for (const connection of all) {
      const bytes = (connection.dial?.wire?.bytesRead ?? 0) - connection.bytesReadBefore;
      if (bytes <= options.answerBytesMax) continue;
      if (connection.user === undefined) discard(connection);
      else connection.user.overrun();
    }
    if (all.size > 0) return;
    clearInterval(looking);
    looking = undefined;
  }

  function create(origin: string, key: string, access: ShipmentAccess | undefined): Connection {
    const client = new Client(origin, {
      connect: (target, callback) => {
        connection.dial = options.connect(target, access, callback);
        connection.bytesReadBefore = 0;
      },
      allowH2: false,
      pipelining: 1,
      keepAliveTimeout: options.keepAliveMs,
      keepAliveMaxTimeout: options.keepAliveMs,
      keepAliveTimeoutThreshold: KEEP_ALIVE_MARGIN_MS,
      maxHeaderSize: options.responseHeadersBytesMax,
      // undici's timeouts are between bytes; the deadline of an exchange is in total and its own.
      headersTimeout: 0,
      bodyTimeout: 0,
    });
    const connection: Connection = {
      client,
      key,
      access,
      dial: undefined,
      hasServed: false,
      isIdle: false,
      isDiscarded: false,
      user: undefined,
      bytesReadBefore: 0,
    };
    client.on("disconnect", () => {
      connection.dial = undefined;
      // In use, undici either fails the exchange or, if not a byte of it was sent, connects again.
      if (connection.isIdle) discard(connection);
    });
    // Without a listener, a fault inside of undici would end the process. Its types do not know this event.
    (client as EventEmitter).on("error", () => discard(connection));
    all.add(connection);
    looking ??= setInterval(look, LOOK_MS).unref();
    return connection;
  }

  function acquire(origin: string, access?: ShipmentAccess): Connection {
    // What shows a certificate, or trusts another authority, is nobody else's.
    const key = access?.tls ? `${origin} ${access.id}` : origin;
    const connection = idleByKey.get(key)?.pop();
    if (connection === undefined) return create(origin, key, access);
    idle.delete(connection);
    connection.isIdle = false;
    connection.bytesReadBefore = connection.dial?.wire?.bytesRead ?? 0;
    return connection;
  }

  function release(connection: Connection): void {
    // An answer that came before the request was taken: what is still to be written would hold up the next exchange.
    const isClogged = (connection.dial?.socket?.writableLength ?? 0) > UNWRITTEN_BYTES_MAX;
    if (isClosed || isClogged || connection.isDiscarded) {
      discard(connection);
      return;
    }
    connection.isIdle = true;
    connection.hasServed = true;
    connection.user = undefined;
    idle.add(connection);
    const same = idleByKey.get(connection.key);
    if (same === undefined) idleByKey.set(connection.key, [connection]);
    else same.push(connection);
    if (idle.size > options.idleConnectionsMax) discard(idle.values().next().value ?? connection);
  }

  function discard(connection: Connection): void {
    if (connection.isDiscarded) return;
    connection.isDiscarded = true;
    all.delete(connection);
    if (connection.isIdle) forget(connection);
    if (idleByKey.get(connection.key)?.length === 0) idleByKey.delete(connection.key);
    connection.client.destroy(noop);
    connection.dial?.socket?.destroy();
  }

  function forget(connection: Connection): void {
    connection.isIdle = false;
    idle.delete(connection);
    const same = idleByKey.get(connection.key) ?? [];
    same.splice(same.indexOf(connection), 1);
  }

  function closeIdle(): void {
    for (const connection of [...idle]) discard(connection);
  }

  return {
    acquire,
    release,
    discard,
    relieve() {
      // Who is still short then gains nothing from it, and everybody else would connect anew for each delivery.
      if (performance.now() < relievedAtMs + RELIEF_MS) return;
      relievedAtMs = performance.now();
      closeIdle();
    },
    async close() {
      isClosed = true;
      const closing = [...idle].map(({ dial }) => closed(dial?.socket));
      closeIdle();
      await Promise.all(closing);
    },
    get open() {
      return all.size;
    },
  };
}

function closed(socket: Socket | undefined): Promise<void> {
  if (socket === undefined || socket.closed) return Promise.resolve();
  return new Promise((resolve) => socket.once("close", () => resolve()));
}
