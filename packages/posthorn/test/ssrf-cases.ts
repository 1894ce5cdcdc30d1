// Judges URLs that reach for what is not theirs: `npx node packages/posthorn/test/ssrf-cases.ts FILE`.
// A row is url, verdict (`block` or `allow`) and note, with tabs between. `\t` and `\n` in the url stand for TAB and LF;
// `[dns a,b]` in the note is what the name resolves to, `[dns none]` or nothing: it does not. Each goes through the
// webhook transport as a shipment does; only the last step, dialling, is left out.
import { readFileSync } from "node:fs";
import net from "node:net";
import { createAddressGuard } from "../src/security/address-guard.ts";
import { createWebhookTransport } from "../src/transports/webhook/webhook-transport.ts";

export interface SsrfCase {
  readonly url: string;
  readonly verdict: string;
  readonly note: string;
  readonly addresses: readonly string[];
}

export function readCases(text: string): readonly SsrfCase[] {
  return text
    .split(/\r?\n/)
    .filter((line) => line !== "")
    .map((line) => {
      const [url = "", verdict = "", note = ""] = line.split("\t");
      const addresses = /\[dns ([^\]]+)\]/.exec(note)?.[1] ?? "none";
      return {
        url: url.replaceAll("\\t", "\t").replaceAll("\\n", "\n"),
        verdict,
        note,
        addresses: addresses === "none" ? [] : addresses.split(","),
      };
    });
}

export interface Judgement {
  readonly verdict: "block" | "allow" | "neither";
  /** The addresses that would be dialled, or why none would. */
  readonly why: string;
}

/** With the guard as it is when the operator has listed nothing. */
export async function judge({ url, addresses }: Pick<SsrfCase, "url" | "addresses">): Promise<Judgement> {
  const dialled: string[] = [];
  const guard = createAddressGuard({
    allowNetworks: [],
    allowPorts: [],
    resolver: async () => {
      if (addresses.length === 0) throw Object.assign(new Error("no such name"), { code: "ENOTFOUND" });
      return addresses;
    },
  });
  const transport = createWebhookTransport({ guard, dial: (options) => findOnly(options, dialled) });
  const body = Buffer.from("{}");
  const { outcome } = await transport.ship({ url, headers: {}, body, timeoutMs: 5000 });
  await transport.close();
  if (dialled.length > 0) return { verdict: "allow", why: dialled.join(",") };
  const isBlocked =
    outcome.kind === "unreachable" && (outcome.cause === "address_refused" || outcome.cause === "dns");
  return { verdict: isBlocked ? "block" : "neither", why: JSON.stringify(outcome) };
}

/** What net.connect does until it dials: a literal address as it is, a name by the lookup, which is asked for all of it. */
function findOnly({ host = "", lookup }: net.TcpNetConnectOpts, dialled: string[]): net.Socket {
  const socket = new net.Socket();
  if (net.isIP(host) !== 0) {
    dialled.push(host);
    process.nextTick(() => socket.destroy(new Error("not dialled")));
  } else {
    lookup?.(host, { all: true }, (error, found) => {
      if (error === null) dialled.push(...[found].flat().map((entry) => String(Object(entry).address)));
      socket.destroy(error ?? new Error("not dialled"));
    });
  }
  return socket;
}

async function main(file: string | undefined): Promise<number> {
  if (file === undefined) {
    console.error("usage: ssrf-cases.ts FILE");
    return 2;
  }
  let passed = 0;
  let failed = 0;
  for (const row of readCases(readFileSync(file, "utf8"))) {
    const { verdict, why } = await judge(row);
    if (verdict === row.verdict) passed++;
    else {
      failed++;
      console.log(
        `wrong: ${JSON.stringify(row.url)} is to ${row.verdict}, got ${verdict}: ${why} (${row.note})`,
      );
    }
  }
  console.log(`${passed} passed, ${failed} failed`);
  return failed > 0 || passed === 0 ? 1 : 0;
}

if (import.meta.main) process.exitCode = await main(process.argv[2]);
