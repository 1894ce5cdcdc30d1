/**
 * Requests to turn a connection into a WebSocket. Nothing takes one yet: whoever asks gets an answer, no body is read, and
 * the connection ends. A page of another site gets no further than that at any time: browsers ask nobody before they open a
 * WebSocket, and send the cookies along (ASVS 4.4.2).
 */
import type { IncomingMessage, Server } from "node:http";
import type { Duplex } from "node:stream";
import { PosthornError } from "../../base/errors.ts";
import { hostFault, isOwnOrigin, originOf } from "./browser.ts";
import { endWithProblem } from "./client-error.ts";
import { noRoute } from "./no-route.ts";
import { httpProblem, problemOf } from "./problem.ts";
import type { TrustedProxies } from "./trusted-proxies.ts";

/** Node hands an upgrade over only to a server that listens for it; without this choice it would hand over h2c, too. */
interface ChoosingServer {
  shouldUpgradeCallback?: (request: IncomingMessage) => boolean;
}

export interface UpgradesOptions {
  readonly publicOrigin: string | undefined;
  readonly trustedProxies: TrustedProxies;
}

export function refuseUpgrades(server: Server, options: UpgradesOptions): void {
  // Before Node 24.9 there is no choice, and clients of HTTP/2 that offer h2c (Java's) must not be cut off: there every
  // request to upgrade stays an ordinary one, which is as safe.
  if (!("shouldUpgradeCallback" in server)) return;
  (server as ChoosingServer).shouldUpgradeCallback = ({ headers }) =>
    headers.upgrade?.toLowerCase() === "websocket";
  server.on("upgrade", (request: IncomingMessage, socket: Duplex) => {
    // Node has taken its own listeners away: an error without one would end the process.
    socket.on("error", () => socket.destroy());
    const fault = hostFault(request);
    const problem =
      fault === undefined
        ? problemOf(refusalOf(request, options))
        : httpProblem(fault.httpCode, fault.message);
    endWithProblem(socket, problem);
  });
}

/** Who sends no Origin is no browser, and carries nobody's cookies. */
function refusalOf(request: IncomingMessage, { publicOrigin, trustedProxies }: UpgradesOptions) {
  const { url = "/", headers } = request;
  const asked = `${trustedProxies.schemeOf(request)}://${trustedProxies.hostOf(request)}`;
  const own = [originOf(asked), publicOrigin];
  if (headers.origin !== undefined && !isOwnOrigin(headers.origin, own)) {
    return new PosthornError("cross_site", "A WebSocket may be opened by pages of this server alone.");
  }
  return noRoute(url.split("?", 1)[0] ?? "");
}
