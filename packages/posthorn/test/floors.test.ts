import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { isBuiltin } from "node:module";
import path from "node:path";
import { describe, test } from "node:test";
import { picture, pictureShown } from "./draw-floors.ts";
import { breach, cycles, type Import, reached, readSource, repository } from "./floors.ts";

const posthorn = readSource("posthorn");
const receiver = readSource("receiver");
const down = (from: string, to: string) => breach({ from, to, relative: true });

describe("the floors of packages/posthorn/src", () => {
  test("every import goes down the floors", () => {
    assert.ok(posthorn.imports.length > 50, "the imports were found");
    assert.deepEqual(
      posthorn.imports.flatMap((one) => breach(one) ?? []),
      [],
    );
  });

  test("no file imports itself by a detour", () => {
    assert.deepEqual(cycles(posthorn.imports), []);
  });

  test("ARCHITECTURE.md shows the floors as they are (npm run floors -- --write)", () => {
    assert.equal(pictureShown(), picture(posthorn));
  });

  test("domain does no I/O", () => {
    const doors =
      /^node:(fs|net|http|https|http2|tls|dgram|dns|child_process|worker_threads|sqlite)\b|^(undici|fastify|pino)$/;
    assert.deepEqual(
      posthorn.imports.filter(({ from, to }) => from.startsWith("domain/") && doors.test(to)),
      [],
    );
  });

  test("a breach of each kind is seen", () => {
    assert.equal(down("engine/publish.ts", "store/store.ts"), undefined);
    assert.equal(down("store/sqlite/sqlite.ts", "store/store.ts"), undefined);
    assert.equal(down("index.ts", "app/app.ts"), undefined);
    assert.match(down("store/store.ts", "engine/publish.ts") ?? "", /imports go down only/);
    assert.match(down("app/app.ts", "index.ts") ?? "", /imports go down only/);
    assert.match(down("store/store.ts", "transports/transport.ts") ?? "", /neighbour transports/);
    assert.match(down("api/rest/apps.ts", "api/graphql/schema.ts") ?? "", /neighbour api\/graphql/);
    assert.match(down("cli/main.ts", "index.ts") ?? "", /neighbour index.ts/);
    assert.match(down("base/ids.ts", "../../receiver/src/sign.ts") ?? "", /outside of its package/);
    assert.match(down("misc/x.ts", "base/ids.ts") ?? "", /no floor has a room misc/);
    const turn = [
      ["a.ts", "b.ts"],
      ["b.ts", "c.ts"],
      ["c.ts", "a.ts"],
    ] as const;
    const found = cycles(turn.map(([from, to]) => ({ from, to, relative: true })));
    assert.deepEqual(found, [["a.ts", "b.ts", "c.ts", "a.ts"]]);
  });
});

describe("packages/receiver/src", () => {
  const core = reached("index.ts", receiver.imports);

  test("what index.ts reaches imports itself, node:crypto and node:buffer, so that it runs everywhere", () => {
    assert.ok(core.size > 20, "the core was found");
    const foreign = receiver.imports.filter(({ from, to }) => core.has(from) && !core.has(to));
    assert.deepEqual(
      foreign.filter(({ to }) => to !== "node:crypto" && to !== "node:buffer"),
      [],
    );
  });

  test("the rest imports itself and Node, and the optional peers where they are used, when they are used", () => {
    assert.deepEqual(receiver.imports.flatMap(foreignTo), []);
    assert.deepEqual(cycles(receiver.imports), []);
  });

  test("a breach of each kind is seen", () => {
    const from = "processors/duckdb/duckdb.ts";
    const peer = { from, to: "@duckdb/node-api", relative: false };
    assert.deepEqual(foreignTo({ ...peer, dynamic: true }), []);
    assert.deepEqual(foreignTo(peer), [`${from} imports @duckdb/node-api`]);
    assert.equal(foreignTo({ ...peer, from: "receiver/receiver.ts", dynamic: true }).length, 1);
    assert.equal(foreignTo({ from, to: "pg", relative: false, dynamic: true }).length, 1);
    assert.equal(foreignTo({ from, to: "../../posthorn/src/index.ts", relative: true }).length, 1);
    const chain = [
      { from: "index.ts", to: "a.ts", relative: true },
      { from: "a.ts", to: "b.ts", relative: true },
      { from: "c.ts", to: "d.ts", relative: true },
    ];
    assert.deepEqual([...reached("index.ts", chain)], ["index.ts", "a.ts", "b.ts"]);
  });
});

/** The files that may load an optional peer. */
const peers: Record<string, RegExp> = {
  "@duckdb/node-api": /^processors\/(duckdb|analyse)\//,
  "apache-arrow": /^processors\/analyse\//,
};

/** What one import of packages/receiver/src takes from outside: one line, or none. */
function foreignTo({ from, to, relative, dynamic }: Import): string[] {
  const isAllowed = relative ? !to.startsWith("..") : isBuiltin(to) || (dynamic && peers[to]?.test(from));
  return isAllowed ? [] : [`${from} imports ${to}`];
}

for (const [name, { files }] of Object.entries({ posthorn, receiver })) {
  test(`the files of ${name} are small and their folders say what they hold`, () => {
    const lines = (file: string) =>
      readFileSync(path.join(repository, "packages", name, "src", file), "utf8").split("\n").length - 1;
    const large = files
      .map((file) => `${file}: ${lines(file)} lines`)
      .filter((line) => Number(line.split(" ").at(-2)) > 400);
    assert.deepEqual(large, []);
    const vague = /(^|\/)(utils?|helpers?|common|types|services?|managers?|misc|shared)(\/|\.ts$)/;
    assert.deepEqual(
      files.filter((file) => vague.test(file)),
      [],
    );
  });
}
