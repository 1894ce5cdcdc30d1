/** The HTTP server in front of a receiver. */
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import { nodeHandler } from "@posthorn/receiver/node";
import { messageOf } from "../../base/errors.ts";
import { CliError, EXIT_CODES } from "../exit-code.ts";
import type { Settings } from "./settings.ts";

export interface Door {
  readonly url: string;
  /** Takes no new connection, and ends each after its answer. @param drain resolves once every request that was taken has its answer */
  close(drain: () => Promise<void>): Promise<void>;
}

/** For a whole request to arrive. */
const REQUEST_TIMEOUT_MS = 60_000;
/** For the last answers to go out, and for requests that are still arriving, which would be refused. */
const LAST_BYTES_MS = 1000;

/** @throws CliError when it cannot listen there */
export async function listen(
  receiver: Parameters<typeof nodeHandler>[0],
  { host, port }: Pick<Settings, "host" | "port">,
): Promise<Door> {
  const handle = nodeHandler(receiver);
  const server = createServer({ requestTimeout: REQUEST_TIMEOUT_MS }, (request, response) => {
    // A sender that keeps its connection would keep the process after its last answer, too.
    response.on("finish", () => {
      if (!server.listening) server.closeIdleConnections();
    });
    void handle(request, response);
  });
  server.listen(port, host);
  try {
    await once(server, "listening");
  } catch (error) {
    throw new CliError(EXIT_CODES.failure, `It cannot listen on ${host}:${port}: ${messageOf(error)}`, {
      cause: error,
    });
  }
  return { url: urlOf(server, host), close: (drain) => close(server, drain) };
}

async function close(server: Server, drain: () => Promise<void>): Promise<void> {
  const closed = once(server, "close");
  server.close();
  server.closeIdleConnections();
  await drain();
  const timer = setTimeout(() => server.closeAllConnections(), LAST_BYTES_MS);
  await closed;
  clearTimeout(timer);
}

function urlOf(server: Server, host: string): string {
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  return `http://${host.includes(":") ? `[${host}]` : host}:${port}`;
}
