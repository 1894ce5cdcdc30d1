/**
 * A lean HTTP/1.1 server for the receiving side: bodies with a content-length, keep-alive, one request after another on
 * a connection. node:http costs 29-43 us a request, this 15-20: on the bench it shares two cores with the server.
 * It can misbehave on purpose, which node:http makes hard. Not for the open internet.
 */
import { createServer, type Server, type Socket } from "node:net";

export interface Inbound {
  readonly path: string;
  /** By lower-case name; undefined when absent. */
  header(name: string): string | undefined;
  readonly body: Buffer;
}

export type Answer =
  | { readonly kind: "status"; readonly status: number; readonly afterMs?: number }
  /** Ends the connection without a word. */
  | { readonly kind: "reset" }
  /** Never answers. */
  | { readonly kind: "hang" };

export interface Responder {
  readonly port: number;
  close(): Promise<void>;
}

/** Listens on 127.0.0.1; port 0 takes a free one. */
export async function listen(handle: (request: Inbound) => Answer, port = 0): Promise<Responder> {
  const sockets = new Set<Socket>();
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    serve(socket, handle);
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", resolve);
  });
  return {
    port: portOf(server),
    async close() {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

function portOf(server: Server): number {
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("The receiver has no port.");
  return address.port;
}

function serve(socket: Socket, handle: (request: Inbound) => Answer): void {
  let waiting: Buffer | undefined;
  let answering = false;
  let later: NodeJS.Timeout | undefined;

  socket.on("close", () => clearTimeout(later));
  socket.on("error", () => socket.destroy());
  socket.on("data", (chunk: Buffer) => {
    waiting = waiting === undefined ? chunk : Buffer.concat([waiting, chunk]);
    next();
  });

  function next(): void {
    while (!answering && waiting !== undefined) {
      const taken = takeRequest(waiting);
      if (taken === "broken") {
        socket.destroy();
        return;
      }
      if (taken === "incomplete") return;
      waiting = taken.rest;
      answer(handle(taken.request));
    }
  }

  function answer(choice: Answer): void {
    switch (choice.kind) {
      case "reset":
        answering = true;
        socket.resetAndDestroy();
        return;
      case "hang":
        answering = true;
        return;
      case "status": {
        if (choice.afterMs === undefined) {
          socket.write(responseText(choice.status));
          return;
        }
        answering = true;
        later = setTimeout(() => {
          answering = false;
          socket.write(responseText(choice.status));
          next();
        }, choice.afterMs);
      }
    }
  }
}

function responseText(status: number): string {
  return status === 200
    ? "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
    : `HTTP/1.1 ${status} Refused\r\ncontent-length: 2\r\n\r\nno`;
}

const HEAD_END = Buffer.from("\r\n\r\n");

function takeRequest(
  bytes: Buffer,
): { request: Inbound; rest: Buffer | undefined } | "incomplete" | "broken" {
  const headEnd = bytes.indexOf(HEAD_END);
  if (headEnd < 0) return bytes.length > 64 * 1024 ? "broken" : "incomplete";
  const head = bytes.toString("latin1", 0, headEnd);
  const length = Number(headerOf(head, "content-length"));
  if (!Number.isSafeInteger(length)) return "broken";
  const end = headEnd + HEAD_END.length + length;
  if (bytes.length < end) return "incomplete";
  const pathStart = head.indexOf(" ") + 1;
  const request: Inbound = {
    path: head.slice(pathStart, head.indexOf(" ", pathStart)),
    header: (name) => headerOf(head, name),
    body: bytes.subarray(headEnd + HEAD_END.length, end),
  };
  return { request, rest: bytes.length === end ? undefined : bytes.subarray(end) };
}

function headerOf(head: string, name: string): string | undefined {
  let start = head.indexOf(`\r\n${name}:`);
  if (start < 0) start = head.toLowerCase().indexOf(`\r\n${name}:`);
  if (start < 0) return undefined;
  const valueStart = start + name.length + 3;
  const end = head.indexOf("\r\n", valueStart);
  return head.slice(valueStart, end < 0 ? undefined : end).trim();
}
