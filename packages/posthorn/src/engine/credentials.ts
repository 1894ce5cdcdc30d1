/**
 * How deliveries authenticate themselves: what an input says is split into facts, which are shown, and credentials, which
 * are sealed; and put together again for the transport.
 */
import { X509Certificate } from "node:crypto";
import { messageOf, PosthornError, unreachable } from "../base/errors.ts";
import {
  type Authentication,
  type AuthenticationInput,
  type ClientCertificate,
  type Credentials,
  NO_CREDENTIALS,
} from "../domain/authentication.ts";
import type { Endpoint, EndpointAccess, EndpointUpdateInput } from "../domain/endpoint.ts";
import type { ShipmentAccess, Transport } from "../transports/transport.ts";
import { newEncryption } from "./encryption.ts";
import type { Headers } from "./signing.ts";

type Facts = Omit<EndpointAccess, "verification">;
export type AccessInput = Pick<EndpointUpdateInput, keyof Facts>;

/** What an input changes: each part as a whole; a part that is not there stays as it is. */
export interface AccessChange {
  readonly facts: Partial<Facts>;
  readonly credentials: Partial<Credentials>;
}

/**
 * Checks what was given, and makes what was left to us.
 * @throws PosthornError `invalid_url`, `invalid_certificate`, `invalid_field` naming the field
 */
export async function readAccess(input: AccessInput, transport: Transport): Promise<AccessChange> {
  const { authentication, clientCertificate, certificateAuthorities, encryption } = input;
  const facts: { -readonly [Name in keyof Facts]?: Facts[Name] } = {};
  const credentials: { -readonly [Name in keyof Credentials]?: Credentials[Name] } = {};
  if (authentication?.kind === "oauth2") {
    // RFC 6749 3.2: the client's secret goes there.
    transport.checkUrl(authentication.tokenUrl, { pointer: "/authentication/tokenUrl", tls: "required" });
  }
  if (clientCertificate || certificateAuthorities) {
    transport.checkTls({
      clientCertificate: clientCertificate?.certificate ?? null,
      clientKey: clientCertificate?.privateKey ?? null,
      certificateAuthorities: certificateAuthorities ?? null,
    });
  }
  if (authentication !== undefined) {
    facts.authentication = authentication === null ? null : factsOf(authentication);
    credentials.authentication = authentication === null ? null : secretOf(authentication);
  }
  if (clientCertificate !== undefined) {
    facts.clientCertificate =
      clientCertificate === null ? null : readCertificate(clientCertificate.certificate);
    credentials.clientKey = clientCertificate?.privateKey ?? null;
  }
  if (certificateAuthorities !== undefined) facts.certificateAuthorities = certificateAuthorities;
  if (encryption !== undefined) {
    const made = encryption === null ? null : await newEncryption(encryption);
    facts.encryption = made?.encryption ?? null;
    credentials.encryptionKey = made?.encryptionKey ?? null;
  }
  return { facts, credentials };
}

export function changedCredentials(before: Credentials | null, { credentials }: AccessChange): Credentials {
  return { ...(before ?? NO_CREDENTIALS), ...credentials };
}

/** @throws PosthornError when the endpoint's own headers name the one that the authentication sets */
export function refuseTwice(authentication: Authentication | null, headers: Readonly<Headers>): void {
  if (authentication === null) return;
  const taken = authentication.kind === "header" ? authentication.name.toLowerCase() : "authorization";
  const double = Object.keys(headers).find((name) => name.toLowerCase() === taken);
  if (double === undefined) return;
  throw new PosthornError(
    "invalid_field",
    `/headers/${double} is what /authentication (${authentication.kind}) sets. Leave it out of the headers, or clear the authentication with null.`,
    { pointer: `/headers/${double}` },
  );
}

/** Headers that are the same for every attempt. */
export function authenticationHeaders(authentication: Authentication | null, secret: string | null): Headers {
  if (authentication === null) return {};
  const { kind } = authentication;
  switch (kind) {
    case "basic":
      // RFC 7617 2: the user name, a colon and the password, as base64 of their UTF-8.
      return {
        authorization: `Basic ${Buffer.from(`${authentication.username}:${known(secret)}`).toString("base64")}`,
      };
    case "bearer":
      return { authorization: `Bearer ${known(secret)}` };
    case "header":
      return { [authentication.name.toLowerCase()]: known(secret) };
    case "oauth2":
      // The transport has the token, and when it ends.
      return {};
    default:
      return unreachable(kind, "authentication");
  }
}

/** What the transport has to know beyond headers; undefined for most endpoints. */
export function accessOf(endpoint: Endpoint, credentials: Credentials | null): ShipmentAccess | undefined {
  const { authentication, clientCertificate, certificateAuthorities } = endpoint;
  const hasTls = clientCertificate !== null || certificateAuthorities !== null;
  if (!hasTls && authentication?.kind !== "oauth2") return undefined;
  return Object.freeze({
    id: `${endpoint.id}:${endpoint.version}`,
    tls: hasTls
      ? {
          clientCertificate: clientCertificate?.certificate ?? null,
          clientKey: clientCertificate === null ? null : known(credentials?.clientKey ?? null),
          certificateAuthorities,
        }
      : null,
    oauth2: authentication?.kind === "oauth2" ? clientOf(authentication, credentials) : null,
  });
}

function clientOf(
  { tokenUrl, clientId, scope, audience, clientAuthentication }: Extract<Authentication, { kind: "oauth2" }>,
  credentials: Credentials | null,
): NonNullable<ShipmentAccess["oauth2"]> {
  const clientSecret = known(credentials?.authentication ?? null);
  return { tokenUrl, clientId, clientSecret, scope, audience, clientAuthentication };
}

/** Without it the attempt is `invalid`, and says why. */
function known(secret: string | null): string {
  if (secret === null) throw new Error("The credentials of the endpoint's authentication are missing.");
  return secret;
}

function factsOf(input: AuthenticationInput): Authentication {
  switch (input.kind) {
    case "basic":
      return { kind: "basic", username: input.username };
    case "bearer":
      return { kind: "bearer" };
    case "header":
      return { kind: "header", name: input.name };
    case "oauth2": {
      const { clientSecret: _clientSecret, ...facts } = input;
      return facts;
    }
    default:
      return unreachable(input, "authentication");
  }
}

function secretOf(input: AuthenticationInput): string {
  switch (input.kind) {
    case "basic":
      return input.password;
    case "bearer":
      return input.token;
    case "header":
      return input.value;
    case "oauth2":
      return input.clientSecret;
    default:
      return unreachable(input, "authentication");
  }
}

/** The first certificate of the PEM is the client's own; what follows leads to its authority. */
function readCertificate(certificate: string): ClientCertificate {
  try {
    const read = new X509Certificate(certificate);
    return {
      certificate,
      subject: read.subject.replaceAll("\n", ", "),
      notAfterMs: Date.parse(read.validTo),
      fingerprint: read.fingerprint256.replaceAll(":", "").toLowerCase(),
    };
  } catch (error) {
    throw new PosthornError(
      "invalid_certificate",
      `/clientCertificate/certificate cannot be read: ${messageOf(error)}. Give the certificate in PEM, the client's own first.`,
      { pointer: "/clientCertificate/certificate" },
    );
  }
}
