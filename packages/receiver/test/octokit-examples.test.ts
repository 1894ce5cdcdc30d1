// Real payloads of GitHub, signed as GitHub does, through a whole receiver: verified, inserted, aggregated, appended and analysed. Every
// figure is computed a second time from the payloads themselves, with nothing of this package.
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, before, test } from "node:test";
import type { Table } from "apache-arrow";
import { nodeHandler } from "../src/adapters/node.ts";
import { createReceiver, VerificationError } from "../src/index.ts";
import { aggregate, type WindowResult } from "../src/processors/aggregate/aggregate.ts";
import { analyse } from "../src/processors/analyse/analyse.ts";
import { append } from "../src/processors/append/append.ts";
import { insert } from "../src/processors/insert/insert.ts";
import { sqliteDedupe } from "../src/sqlite.ts";
import { signedParts } from "../src/testing/testing.ts";

interface Payload {
  readonly action?: string;
  readonly repository?: { readonly full_name: string; readonly updated_at: string };
  readonly sender?: { readonly login: string };
  readonly issue?: { readonly number: number; readonly comments: number; readonly title: string };
}

interface Example {
  readonly id: string;
  readonly name: string;
  readonly type: string;
  readonly payload: Payload;
  readonly bytes: Uint8Array;
}

const DAY_MS = 86_400_000;
/** When all of it arrives, so that the test is the same every day. */
const NOW_MS = Date.parse("2023-06-01T12:00:00Z");
const SECRET = "octokit-examples-secret";

const examples: Example[] = readExamples();
const folder = mkdtempSync(path.join(tmpdir(), "posthorn-octokit-"));
const database = new DatabaseSync(":memory:");
const windows: WindowResult[] = [];
const answers: number[] = [];
const failures: unknown[] = [];

function readExamples(): Example[] {
  const names = createRequire(import.meta.url)("@octokit/webhooks-examples") as {
    readonly name: string;
    readonly examples: readonly Payload[];
  }[];
  return names.flatMap(({ name, examples: payloads }) =>
    payloads.map((payload, index) => ({
      id: `${name}-${index}`,
      name,
      type: payload.action === undefined ? name : `${name}.${payload.action}`,
      payload,
      bytes: Buffer.from(JSON.stringify(payload)),
    })),
  );
}

/** When the repository was last changed, as the payloads tell it; what tells nothing counts as now. */
function timeOf(payload: Payload): number {
  return payload.repository === undefined ? NOW_MS : Date.parse(payload.repository.updated_at);
}

function receiver() {
  const perDay = aggregate({
    window: { kind: "tumbling", sizeMs: DAY_MS },
    by: "$.data.repository.full_name",
    time: (event) => new Date(timeOf(event.data as Payload)),
    allowedLatenessMs: 3_650 * DAY_MS,
    values: {
      issues: { sum: (event) => ((event.data as Payload).issue === undefined ? 0 : 1) },
      comments: { sum: "$.data.issue.comments" },
      highest: { max: "$.data.issue.number" },
      p90: { percentile: 90, of: (event) => event.payload.length },
    },
    onWindow: (result) => void windows.push(result),
  });
  return createReceiver({
    scheme: "github",
    secrets: [SECRET],
    dedupe: sqliteDedupe(database),
    handlers: {
      "*": [
        insert({
          table: "events",
          columns: {
            id: "$.id",
            type: "$.type",
            login: { path: "$.data.sender.login", type: "text" },
            data: "$.data",
          },
          create: true,
        }),
        append({
          file: path.join(folder, "events.parquet"),
          rotate: { bytesMax: 1_000_000 },
          columns: { number: { path: "$.data.issue.number", type: "integer" } },
        }),
        perDay,
      ],
    },
    onError: (error) => void (error instanceof VerificationError || failures.push(error)),
    now: () => NOW_MS,
  });
}

