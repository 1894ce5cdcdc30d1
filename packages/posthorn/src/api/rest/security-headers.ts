/** What answers tell a browser to keep away from them. */

/** On every answer: bytes are what their content type says, and nothing else is made of them. */
export const NOSNIFF = { "x-content-type-options": "nosniff" } as const;

/** On everything that is answered to a browser's session: for that session alone, and for no other site's page. */
export const SESSION_HEADERS = {
  "cache-control": "no-store",
  "cross-origin-resource-policy": "same-origin",
  vary: "Sec-Fetch-Site, Origin",
} as const;

type Directive = "script-src" | "style-src" | "img-src" | "font-src" | "connect-src";

/**
 * The headers of an HTML page: it may load what `sources` lists and nothing else, stands in no frame, and has no tie to a
 * window that opened it.
 */
export function pageHeaders(sources: Readonly<Partial<Record<Directive, string>>>): Record<string, string> {
  const policy = [
    "default-src 'none'",
    ...Object.entries(sources).map(([directive, list]) => `${directive} ${list}`),
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ];
  return {
    ...NOSNIFF,
    "content-security-policy": policy.join("; "),
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
  };
}
