/** A sender profile as the engine sees it: a scheme of the receiver package, and what only a sender has to know of it. */
import type { Composition, OutgoingEvent, Scheme, SignedRequest, SignInput } from "@posthorn/receiver";
import type { ProfileName } from "../domain/scheme.ts";

export interface SecretPart {
  /** @param appId whose endpoint it is for */
  make(appId: string): string;
  /** What a given one must be, in words, too. Left out: any text. */
  readonly like?: { readonly pattern: RegExp; readonly wish: string };
  /** It names something rather than keeps it: a rotation leaves it as it is. */
  readonly stays?: true;
}

/** What a profile signs, and encrypts, with: sealed as one text, which is JSON where there are parts. */
export type SecretForm =
  | {
      readonly kind: "text";
      make(): string;
      /** Of a given one, more than the scheme itself asks. @throws VerificationError */
      check?(text: string): void;
    }
  | { readonly kind: "parts"; readonly parts: Readonly<Record<string, SecretPart>> }
  /** An RSA key: PKCS #8 in PEM. The receiver has its public half. */
  | { readonly kind: "key" };

export interface ProfileSecret {
  readonly text: string;
  /** When it stops signing along; infinite for the current one. */
  readonly expiresAtMs: number;
}

export interface Inquiry {
  /** What has to come back. */
  readonly challenge: string;
  readonly url: string;
  readonly timestampSeconds: number;
}

/** A question of the profile's own for the ownership check, ready to be sent. */
export interface Asked extends Pick<SignedRequest, "url" | "headers"> {
  readonly method: "GET" | "POST";
  readonly body: Uint8Array | null;
  /** Answered with the acknowledgement of an event; left out: with the challenge. */
  readonly isAcknowledged?: true;
}

export interface ProfileFacts<SigningSecret> {
  readonly secret: SecretForm;
  /** A request holds a signature of each secret, so that a rotation can overlap. */
  readonly overlaps: boolean;
  /** What its requests set, in lower case, `content-type` aside. */
  readonly headers: readonly string[];
  /** Left out: it is asked as by Posthorn, in the profile's form. */
  readonly ask?: (inquiry: Inquiry, secret: SigningSecret) => Asked;
}

/** Of one endpoint. Its secrets were read. */
export interface ProfileSender {
  compose(event: OutgoingEvent): Composition;
  sign(input: SignInput, wallMs: number): SignedRequest;
  /** Whether a 2xx counts; null: any does. */
  readonly isAcknowledged: ((answer: { status: number; body: string }, wallMs: number) => boolean) | null;
  readonly ask: ((inquiry: Inquiry) => Asked) | null;
}

export interface Profile extends Omit<ProfileFacts<never>, "ask"> {
  readonly name: ProfileName;
  readonly strength: Scheme["strength"];
  /** @throws VerificationError, which never holds the secret */
  check(secret: string): void;
  /** @param secrets the current one first */
  open(secrets: readonly [ProfileSecret, ...ProfileSecret[]]): ProfileSender;
}

export function profileOf<SigningSecret>(
  name: ProfileName,
  scheme: Scheme<unknown, SigningSecret>,
  { ask, ...facts }: ProfileFacts<SigningSecret>,
): Profile {
  return {
    ...facts,
    name,
    strength: scheme.strength,
    check: (secret) => void scheme.parseSigningSecret(secret),
    open([current, ...old]) {
      const secret = scheme.parseSigningSecret(current.text);
      const outgoing = old.map(({ text, expiresAtMs }) => ({
        secret: scheme.parseSigningSecret(text),
        expiresAtMs,
      }));
      const livingAt = (wallMs: number): SigningSecret[] => [
        secret,
        ...outgoing.filter(({ expiresAtMs }) => expiresAtMs > wallMs).map((each) => each.secret),
      ];
      return {
        compose: (event) => scheme.compose(event),
        sign: (input, wallMs) => scheme.sign(input, livingAt(wallMs)),
        isAcknowledged:
          scheme.isAcknowledged === undefined
            ? null
            : (answer, wallMs) => scheme.isAcknowledged?.(answer, livingAt(wallMs)) ?? true,
        ask: ask === undefined ? null : (inquiry) => ask(inquiry, secret),
      };
    },
  };
}
