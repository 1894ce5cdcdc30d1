// What holds for every scheme: `describeScheme(github, { ... })` in a test proves it for one.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { linesOf } from "../headers.ts";
import { VerificationError, type VerificationErrorCode } from "../verification-error.ts";
import type { IncomingRequest, OutgoingEvent, Scheme, SignedRequest, Verified } from "./scheme.ts";

export interface SchemeFacts<Secret, SigningSecret> {
  /** At least two. */
  readonly secrets: readonly Secret[];
  /** In the order of the secrets; left out where the same text signs. */
  readonly signingSecrets?: readonly SigningSecret[];
  /** A good one, of somebody else. */
  readonly wrongSecret: Secret;
  /** What nobody could verify with; where a scheme has parts, each of them left out. */
  readonly invalidSecrets: readonly unknown[];
  /** Where the signature stands, and whether it may stand there several times. */
  readonly signature: {
    readonly in: "header" | "query" | "form";
    readonly name: string;
    readonly mayRepeat?: boolean;
  };
  /** Other headers that nothing is verified without. */
  readonly requiredHeaders?: readonly string[];
  /** How far a timestamp may be away when 300 s are allowed; null: there is none. */
  readonly toleranceSeconds: number | { readonly past: number; readonly future: number } | null;
  /** False for tokens, and for what signs other things than the body. */
  readonly coversBody?: boolean;
  /** Ways to change what is signed of the body; left out, any change of any byte is one. */
  readonly changes?: readonly ((body: string) => string)[];
  /** Where data or type must have a form. */
  readonly event?: Partial<OutgoingEvent>;
  /** Where the provider has no ids or types. */
  readonly describes?: { readonly id?: string | null; readonly type?: string };
}

const NOW = 1_700_000_000;
const URL_SENT = "https://receiver.example/hooks?tenant=7";
const EVENT: OutgoingEvent = {
  id: "evt_01hf7yat00aaaaaaaaaaaaaaaa",
  type: "order.created",
  timestamp: "2023-11-14T22:13:20.000Z",
  data: Buffer.from('{"2":1, "1":2,"n":9007199254740993,"d":1.0,"e":1e2,"text":"Grüße 你好 😀"}'),
};
const CHANGES: readonly ((body: string) => string)[] = [
  (body) => `${body} `,
  (body) => body.slice(0, -1),
  (body) => body.replace("created", "deleted"),
  (body) => body.replace("9007199254740993", "9007199254740992"),
];

const KIB_256 = 256 * 1024;
/** Bodies of so many bytes, in whatever form a scheme may look at before it knows who sent them. */
const HOSTILE: Readonly<Record<string, (bytes: number) => string>> = {
  "fields without =": (bytes) => "x&".repeat(bytes / 2),
  "fields of one name": (bytes) => "a=b&".repeat(bytes / 4),
  "nothing but &": (bytes) => "&".repeat(bytes),
  "fields of many names": (bytes) => numbered(bytes / 8, (number) => `k${number}=v`).join("&"),
  "one field, encoded": (bytes) => `a=${"+%41".repeat(bytes / 4)}&sign=AAAA`,
  "deep JSON": (bytes) => `{"encrypt":"AAAA","a":${"[".repeat(bytes / 2)}${"]".repeat(bytes / 2)}}`,
  "JSON without an end": (bytes) => "[".repeat(bytes),
  "elements without an end": (bytes) => "<a>".repeat(bytes / 3),
  "many elements": (bytes) =>
    `<xml>${numbered(bytes / 20, (number) => `<e${number}></e${number}>`).join("")}<Encrypt>AAAA</Encrypt></xml>`,
  "many entities": (bytes) => `<xml><Encrypt>${"&amp;".repeat(bytes / 5)}</Encrypt></xml>`,
  spaces: (bytes) => " ".repeat(bytes),
};

function numbered(count: number, text: (number: number) => string): readonly string[] {
  return Array.from({ length: Math.floor(count) }, (_, number) => text(number));
}

