/** Payload encryption: JSON Web Encryption, compact form (RFC 7516), A256GCM. The signature is over the encrypted body. */
import { z } from "zod";

export interface PublicEncryptionKey {
  readonly kty: "EC" | "OKP";
  readonly crv: "P-256" | "P-384" | "P-521" | "X25519";
  readonly x: string;
  readonly y?: string;
}

/** As it is shown. `kid`: names the key in the header of each payload. */
export type Encryption =
  /** A key that both sides have. */
  | { readonly kind: "dir"; readonly kid: string }
  /** The receiver's own public key. */
  | { readonly kind: "ecdh-es"; readonly kid: string; readonly publicKey: PublicEncryptionKey };

const kidSchema = z
  .string()
  .min(1)
  .max(128)
  .regex(/^[\x21-\x7e]+$/, "must consist of visible ASCII characters");
const base64url = z.string().regex(/^[A-Za-z0-9_-]{1,128}$/, "must be base64url");

export const encryptionSchema = z.discriminatedUnion("kind", [
  z.strictObject({
    kind: z.literal("dir"),
    kid: kidSchema.optional(),
    /** Made when it is left out. */
    key: z
      .string()
      .regex(/^[A-Za-z0-9_-]{43}$/, "must be the base64url of 32 bytes")
      .optional(),
  }),
  z.strictObject({
    kind: z.literal("ecdh-es"),
    kid: kidSchema.optional(),
    /** A JWK. Private parts are refused as unknown fields. */
    publicKey: z.strictObject({
      kty: z.enum(["EC", "OKP"]),
      crv: z.enum(["P-256", "P-384", "P-521", "X25519"]),
      x: base64url,
      y: base64url.optional(),
      kid: kidSchema.optional(),
      use: z.literal("enc").optional(),
      alg: z.literal("ECDH-ES").optional(),
    }),
  }),
]);
export type EncryptionInput = z.output<typeof encryptionSchema>;
