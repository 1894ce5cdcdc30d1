/** Whether a file can be written, without making it. */
import { accessSync, constants, statSync } from "node:fs";
import path from "node:path";

/** @throws Error that names the file as it was given, and why it cannot */
export function checkWritable(file: string): void {
  const folder = path.dirname(file);
  const found = statSync(file, { throwIfNoEntry: false });
  if (found?.isDirectory()) throw new Error(`${file} is a folder.`);
  if (found === undefined && !statSync(folder, { throwIfNoEntry: false })?.isDirectory())
    throw new Error(`${file} cannot be written: there is no folder ${folder}.`);
  try {
    accessSync(found === undefined ? folder : file, constants.R_OK | constants.W_OK);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new Error(`${file} cannot be written: ${code}.`, { cause: error });
  }
}
