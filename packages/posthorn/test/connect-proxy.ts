// An HTTP proxy that opens tunnels (CONNECT); every name leads to 127.0.0.1.
import { once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import { createServer as createTlsServer, type ServerOptions } from "node:https";
import { type AddressInfo, connect, type Socket } from "node:net";

export interface ConnectProxy {
  readonly port: number;
  /** `host:port` of each CONNECT, in order. */
  readonly tunnels: readonly string[];
  /** The headers of the last one. */
  readonly headers: IncomingMessage["headers"];
  close(): Promise<void>;
}

export async function openConnectProxy(
  options: { tls?: ServerOptions; answer?: (socket: Socket) => void } = {},
): Promise<ConnectProxy> {
  const tunnels: string[] = [];
  const sockets = new Set<Socket>();
  let headers: IncomingMessage["headers"] = {};
  const server = options.tls === undefined ? createServer() : createTlsServer(options.tls);
  const keep = (socket: Socket): void => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => sockets.delete(socket));
  };
  server.on("connection", keep);
  server.on("connect", (request: IncomingMessage, socket: Socket) => {
    tunnels.push(request.url ?? "");
    headers = request.headers;
    socket.on("error", () => {});
    if (options.answer !== undefined) {
      options.answer(socket);
      return;
    }
    const upstream = connect(Number(request.url?.split(":").at(-1)), "127.0.0.1");
    keep(upstream);
    upstream.on("connect", () => {
      socket.write("HTTP/1.1 200 Connection established\r\nvia: 1.1 test\r\n\r\n");
      socket.pipe(upstream).pipe(socket);
    });
    upstream.on("error", () => socket.end("HTTP/1.1 502 Bad Gateway\r\n\r\n"));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    tunnels,
    get headers() {
      return headers;
    },
    async close() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}
