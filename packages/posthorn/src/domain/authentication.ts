/** How deliveries authenticate themselves to a receiver. What is secret stands apart and is sealed. */
import { z } from "zod";

/** As it is shown. */
export type Authentication =
  | { readonly kind: "basic"; readonly username: string }
  | { readonly kind: "bearer" }
  | { readonly kind: "header"; readonly name: string }
  /** Client credentials, RFC 6749 4.4. */
  | {
      readonly kind: "oauth2";
      readonly tokenUrl: string;
      readonly clientId: string;
      readonly scope: string | null;
      readonly audience: string | null;
      /** How the client names itself to the token endpoint (RFC 6749 2.3.1): HTTP Basic, or fields of the body. */
      readonly clientAuthentication: "basic" | "body";
    };

/** The secret of each kind: password, token, header value, client secret. */
export interface Credentials {
  readonly authentication: string | null;
  /** PEM of the client certificate's private key. */
  readonly clientKey: string | null;
  /** The shared key of `dir` encryption: base64url of 32 bytes. */
  readonly encryptionKey: string | null;
}
export const NO_CREDENTIALS: Credentials = { authentication: null, clientKey: null, encryptionKey: null };

/** A certificate that deliveries show to the receiver (mutual TLS). */
export interface ClientCertificate {
  /** PEM: the certificate, and what leads to its authority. */
  readonly certificate: string;
  readonly subject: string;
  readonly notAfterMs: number;
  /** SHA-256 of the certificate, hex. */
  readonly fingerprint: string;
}

// Visible ASCII and spaces: no CR, LF or NUL can end a header early.
const headerText = (max: number) =>
  z
    .string()
    .min(1)
    .max(max)
    .regex(/^[\x20-\x7e]*$/, "must be printable ASCII without line breaks");
const anyText = (max: number) =>
  z
    .string()
    .min(1)
    .max(max)
    .regex(/^[^\p{Cc}]*$/u, "must not contain control characters");

const clientCredentials = {
  tokenUrl: z.string().min(1).max(2048),
  clientId: anyText(512),
  clientSecret: anyText(4096),
  scope: headerText(1024).nullable().default(null),
  audience: headerText(1024).nullable().default(null),
  clientAuthentication: z.enum(["basic", "body"]).default("basic"),
} as const;

export function authenticationSchema(headerName: z.ZodType<string>) {
  return z.discriminatedUnion("kind", [
    // A colon would end the user name (RFC 7617 2).
    z.strictObject({
      kind: z.literal("basic"),
      username: anyText(256).regex(/^[^:]*$/, "must not contain a colon"),
      password: anyText(1024),
    }),
    z.strictObject({ kind: z.literal("bearer"), token: headerText(4096) }),
    z.strictObject({ kind: z.literal("header"), name: headerName, value: headerText(4096) }),
    z.strictObject({ kind: z.literal("oauth2"), ...clientCredentials }),
  ]);
}

export type AuthenticationInput = z.output<ReturnType<typeof authenticationSchema>>;

/** PEM. Whether they fit together is checked where they are read. */
export const clientCertificateSchema = z.strictObject({
  certificate: z
    .string()
    .min(1)
    .max(32 * 1024),
  privateKey: z
    .string()
    .min(1)
    .max(16 * 1024),
});
export const certificateAuthoritiesSchema = z
  .string()
  .min(1)
  .max(64 * 1024);