export function describeScheme<Secret, SigningSecret>(
  scheme: Scheme<Secret, SigningSecret>,
  facts: SchemeFacts<Secret, SigningSecret>,
): void {
  const event = { ...EVENT, ...facts.event };
  const signingSecrets = facts.signingSecrets ?? (facts.secrets as readonly unknown[] as SigningSecret[]);
  const tolerance =
    typeof facts.toleranceSeconds === "number"
      ? { past: facts.toleranceSeconds, future: facts.toleranceSeconds }
      : facts.toleranceSeconds;
  const hidden = textsIn([facts.secrets, signingSecrets, facts.wrongSecret]);

  function sign(secrets = signingSecrets.slice(0, 1), timestampSeconds = NOW): SignedRequest {
    const { id, type } = event;
    return scheme.sign({ ...scheme.compose(event), id, type, url: URL_SENT, timestampSeconds }, secrets);
  }
  function verify(
    request: IncomingRequest,
    secrets: readonly Secret[] = facts.secrets,
    nowSeconds = NOW,
  ): Verified {
    return scheme.verifier(secrets)(request, { nowSeconds, toleranceSeconds: 300 });
  }
  function refuses(codes: readonly VerificationErrorCode[] | RegExp, run: () => unknown, about = ""): void {
    assert.throws(run, (error) => {
      assert.ok(error instanceof VerificationError, `${about}: ${error}`);
      assert.match(error.code, codes instanceof RegExp ? codes : new RegExp(`^(${codes.join("|")})$`), about);
      for (const text of hidden) assert.ok(!error.message.includes(text), `shows a secret: ${error.message}`);
      return true;
    });
  }
  const mismatches = ["no_matching_signature", "digest_mismatch"] as const;

  describe(`scheme ${scheme.name}`, () => {
    test("takes what it signed, with whichever of several secrets", () => {
      assert.ok(facts.secrets.length >= 2, "give at least two secrets");
      for (const [index, secret] of facts.secrets.entries()) {
        const signed = sign([signingSecrets[index] as SigningSecret]);
        assert.equal(verify(signed).kind, "event");
        assert.equal(verify(signed, [secret]).kind, "event");
      }
    });
    test("takes header names in any case, the Headers of fetch, and a body that is text", () => {
      const signed = sign();
      const entries = Object.entries(signed.headers);
      for (const [name] of entries) assert.equal(name, name.toLowerCase());
      assert.ok(signed.headers["content-type"]);
      const shouted = Object.fromEntries(entries.map(([name, value]) => [name.toUpperCase(), value]));
      for (const headers of [shouted, new Headers(signed.headers)]) {
        assert.equal(verify({ ...signed, headers, body: textOf(signed.body) }).kind, "event");
      }
    });
    test("reads from it the id and the type that were sent", () => {
      const signed = sign();
      const verified = verify(signed);
      assert.ok(verified.kind === "event");
      const { id, type } = scheme.describe(verified.payload, linesOf(signed.headers));
      assert.deepEqual({ id, type }, { id: event.id, type: event.type, ...facts.describes });
      if (tolerance !== null) assert.equal(verified.timestampSeconds, NOW);
    });
    if (scheme.compose(event).contentType.includes("json")) {
      test("puts the data into the body as it is, byte for byte", () => {
        assert.ok(Buffer.from(scheme.compose(event).body).includes(event.data));
      });
    }
    test("refuses what another secret signed", () => {
      refuses(mismatches, () => verify(sign(), [facts.wrongSecret]));
    });
    test("refuses a request without its signature, with an empty one, half of one, or two", () => {
      for (const [about, codes, signed] of spoiled(sign(), facts.signature)) {
        if (about === "two" && facts.signature.mayRepeat === true) continue;
        refuses(codes, () => verify(signed), about);
      }
    });
    for (const name of facts.requiredHeaders ?? []) {
      test(`refuses a request without ${name}, and with two`, () => {
        const signed = sign();
        const value = signed.headers[name] ?? assert.fail(`it sends no ${name}`);
        const without = { ...signed.headers, [name]: undefined };
        refuses(["missing_header", "missing_component"], () => verify({ ...signed, headers: without }));
        const twice = { ...signed.headers, [name]: [value, value] };
        refuses([...mismatches, "duplicate_header", "invalid_header"], () =>
          verify({ ...signed, headers: twice }),
        );
      });
    }
    if (facts.coversBody !== false) {
      test("refuses a body that was changed, or parsed and written anew", () => {
        const signed = sign();
        const body = textOf(signed.body);
        const changed = new Set((facts.changes ?? CHANGES).map((change) => change(body)));
        if (facts.changes === undefined && isJson(body)) {
          changed.add(JSON.stringify(JSON.parse(body)));
          changed.add(JSON.stringify(JSON.parse(body), null, 2));
        }
        changed.delete(body);
        assert.ok(changed.size > 0, "no change changed anything");
        for (const other of changed) refuses(mismatches, () => verify({ ...signed, body: other }), other);
      });
    }
    test("refuses a body that somebody parsed already, and says so", () => {
      refuses(["invalid_body"], () => verify({ ...sign(), body: { parsed: true } as unknown as string }));
    });
    if (tolerance !== null) {
      test("takes a timestamp up to both ends of its tolerance, and none beyond", () => {
        const signed = sign();
        const { past, future } = tolerance;
        for (const nowSeconds of [NOW - future, NOW + past]) verify(signed, facts.secrets, nowSeconds);
        const tooOld = ["timestamp_too_old", "signature_expired"] as const;
        refuses(tooOld, () => verify(signed, facts.secrets, NOW + past + 1));
        refuses(["timestamp_too_new"], () => verify(signed, facts.secrets, NOW - future - 1));
      });
    }
    test("takes some four times as long over four times as much that a stranger made up", () => {
      const signed = sign();
      // What signing adds to the URL may spare a scheme the look into the body.
      const requests = [signed, { ...signed, url: URL_SENT }];
      for (const [name, bodyOf] of Object.entries(HOSTILE)) {
        const secondsOver = (bytes: number) => {
          const body = Buffer.from(bodyOf(bytes));
          const before = process.cpuUsage();
          for (const request of requests) {
            try {
              verify({ ...request, body });
            } catch (error) {
              assert.ok(error instanceof VerificationError, `${name}: ${error}`);
            }
          }
          return process.cpuUsage(before).user / 1_000_000;
        };
        const [small, large] = [secondsOver(KIB_256), secondsOver(4 * KIB_256)];
        // What is quadratic takes 16 times as long, and more than a second; less than half of one proves nothing.
        assert.ok(large < 0.5 || large < 8 * small, `${name}: ${small} s, then ${large} s`);
      }
    });
    test("refuses secrets that nobody can verify with, each time without showing it", () => {
      const codes = ["invalid_secret", "invalid_key"] as const;
      if (scheme.needsSecret) {
        refuses(codes, () => scheme.verifier([]));
        assert.throws(() => sign([]));
      }
      for (const secret of ["", null, undefined, 7, ...facts.invalidSecrets] as Secret[]) {
        refuses(codes, () => scheme.verifier([...facts.secrets, secret]), JSON.stringify(secret));
      }
      for (const text of ["", "\n"]) {
        refuses(codes, () => scheme.parseSecret(text));
        refuses(codes, () => scheme.parseSigningSecret(text));
      }
    });
    test("reads its secrets from the text of a file", () => {
      for (const secret of [...facts.secrets, facts.wrongSecret]) {
        assert.deepEqual(scheme.parseSecret(`${fileOf(secret)}\n`), secret);
      }
      for (const secret of signingSecrets) {
        assert.deepEqual(scheme.parseSigningSecret(`${fileOf(secret)}\n`), secret);
      }
    });
  });
}

