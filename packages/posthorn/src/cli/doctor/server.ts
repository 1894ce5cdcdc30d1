/** The server, through its own doors. */
import { messageOf } from "../../base/errors.ts";
import type { Client } from "../client/client.ts";
import { type Finding, failed, ok, warning } from "./check.ts";

const SKEW_MS_MAX = 5000;

export async function checkServer(url: string, timeoutMs: number): Promise<Finding[]> {
  let healthy: Response;
  try {
    healthy = await fetch(new URL("/healthz", url), { signal: AbortSignal.timeout(timeoutMs) });
  } catch (error) {
    return [failed("server", `no answer from ${url}: ${messageOf((error as Error).cause ?? error)}`)];
  }
  const findings = [
    healthy.ok ? ok("server", `${url} lives`) : failed("server", `${url}/healthz answers ${healthy.status}`),
    checkClock(healthy.headers.get("date")),
  ];
  const ready = await fetch(new URL("/readyz", url), { signal: AbortSignal.timeout(timeoutMs) });
  const text = await ready.text();
  findings.push(ready.ok ? ok("ready", "it takes events and delivers them") : failed("ready", text));
  return findings;
}

/** Receivers refuse a signature that is 5 minutes off. */
function checkClock(date: string | null): Finding {
  const serverMs = Date.parse(date ?? "");
  if (Number.isNaN(serverMs)) return warning("clock", "the server did not tell its time");
  const skewMs = Math.abs(Date.now() - serverMs);
  // The header has whole seconds.
  return skewMs <= SKEW_MS_MAX
    ? ok("clock", "the server's and this machine's agree")
    : warning("clock", `the server's is ${Math.round(skewMs / 1000)} s away from this machine's`);
}

export async function checkKey(client: () => Client): Promise<Finding> {
  try {
    await client().get("/v1/apps", { limit: 1 });
    return ok("key", "accepted");
  } catch (error) {
    return failed("key", messageOf(error));
  }
}
