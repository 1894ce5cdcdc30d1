import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { isBuiltin } from "node:module";
import path from "node:path";
import { describe, test } from "node:test";
import { picture, pictureShown } from "./draw-floors.ts";
import { breach, cycles, readSource, repository } from "./floors.ts";

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
  test("imports nothing but itself and Node", () => {
    assert.ok(receiver.files.length > 0);
    const foreign = receiver.imports.filter(({ to, relative }) =>
      relative ? to.startsWith("..") : !isBuiltin(to),
    );
    assert.deepEqual(foreign, []);
    assert.deepEqual(cycles(receiver.imports), []);
  });
});

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
