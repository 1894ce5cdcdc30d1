/** What an endpoint may not have beside the form of a sender profile. */
import { PosthornError } from "../base/errors.ts";
import type { Endpoint } from "../domain/endpoint.ts";
import { isProfile } from "../domain/scheme.ts";
import { profileNamed } from "./profiles.ts";

type Fields = Pick<Endpoint, "scheme" | "encryption" | "authentication">;

/** @throws PosthornError `invalid_field` that names what is in the way */
export function refuseBesideProfile(
  { scheme, encryption, authentication }: Fields,
  headers: Readonly<Record<string, string>>,
): void {
  if (!isProfile(scheme)) return;
  if (encryption !== null) {
    throw new PosthornError(
      "invalid_field",
      `/encryption does not go with the scheme ${scheme}, whose receivers know no JWE. Clear it with null, or take one of Posthorn's own schemes.`,
      { pointer: "/encryption" },
    );
  }
  const taken = new Set(profileNamed(scheme).headers);
  const named = Object.keys(headers).find((name) => taken.has(name.toLowerCase()));
  if (named !== undefined) throw alreadySet(`/headers/${named}`, scheme);
  if (authentication?.kind === "header" && taken.has(authentication.name.toLowerCase())) {
    throw alreadySet("/authentication/name", scheme);
  }
}

function alreadySet(pointer: string, scheme: string): PosthornError {
  const text = `${pointer} names a header that the scheme ${scheme} sets. Leave it out, or choose another scheme.`;
  return new PosthornError("invalid_field", text, { pointer });
}
