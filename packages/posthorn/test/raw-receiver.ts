// A receiver on a bare socket, for answers that no HTTP server would give.
import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { createServer as createTlsServer, type TlsOptions, type Server as TlsServer } from "node:tls";

export interface RawRequest {
  /** Request line and headers, without the empty line. */
  readonly head: string;
  readonly body: Buffer;
}

export interface RawReceiver {
  readonly port: number;
  /** http://127.0.0.1:<port>/hooks */
  readonly url: string;
  readonly requests: readonly RawRequest[];
  /** Connections accepted so far. */
  readonly connections: number;
  /** For connections to come. */
  setTls(options: TlsOptions): void;
  /** Resolves when the receiver has no open connection. */
  empty(): Promise<void>;
  close(): Promise<void>;
}

export interface RawReceiverOptions {
  /** Called for each complete request (by its content-length). */
  readonly onRequest?: (socket: Socket, request: RawRequest, nth: number) => void;
  readonly onConnection?: (socket: Socket) => void;
  readonly tls?: TlsOptions;
}

export async function openRawReceiver(options: RawReceiverOptions): Promise<RawReceiver> {
  const sockets = new Set<Socket>();
  const requests: RawRequest[] = [];
  let connections = 0;
  const server: Server = options.tls === undefined ? createServer() : createTlsServer(options.tls);

  function accept(socket: Socket): void {
    connections++;
    options.onConnection?.(socket);
    let received = Buffer.alloc(0);
    socket.on("data", (chunk: Buffer) => {
      received = Buffer.concat([received, chunk]);
      for (let next = cut(received); next !== undefined; next = cut(received)) {
        received = received.subarray(next.length);
        requests.push(next.request);
        options.onRequest?.(socket, next.request, requests.length);
      }
    });
  }

  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.on("close", () => {
      sockets.delete(socket);
      if (sockets.size === 0) server.emit("empty");
    });
    // A client that gives up is what most of these tests are about.
    socket.on("error", () => {});
    if (options.tls === undefined) accept(socket);
  });
  server.on("secureConnection", (socket: Socket) => {
    socket.on("error", () => {});
    accept(socket);
  });
  server.on("tlsClientError", () => {});
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;

  return {
    port,
    url: `http://127.0.0.1:${port}/hooks`,
    requests,
    get connections() {
      return connections;
    },
    setTls(options) {
      (server as TlsServer).setSecureContext(options);
    },
    async empty() {
      if (sockets.size > 0) await once(server, "empty");
    },
    async close() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}

/** An answer with a content-length, and whatever headers are given. */
export function answer(
  status: number,
  headers: Record<string, string> = {},
  body: string | Buffer = "",
): Buffer {
  const bytes = Buffer.from(body);
  const lines = Object.entries({ "content-length": String(bytes.length), ...headers });
  const head = lines.map(([name, value]) => `${name}: ${value}\r\n`).join("");
  return Buffer.concat([Buffer.from(`HTTP/1.1 ${status} Whatever\r\n${head}\r\n`), bytes]);
}

/** Writes a byte every few milliseconds until the other side has had enough. */
export function trickle(socket: Socket, bytes: string | Buffer, everyMs = 5): void {
  let sent = 0;
  const timer = setInterval(() => {
    socket.write(Buffer.from(bytes).subarray(sent % bytes.length, (sent % bytes.length) + 1));
    sent++;
  }, everyMs);
  socket.on("close", () => clearInterval(timer));
}

/** Writes the same bytes as fast as they are taken until the other side has had enough. */
export function flood(socket: Socket, bytes: Buffer): void {
  const fill = (): void => {
    while (!socket.destroyed && socket.write(bytes));
  };
  socket.on("drain", fill);
  fill();
}

function cut(received: Buffer): { request: RawRequest; length: number } | undefined {
  const end = received.indexOf("\r\n\r\n");
  if (end < 0) return undefined;
  const head = received.toString("latin1", 0, end);
  const start = end + 4;
  const length = start + Number(/^content-length: (\d+)$/im.exec(head)?.[1] ?? 0);
  if (received.length < length) return undefined;
  return { request: { head, body: Buffer.from(received.subarray(start, length)) }, length };
}