before(async () => {
  const endpoint = receiver();
  const server = createServer(nodeHandler(endpoint)).listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/github`;

  const send = async ({ id, type, bytes }: Example, spoil = false) => {
    const { method, headers, body } = signedParts("github", SECRET, { id, type, data: bytes }, { url });
    const sent = new Uint8Array(body);
    if (spoil) sent[sent.length - 2] = 0x20;
    const { status } = await fetch(url, { method, headers, body: sent });
    answers.push(status);
  };
  // Each a second time, as GitHub's "Redeliver" does, and some of them changed on the way.
  const waiting = [
    ...examples.flatMap((example) => [example, example].map((one) => () => send(one))),
    ...examples.slice(0, 20).map((example) => () => send({ ...example, id: `${example.id}-spoilt` }, true)),
  ];
  const worker = async () => {
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) await next();
  };
  await Promise.all(Array.from({ length: 8 }, worker));
  await endpoint.close();
  server.close();
  server.closeAllConnections();
});

after(() => {
  database.close();
  rmSync(folder, { recursive: true });
});

/** How many of the examples have each key. */
function countBy(keyOf: (example: Example) => string | null): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const example of examples) {
    const key = keyOf(example);
    if (key !== null) counts[key] = (counts[key] ?? 0) + 1;
  }
  return counts;
}

test("all were taken, and what was changed on the way was not", () => {
  assert.ok(examples.length > 300, `${examples.length} examples`);
  assert.deepEqual(failures, []);
  const countOf = (status: number) => answers.filter((answer) => answer === status).length;
  assert.deepEqual(
    [answers.length, countOf(200), countOf(401)],
    [examples.length * 2 + 20, examples.length * 2, 20],
  );
});

test("the table has each event once, with its payload", () => {
  const rows = database.prepare("SELECT id, type, login, data FROM events ORDER BY id").all();
  const expected = examples
    .map(({ id, type, payload }) => ({ id, type, login: payload.sender?.login ?? null, data: payload }))
    .sort((left, right) => (left.id < right.id ? -1 : 1));
  assert.deepEqual(
    rows.map((row) => ({ ...row, data: JSON.parse(String(row.data)) })),
    expected,
  );
});

test("the windows hold what each day of each repository brought", () => {
  const dayOf = ({ payload }: Example) => Math.floor(timeOf(payload) / DAY_MS) * DAY_MS;
  const groups = Object.groupBy(
    examples,
    (one) => `${dayOf(one)} ${one.payload.repository?.full_name ?? ""}`,
  ) as Record<string, Example[]>;
  assert.equal(windows.length, Object.keys(groups).length);
  for (const { startMs, endMs, key, count, values, overflow } of windows) {
    const group = groups[`${startMs} ${key ?? ""}`] ?? [];
    const issues = group.flatMap(({ payload }) => payload.issue ?? []);
    assert.deepEqual([endMs - startMs, overflow, count], [DAY_MS, false, group.length]);
    assert.deepEqual(
      [values.issues, values.comments, values.highest],
      [
        issues.length,
        issues.reduce((sum, { comments }) => sum + comments, 0),
        issues.length === 0 ? null : Math.max(...issues.map(({ number }) => number)),
      ],
    );
    const sizes = group.map(({ bytes }) => bytes.length).sort((left, right) => left - right);
    const p90 = sizes[Math.ceil(sizes.length * 0.9) - 1]!;
    assert.ok(Math.abs(values.p90! - p90) <= p90 * 0.010001, `${values.p90} for ${p90}`);
  }
});

test("SQL over the Parquet files gives the same figures, as rows and as an Arrow table", async () => {
  assert.ok(readdirSync(folder).length > 1, "there are several parts");
  assert.ok(readdirSync(folder).every((name) => name.endsWith(".parquet")));
  const byType = await analyse<{ type: string; n: number }>(
    folder,
    "SELECT type, count(*) AS n FROM events GROUP BY type",
  );
  assert.deepEqual(
    Object.fromEntries(byType.map(({ type, n }) => [type, n])),
    countBy(({ type }) => type),
  );

  const logins = await analyse<Table>(
    folder,
    "SELECT data->>'$.sender.login' AS login, count(*)::INTEGER AS n FROM events WHERE login IS NOT NULL GROUP BY login",
    { as: "arrow" },
  );
  assert.deepEqual(
    Object.fromEntries(logins.toArray().map(({ login, n }) => [login, n])),
    countBy(({ payload }) => payload.sender?.login ?? null),
  );

  const [issues] = await analyse(
    folder,
    `SELECT count(number) AS n, sum(number) AS numbers, max(data->>'$.issue.title') AS title, min(receivedAt) AS received,
       quantile_disc(number, 0.5) AS median FROM events`,
  );
  const all = examples.flatMap(({ payload: { issue } }) => issue ?? []);
  const numbers = all.map(({ number }) => number).sort((left, right) => left - right);
  assert.deepEqual(issues, {
    n: all.length,
    numbers: numbers.reduce((sum, number) => sum + number, 0),
    title: all
      .map(({ title }) => title)
      .sort()
      .at(-1),
    received: new Date(NOW_MS),
    median: numbers[Math.ceil(numbers.length / 2) - 1],
  });
});
