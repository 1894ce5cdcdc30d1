// The pages hold together: links lead somewhere, and tables that repeat the source are equal to it.
import assert from "node:assert/strict";
import { existsSync, globSync, readFileSync } from "node:fs";
import path from "node:path";
import { describe, test } from "node:test";
import { configurationTable } from "../src/app/options.ts";
import { compileFilter } from "../src/domain/filter.ts";
import { repository } from "./floors.ts";

const pages = globSync(["*.md", "docs/**/*.md", "packages/*/README.md"], { cwd: repository }).sort();
const read = (page: string) => readFileSync(path.join(repository, page), "utf8");

describe("the documents", () => {
  for (const page of pages) {
    test(`${page}: links lead somewhere`, () => {
      const dead = linksOf(read(page)).filter((link) => !leadsSomewhere(page, link));
      assert.deepEqual(dead, []);
    });
  }

  test("ARCHITECTURE.md names files and folders that are there", () => {
    const places = ["", "packages/posthorn", "packages/posthorn/src", "packages/receiver/src"];
    const named = [
      ...read("ARCHITECTURE.md").matchAll(/`([\w.-]+(?:\/[\w.-]*)+|[\w.-]+\.(?:ts|md|db|sql))`/g),
    ].map(([, name = ""]) => name);
    assert.ok(named.length > 40);
    const gone = named.filter(
      (name) =>
        !/^(x\/|name\.)/.test(name) &&
        !places.some((place) => existsSync(path.join(repository, place, name))),
    );
    assert.deepEqual([...new Set(gone)], []);
  });

  test("docs/configuration.md lists the options as they are", () => {
    const [, table] =
      /<!-- options -->\n(.*?)\n<!-- \/options -->/s.exec(read("docs/configuration.md")) ?? [];
    assert.equal(table, configurationTable());
  });

  test("the filters that docs/concepts.md shows can be used", () => {
    const [, filters = ""] = /^```cel\n(.*?)^```$/ms.exec(read("docs/concepts.md")) ?? [];
    const lines = filters.trimEnd().split("\n");
    assert.equal(lines.length, 3);
    for (const line of lines) assert.equal(compileFilter(line).source, line);
  });
});

/** Links to files and headings of this repository. */
function linksOf(markdown: string): string[] {
  const prose = markdown.replaceAll(/^```.*?^```$/gms, "");
  return [...prose.matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, target = ""]) => target)
    .filter((target) => !/^[a-z]+:/.test(target));
}

function leadsSomewhere(page: string, link: string): boolean {
  const [file = "", heading] = link.split("#");
  const target = file === "" ? page : path.join(path.dirname(page), file);
  if (!existsSync(path.join(repository, target))) return false;
  return heading === undefined || anchorsOf(read(target)).includes(heading);
}

/** The anchors that headings get on the usual forges. */
function anchorsOf(markdown: string): string[] {
  return [...markdown.matchAll(/^#+ (.+)$/gm)].map(([, title = ""]) =>
    title
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\s_-]/gu, "")
      .trim()
      .replaceAll(/\s/g, "-"),
  );
}
