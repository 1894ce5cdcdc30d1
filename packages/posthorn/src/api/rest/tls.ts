/**
 * The certificate that the door shows. Both files are looked at every few seconds: what is new is taken over for new
 * connections, and what cannot be used leaves the old one in place. Their content is compared, not their times, so a file
 * that was renamed into place or a link that was turned is seen like any other change.
 */
import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import type { Server } from "node:https";
import { createSecureContext } from "node:tls";
import { messageOf } from "../../base/errors.ts";
import { createDuty, type Duty } from "../../base/lifecycle.ts";
import type { Logger } from "../../base/logger.ts";

export interface TlsFiles {
  /** PEM: the server's certificate first, then those between it and its authority. */
  readonly certificate: string;
  /** PEM, without a passphrase. */
  readonly key: string;
}

/** What node:https is given. TLS 1.2 or newer (ASVS 12.1.1). */
export interface TlsContext {
  readonly cert: string;
  readonly key: string;
  readonly minVersion: "TLSv1.2";
}

export interface TlsOptions {
  readonly files: TlsFiles;
  readonly logger: Logger;
  /** 2 s unless given. */
  readonly lookEveryMs?: number;
}

const LOOK_EVERY_MS = 2000;

/** What the two files hold. */
interface Content {
  readonly cert: string;
  readonly key: string;
}

export class Tls {
  readonly context: TlsContext;
  /** Looks at the files. */
  readonly duty: Duty;
  #files: TlsFiles;
  #logger: Logger;
  #server: Pick<Server, "setSecureContext"> | undefined;
  /** In use. */
  #current: Content;
  /** What was wrong at the last look, and whether it was said. */
  #trouble: { readonly of: string; said: boolean } | null = null;

  /** @throws Error naming the file and what is wrong with it */
  constructor({ files, logger, lookEveryMs = LOOK_EVERY_MS }: TlsOptions) {
    this.#files = files;
    this.#logger = logger;
    this.#current = { cert: readNow(files.certificate), key: readNow(files.key) };
    this.context = this.#checked(this.#current);
    this.duty = createDuty({ name: "tls", everyMs: lookEveryMs, logger, runOnce: () => this.#look() });
  }

  /** From now on the server shows what the files hold. */
  follow(server: Pick<Server, "setSecureContext">): void {
    this.#server = server;
    this.duty.start();
  }

  async #look(): Promise<{ more: boolean }> {
    const { certificate, key } = this.#files;
    let content: Content | undefined;
    try {
      content = { cert: await readSoon(certificate), key: await readSoon(key) };
      if (!same(content, this.#current)) this.#takeOver(content);
      this.#trouble = null;
    } catch (error) {
      this.#complain(error, content);
    }
    return { more: false };
  }

  #takeOver(content: Content): void {
    const context = this.#checked(content);
    this.#server?.setSecureContext(context);
    this.#current = content;
    this.#logger.info({ file: this.#files.certificate }, "tls.reloaded");
  }

  /**
   * Whoever replaces two files does it one after the other, and not always at once: what is wrong is said when it is the
   * same at the next look, and then once.
   */
  #complain(error: unknown, content: Content | undefined): void {
    const of = content === undefined ? messageOf(error) : `${content.cert}\n${content.key}`;
    if (this.#trouble?.of !== of) {
      this.#trouble = { of, said: false };
    } else if (!this.#trouble.said) {
      this.#trouble.said = true;
      this.#logger.error({ error: messageOf(error) }, "tls.reload_failed");
    }
  }

  #checked({ cert, key }: Content): TlsContext {
    const leaf = leafOf(this.#files.certificate, cert);
    if (!leaf.checkPrivateKey(keyOf(this.#files.key, key))) {
      throw new Error(
        `The key in ${this.#files.key} does not belong to the certificate in ${this.#files.certificate}. Give the two that were made together.`,
      );
    }
    const context = { cert, key, minVersion: "TLSv1.2" } as const;
    try {
      createSecureContext(context);
    } catch (error) {
      throw new Error(`The certificate in ${this.#files.certificate} cannot be used: ${messageOf(error)}.`, {
        cause: error,
      });
    }
    this.#warn(leaf);
    return context;
  }

  /** A client refuses it, but a server that does not start refuses everyone. */
  #warn({ validFromDate, validToDate }: X509Certificate): void {
    const file = this.#files.certificate;
    const now = Date.now();
    if (validToDate.getTime() < now)
      this.#logger.warn({ file, validTo: validToDate.toISOString() }, "tls.certificate_expired");
    if (validFromDate.getTime() > now)
      this.#logger.warn({ file, validFrom: validFromDate.toISOString() }, "tls.certificate_not_yet_valid");
  }
}

function leafOf(file: string, cert: string): X509Certificate {
  try {
    return new X509Certificate(cert);
  } catch (error) {
    throw new Error(`The file ${file} holds no certificate in PEM (-----BEGIN CERTIFICATE-----).`, {
      cause: error,
    });
  }
}

/** The cause is left out: nothing of a key's text belongs into an error. */
function keyOf(file: string, key: string): KeyObject {
  if (/-----BEGIN ENCRYPTED|^Proc-Type: 4,ENCRYPTED/m.test(key))
    throw new Error(
      `The key in ${file} has a passphrase. Store it without one, readable for this user alone.`,
    );
  try {
    return createPrivateKey(key);
  } catch {
    throw new Error(`The file ${file} holds no private key in PEM (-----BEGIN PRIVATE KEY-----).`);
  }
}

function readNow(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw unreadable(file, error);
  }
}

async function readSoon(file: string): Promise<string> {
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    throw unreadable(file, error);
  }
}

function unreadable(file: string, cause: unknown): Error {
  return new Error(`The file ${file} cannot be read: ${messageOf(cause)}.`, { cause });
}

function same(one: Content, other: Content): boolean {
  return one.cert === other.cert && one.key === other.key;
}
