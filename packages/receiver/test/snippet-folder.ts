// The `ts name.ts` snippets of a page, each saved as a reader would save it: under its name, beside a `node_modules`.
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

export const repository = fileURLToPath(new URL("../../..", import.meta.url));

/** By name, in the page's order. */
export function snippetsOf(page: string): Map<string, string> {
  const markdown = readFileSync(path.join(repository, page), "utf8");
  return new Map(
    [...markdown.matchAll(/^```ts (\S+)\n(.*?)^```$/gms)].map(([, name = "", text = ""]) => [name, text]),
  );
}

export class SnippetFolder {
  readonly path: string;

  constructor() {
    this.path = mkdtempSync(path.join(tmpdir(), "posthorn-snippets-"));
    symlinkSync(path.join(repository, "node_modules"), path.join(this.path, "node_modules"), "junction");
    writeFileSync(path.join(this.path, "package.json"), '{"type":"module"}');
  }

  /** A folder for each page, because snippets of two pages may have the same name. */
  of(page: string): string {
    const below = path.join(this.path, page.replaceAll(/\W/g, "-"));
    mkdirSync(below, { recursive: true });
    return below;
  }

  /** @returns the file */
  save(page: string, name: string, change = (text: string) => text): string {
    const text = snippetsOf(page).get(name);
    if (text === undefined) throw new Error(`${page} has no snippet ${name}`);
    const file = path.join(this.of(page), name);
    writeFileSync(file, change(text));
    return file;
  }

  // biome-ignore lint/suspicious/noExplicitAny: what a snippet exports only its test knows.
  load(page: string, name: string, change?: (text: string) => string): Promise<any> {
    return import(pathToFileURL(this.save(page, name, change)).href);
  }

  remove(): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

export async function portOf(server: Server): Promise<number> {
  if (!server.listening) await once(server, "listening");
  return (server.address() as AddressInfo).port;
}
