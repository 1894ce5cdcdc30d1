// Reads the fenced snippets of a page: what a reader would paste or save.
import { readFileSync } from "node:fs";
import path from "node:path";
import { repository } from "./floors.ts";

export interface Snippet {
  language: string;
  /** The name after the language: the file that the reader saves it as. */
  file: string | undefined;
  text: string;
}

/** The `sh` and `js` snippets of a page of this repository, in order. */
export function snippetsOf(page: string): Snippet[] {
  const content = readFileSync(path.join(repository, page), "utf8");
  return [...content.matchAll(/^```(sh|js)(?: (\S+))?\n(.*?)^```$/gms)].map(
    ([, language = "", file, text = ""]) => ({ language, file, text }),
  );
}
