/** Certificates and keys that an endpoint brings along, read before they are needed. */
import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { PosthornError } from "../../base/errors.ts";
import type { TlsAccess } from "../transport.ts";
import { contextOf } from "./tls-contexts.ts";

const CERTIFICATE = "/clientCertificate/certificate";
const PRIVATE_KEY = "/clientCertificate/privateKey";
const AUTHORITIES = "/certificateAuthorities";
/** A chain of more is a mistake; a set of authorities may be as long as its bytes allow. */
const CHAIN_LENGTH_MAX = 10;

/**
 * Whether these parts can be used together today. `now` in unix milliseconds.
 * @throws PosthornError `invalid_certificate` naming the field and what to do; a key's text is in no error
 */
export function checkTls(
  { clientCertificate, clientKey, certificateAuthorities }: TlsAccess,
  now = Date.now(),
): void {
  if (clientCertificate !== null) {
    const chain = certificatesIn(clientCertificate, CERTIFICATE);
    checkChain(chain, now);
    if (clientKey === null) refuse(PRIVATE_KEY, "it is missing; give the private key of the certificate");
    checkKey(clientKey, chain[0]);
  } else if (clientKey !== null) {
    refuse(CERTIFICATE, "it is missing; give the certificate of the private key");
  }
  if (certificateAuthorities !== null) checkAuthorities(certificateAuthorities, now);
  try {
    contextOf({ clientCertificate, clientKey, certificateAuthorities });
  } catch (error) {
    // Such as a key that is too short for today's OpenSSL.
    refuse(clientCertificate === null ? AUTHORITIES : CERTIFICATE, (error as Error).message);
  }
}

function certificatesIn(pem: string, pointer: string): readonly X509Certificate[] {
  // This field is shown to whoever may read the endpoint.
  if (/PRIVATE KEY/.test(pem)) refuse(pointer, "it holds a private key; put that into its own field");
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? [];
  if (blocks.length === 0 || blocks.length !== pem.split("-----BEGIN ").length - 1) {
    refuse(pointer, "it is not PEM; it must consist of -----BEGIN CERTIFICATE----- blocks");
  }
  return blocks.map((block, index) => {
    try {
      return new X509Certificate(block);
    } catch {
      return refuse(pointer, `certificate ${index + 1} cannot be read; export it again as PEM`);
    }
  });
}

/** The endpoint's own certificate first, each signed by the next (RFC 8446 4.4.2). */
function checkChain(chain: readonly X509Certificate[], now: number): void {
  if (chain.length > CHAIN_LENGTH_MAX)
    refuse(CERTIFICATE, `it holds more than ${CHAIN_LENGTH_MAX} certificates`);
  for (const [index, certificate] of chain.entries()) {
    checkDates(certificate, index, CERTIFICATE, now);
    const issuer = chain[index + 1];
    if (issuer !== undefined && !isSignedBy(certificate, issuer)) {
      refuse(
        CERTIFICATE,
        `certificate ${index + 1} is not signed by certificate ${index + 2}; give the endpoint's own first, each followed by the one that signed it`,
      );
    }
  }
}

/** Authorities, or the receiver's own certificate: what stands here is trusted as it is. */
function checkAuthorities(pem: string, now: number): void {
  for (const [index, certificate] of certificatesIn(pem, AUTHORITIES).entries()) {
    checkDates(certificate, index, AUTHORITIES, now);
  }
}

function checkDates(
  { validFromDate, validToDate }: X509Certificate,
  index: number,
  pointer: string,
  now: number,
): void {
  if (validToDate.getTime() <= now) {
    refuse(pointer, `certificate ${index + 1} expired on ${validToDate.toISOString()}; give a valid one`);
  }
  if (validFromDate.getTime() > now) {
    refuse(
      pointer,
      `certificate ${index + 1} is valid only from ${validFromDate.toISOString()}; give a valid one`,
    );
  }
}

function isSignedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  try {
    return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
  } catch {
    return false;
  }
}

function checkKey(pem: string, certificate: X509Certificate | undefined): void {
  // An encrypted key would make OpenSSL ask for its passphrase.
  if (/ENCRYPTED/.test(pem)) {
    refuse(PRIVATE_KEY, "it is protected by a passphrase; give it without, it is sealed before it is stored");
  }
  if (!certificate?.checkPrivateKey(keyOf(pem))) {
    refuse(PRIVATE_KEY, "it does not belong to the first certificate of /clientCertificate/certificate");
  }
}

function keyOf(pem: string): KeyObject {
  try {
    return createPrivateKey({ key: pem, format: "pem" });
  } catch {
    return refuse(
      PRIVATE_KEY,
      "it is not a private key in PEM; it must be a -----BEGIN PRIVATE KEY----- block",
    );
  }
}

function refuse(pointer: string, why: string): never {
  throw new PosthornError("invalid_certificate", `${pointer}: ${why}.`.replace("..", "."), { pointer });
}
