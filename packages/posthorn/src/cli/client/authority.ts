/** For a server whose certificate no public authority has signed. */
import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { getCACertificates, setDefaultCACertificates } from "node:tls";
import { InvalidArgumentError } from "commander";
import { messageOf } from "../../base/errors.ts";

/** From now on this process believes what the file's certificates sign, next to what it believed before. */
export function trustAuthority(file: string): string {
  let authority: string;
  try {
    authority = readFileSync(file, "utf8");
    new X509Certificate(authority);
  } catch (error) {
    throw new InvalidArgumentError(
      `It must be a file with an authority's certificates in PEM: ${messageOf(error)}`,
    );
  }
  // Node has it from 24.5 on; before, only the variable helps.
  if (typeof setDefaultCACertificates !== "function")
    throw new InvalidArgumentError("This Node cannot take it; set NODE_EXTRA_CA_CERTS to the file instead.");
  setDefaultCACertificates([...getCACertificates("default"), authority]);
  return file;
}
