/**
 * The outbound proxy: every connection is a tunnel that it opens (CONNECT, RFC 9110 9.3.6), plain ones as well, and TLS
 * runs inside of it. When it cannot or will not, nothing is sent: there is no way around it.
 */
import http from "node:http";
import net from "node:net";
import tls from "node:tls";
import { ProxyError } from "./failure.ts";

/** Starts to open a tunnel and returns its socket; calls back once, with a ProxyError when there will be none. */
export type Proxy = (hostname: string, port: number, done: (error: Error | null) => void) => net.Socket;

export interface ProxyOptions
  extends Pick<
    net.TcpNetConnectOpts,
    "autoSelectFamily" | "autoSelectFamilyAttemptTimeout" | "noDelay" | "keepAlive" | "keepAliveInitialDelay"
  > {
  /** For the connection to the proxy itself, its TLS included. What it takes to reach the receiver comes after. */
  readonly reachTimeoutMs: number;
  /** In place of Node's certificate authorities, PEM, for a proxy with `https://`. */
  readonly certificateAuthorities: readonly string[] | undefined;
}

const ANSWER_BYTES_MAX = 16 * 1024;

/** Whether it can be a proxy's: a scheme, a host, perhaps a port, user and password, and nothing else. */
export function isProxyUrl(url: string): boolean {
  const parsed = URL.parse(url);
  if (parsed === null || !["http:", "https:"].includes(parsed.protocol) || parsed.hostname === "")
    return false;
  if (parsed.pathname !== "/" || parsed.search !== "" || parsed.hash !== "") return false;
  return basicOf(parsed) !== undefined;
}

export function createProxy(
  url: string,
  { reachTimeoutMs, certificateAuthorities, ...socketOptions }: ProxyOptions,
): Proxy {
  if (!isProxyUrl(url)) throw new Error("outboundProxy: it is not the URL of a proxy.");
  const proxyUrl = new URL(url);
  const isTls = proxyUrl.protocol === "https:";
  const host = proxyUrl.hostname.replace(/^\[|\]$/g, "");
  const port = proxyUrl.port === "" ? (isTls ? 443 : 80) : Number(proxyUrl.port);
  const authorization = basicOf(proxyUrl) ?? "";

  function reach(): net.Socket {
    const options = { ...socketOptions, host, port };
    if (!isTls) return net.connect(options);
    return tls.connect({
      ...options,
      minVersion: "TLSv1.2",
      ...(certificateAuthorities && { ca: [...certificateAuthorities] }),
      rejectUnauthorized: true,
      servername: net.isIP(host) === 0 ? host : "",
      ALPNProtocols: ["http/1.1"],
    });
  }

  return (hostname, targetPort, done) => {
    const socket = reach();
    const authority = `${net.isIP(hostname) === 6 ? `[${hostname}]` : hostname}:${targetPort}`;
    let isDone = false;
    const finish = (why?: string): void => {
      clearTimeout(timer);
      if (isDone) return;
      isDone = true;
      done(why === undefined ? null : new ProxyError(`The outbound proxy ${why}.`));
    };
    const timer = setTimeout(() => finish("did not let us connect in time"), reachTimeoutMs);
    socket.on("error", ({ code }: NodeJS.ErrnoException) => finish(`cannot be used (${code})`));
    socket.once("close", () => finish("closed the connection"));
    socket.once(isTls ? "secureConnect" : "connect", () => {
      clearTimeout(timer);
      const request = http.request({
        createConnection: () => socket,
        method: "CONNECT",
        path: authority,
        headers: { host: authority, ...(authorization !== "" && { "proxy-authorization": authorization }) },
        setDefaultHeaders: false,
        maxHeaderSize: ANSWER_BYTES_MAX,
      });
      request.once("connect", ({ statusCode = 0 }, _, early: Buffer) => {
        if (statusCode < 200 || statusCode > 299) finish(`answered ${statusCode}`);
        // No receiver speaks first, neither in HTTP nor in TLS.
        else if (early.length > 0) finish("answered more than was asked");
        else finish();
      });
      // What is no HTTP, or ends too early.
      request.on("error", ({ code }: NodeJS.ErrnoException) => finish(`cannot be used (${code})`));
      request.end();
    });
    return socket;
  };
}

/** The header's value, empty when there is no user; undefined when the percent-encoding is wrong. */
function basicOf({ username, password }: URL): string | undefined {
  if (username === "" && password === "") return "";
  try {
    const credentials = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
    return `Basic ${Buffer.from(credentials).toString("base64")}`;
  } catch {
    return undefined;
  }
}
