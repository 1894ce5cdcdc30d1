import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createLogger } from "./logger.ts";

function logged(logFormat: "json" | "text" | "auto", isTTY = false) {
  const lines: string[] = [];
  const target = { isTTY, write: (line: string) => lines.push(line) };
  return { lines, logger: createLogger({ logLevel: "info", logFormat }, target) };
}

describe("the log", () => {
  test("is one JSON object a line, or text", () => {
    const asJson = logged("json");
    asJson.logger.debug({}, "not.shown");
    asJson.logger.info({ outcome: "succeeded", durationMs: 12 }, "delivery.attempted");
    const [line = ""] = asJson.lines;
    const { time, ...fields } = JSON.parse(line);
    assert.match(time, /^\d{4}-\d\d-\d\dT/);
    assert.deepEqual(fields, {
      level: "info",
      outcome: "succeeded",
      durationMs: 12,
      msg: "delivery.attempted",
    });

    const asText = logged("auto", true);
    asText.logger.warn({ url: "http://x/", detail: "two words" }, "delivery.attempted");
    assert.match(
      asText.lines[0] ?? "",
      /^\d\d:\d\d:\d\d\.\d{3} WARN {2}delivery\.attempted url=http:\/\/x\/ detail="two words"\n$/,
    );
  });

  test("never shows a secret, in whatever field or text it stands", () => {
    for (const format of ["json", "text"] as const) {
      const { lines, logger } = logged(format);
      logger.error(
        {
          secret: "planted",
          endpoint: { headers: { "x-token": "planted" }, adminKey: "planted" },
          error: "Error: no key phk_planted, nor whsec_planted+/=, at https://me:planted@example.com/",
          text: "authorization: Bearer planted.planted",
        },
        "request.failed",
      );
      const [line = "", ...more] = lines;
      assert.deepEqual(more, []);
      assert.ok(!line.includes("planted"), line);
      assert.match(line, /phk_\*\*\*/);
    }
  });
});
