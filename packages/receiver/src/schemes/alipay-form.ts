/** A form as bytes: its charset is one of its fields, and its signature is over the decoded bytes, whatever letters they are. */
import { Buffer } from "node:buffer";
import { VerificationError } from "../verification-error.ts";
import { splitForm } from "./payload.ts";

/** Values by name, decoded, not yet text. Names hold a byte per character. */
export type AlipayForm = ReadonlyMap<string, Buffer>;

const CHARSETS: ReadonlySet<string> = new Set(["utf-8", "utf8", "gbk", "gb2312", "gb18030"]);

/**
 * @throws VerificationError `invalid_payload` for a field that is there twice, and for what is no form; `body_too_large` for more than
 *   1,000 fields
 */
export function readAlipayForm(body: Uint8Array): AlipayForm {
  const form = new Map<string, Buffer>();
  for (const field of splitForm(Buffer.from(body).toString("latin1"))) {
    const equals = field.indexOf("=");
    if (equals < 1) throw notAForm("it has a field without a name and =");
    const name = decode(field.slice(0, equals)).toString("latin1");
    if (form.has(name)) throw notAForm("it has a field twice");
    form.set(name, decode(field.slice(equals + 1)));
  }
  return form;
}

/**
 * The fields as text of the charset that the form, or else the header, says.
 * @throws VerificationError `invalid_payload`
 */
export function textFields(form: AlipayForm, contentType: string): Readonly<Record<string, string>> {
  const charset = form.get("charset")?.toString() ?? /charset="?([\w-]+)/i.exec(contentType)?.[1] ?? "utf-8";
  if (!CHARSETS.has(charset.toLowerCase())) throw notAForm("its charset is neither UTF-8 nor GBK");
  const decoder = new TextDecoder(charset, { fatal: true });
  try {
    return Object.fromEntries(Array.from(form, ([name, value]) => [name, decoder.decode(value)]));
  } catch {
    throw notAForm("its values are not text in its charset");
  }
}

export function formField(name: string, value: string): string {
  return new URLSearchParams([[name, value]]).toString();
}

function decode(text: string): Buffer {
  if (/%(?![0-9A-Fa-f]{2})/.test(text)) throw notAForm("it has a % that begins no byte");
  const bytes = text
    .replaceAll("+", " ")
    .replace(/%(..)/g, (_whole, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return Buffer.from(bytes, "latin1");
}

function notAForm(fault: string): VerificationError {
  return new VerificationError(
    "invalid_payload",
    `The body is not the form that Alipay sends: ${fault}. Check that it is byte for byte as received, and that parameters of the URL are not added.`,
  );
}