type Spoiled = readonly [
  about: string,
  codes: readonly VerificationErrorCode[] | RegExp,
  request: IncomingRequest,
];

function spoiled(signed: SignedRequest, place: SchemeFacts<never, never>["signature"]): readonly Spoiled[] {
  const value = valueAt(signed, place);
  const half = value.slice(0, value.length / 2);
  const missing = place.in === "header" ? /^missing_header$/ : /^(missing_|invalid_)/;
  const twice = place.in === "header" ? /^duplicate_header$/ : /^(duplicate_|invalid_|no_matching_)/;
  return [
    ["none", missing, withValues(signed, place, [])],
    ["empty", missing, withValues(signed, place, [""])],
    ["half", /^(invalid_header|no_matching_signature)$/, withValues(signed, place, [half])],
    ["two", twice, withValues(signed, place, [value, value])],
  ];
}

type Place = { readonly in: "header" | "query" | "form"; readonly name: string };

function valueAt(signed: SignedRequest, { in: place, name }: Place): string {
  const values = {
    header: () => signed.headers[name],
    query: () => new URL(signed.url).searchParams.get(name),
    form: () => new URLSearchParams(textOf(signed.body)).get(name),
  };
  return values[place]() ?? assert.fail(`it signs without ${name} in its ${place}`);
}

function withValues(
  signed: SignedRequest,
  { in: place, name }: Place,
  values: readonly string[],
): IncomingRequest {
  if (place === "header") return { ...signed, headers: { ...signed.headers, [name]: values } };
  const url = new URL(signed.url);
  const parameters = place === "query" ? url.searchParams : new URLSearchParams(textOf(signed.body));
  parameters.delete(name);
  for (const value of values) parameters.append(name, value);
  return place === "query" ? { ...signed, url: url.href } : { ...signed, body: parameters.toString() };
}

function textOf(body: Uint8Array): string {
  return Buffer.from(body).toString();
}

function isJson(body: string): boolean {
  try {
    JSON.parse(body);
    return true;
  } catch {
    return false;
  }
}

function fileOf(secret: unknown): string {
  return typeof secret === "string" ? secret : JSON.stringify(secret);
}

/** All texts in secrets that are long enough to be one. */
function textsIn(value: unknown): readonly string[] {
  if (typeof value === "string") return value.length >= 6 ? [value] : [];
  return typeof value === "object" && value !== null ? Object.values(value).flatMap(textsIn) : [];
}
