// Every row of data/ssrf-cases.tsv: url, verdict, note. `\t` and `\n` in the url stand for TAB and LF; `[dns a,b]` in the
// note is what the name resolves to, `[dns none]` or nothing: it does not.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { isIP } from "node:net";
import { describe, test } from "node:test";
import { PosthornError } from "../src/base/errors.ts";
import {
  AddressRefusedError,
  createAddressGuard,
  NameUnresolvedError,
  portOf,
} from "../src/security/address-guard.ts";

const rows = readFileSync(new URL("data/ssrf-cases.tsv", import.meta.url), "utf8")
  .split("\n")
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

/** What registration and connection together make of a URL: the addresses that may be dialled, or the refusal. */
async function dial(url: string, addresses: readonly string[]): Promise<readonly string[]> {
  const guard = createAddressGuard({
    allowNetworks: [],
    allowPorts: [],
    resolver: async () => {
      if (addresses.length === 0) throw Object.assign(new Error("no such name"), { code: "ENOTFOUND" });
      return addresses;
    },
  });
  const parsed = guard.checkUrl(url);
  const host = parsed.hostname.replace(/^\[|\]$/g, "");
  guard.checkTarget(host, portOf(parsed));
  if (isIP(host) !== 0) return [host];
  return new Promise((resolve, reject) => {
    guard.lookup(host, { all: true }, (error, found) => {
      if (error) reject(error);
      else resolve((found as { address: string }[]).map(({ address }) => address));
    });
  });
}

function isRefusal(error: unknown): boolean {
  return (
    (error instanceof PosthornError && error.code === "invalid_url" && error.pointer === "/url") ||
    error instanceof AddressRefusedError ||
    error instanceof NameUnresolvedError
  );
}

describe("the corpus of URLs that reach for what is not theirs", () => {
  test("holds rows of both verdicts", () => {
    assert.ok(rows.filter(({ verdict }) => verdict === "block").length > 100);
    assert.ok(rows.filter(({ verdict }) => verdict === "allow").length >= 20);
    assert.ok(rows.every(({ verdict }) => verdict === "block" || verdict === "allow"));
  });

  for (const { url, verdict, note, addresses } of rows) {
    test(`${verdict} ${JSON.stringify(url)}: ${note}`, async () => {
      if (verdict === "block") await assert.rejects(dial(url, addresses), isRefusal);
      else assert.ok((await dial(url, addresses)).length > 0);
    });
  }
});
