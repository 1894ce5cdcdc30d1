/** The query of a URL, for the schemes that carry a signature or a question in it. */
import { VerificationError } from "./verification-error.ts";

/** @throws VerificationError `invalid_url`, which does not hold it: its query may be a secret */
export function wholeUrl(url: string): URL {
  if (URL.canParse(url)) return new URL(url);
  throw new VerificationError(
    "invalid_url",
    "The URL of the request is not whole: it must be the one that the sender was given, with https:// and its query.",
  );
}

/** @throws VerificationError `invalid_url` */
export function queryOf(url: string): URLSearchParams {
  return wholeUrl(url).searchParams;
}

/**
 * The value of a parameter that must be there once and not be empty.
 * @throws VerificationError `missing_parameter`, `duplicate_parameter`
 */
export function readParameter(query: URLSearchParams, name: string): string {
  const values = query.getAll(name);
  if (values.length > 1) {
    throw new VerificationError(
      "duplicate_parameter",
      `The query parameter ${name} came ${values.length} times; it must come once.`,
    );
  }
  const [value = ""] = values;
  if (value !== "") return value;
  throw new VerificationError(
    "missing_parameter",
    `The query parameter ${name} is missing or empty. Check that the request comes from the sender and that no proxy cuts the query off.`,
  );
}

/** The URL with more in its query; what is there already stays as it is, byte for byte. */
export function withParameters(url: string, parameters: Readonly<Record<string, string>>): string {
  const extended = new URL(url);
  const added = new URLSearchParams(parameters).toString();
  extended.search += extended.search === "" ? added : `&${added}`;
  return extended.href;
}
