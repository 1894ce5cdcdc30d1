/**
 * Slack: events, interactions and slash commands, all signed alike.
 * Source: https://docs.slack.dev/authentication/verifying-requests-from-slack
 */
import { Buffer } from "node:buffer";
import { textAnswer } from "./answer.ts";
import {
  bytesOf,
  holds,
  invalidPayload,
  isObject,
  type JsonObject,
  looksLikeJson,
  objectOrNull,
  optionalText,
  readForm,
  readObject,
  spliceData,
  textMember,
  unixSecondsOf,
} from "./payload.ts";
import type { Description, Scheme, Verify } from "./scheme.ts";
import { importTextSecrets, parseTextSecret } from "./text-secret.ts";
import { signRequestV0, type V0Headers, verifyV0 } from "./v0-signature.ts";

const HEADERS: V0Headers = { signature: "x-slack-signature", timestamp: "x-slack-request-timestamp" };

export const slack: Scheme = {
  name: "slack",
  strength: "strong",
  signsUrl: false,
  needsSecret: true,
  verifier,
  // By its first byte and not by content-type, which is not signed.
  describe: (payload) =>
    looksLikeJson(payload) ? describeEvent(readObject(payload, "Slack")) : describeForm(payload),
  parseSecret: parseTextSecret,
  parseSigningSecret: parseTextSecret,
  compose({ id, type, timestamp, data }) {
    const before = `{"type":"event_callback","event_id":${JSON.stringify(id)},"event_time":${unixSecondsOf(timestamp)},"event":{"type":${JSON.stringify(type)},"data":`;
    return { contentType: "application/json", body: spliceData(before, data, "}}") };
  },
  sign: (input, secrets) => signRequestV0(input, HEADERS, secrets),
};

function verifier(secrets: readonly string[]): Verify {
  const keys = importTextSecrets(secrets);
  return (request, clock) => {
    const { timestampSeconds } = verifyV0(request, HEADERS, keys, clock);
    const payload = bytesOf(request.body);
    const challenge = challengeOf(payload);
    if (challenge === null) return { kind: "event", payload, timestampSeconds, acknowledgement: null };
    return { kind: "handshake", answer: textAnswer(challenge) };
  };
}

/** What Slack wants to hear when the URL is entered. https://docs.slack.dev/reference/events/url_verification */
function challengeOf(payload: Uint8Array): string | null {
  if (!holds(payload, "url_verification")) return null;
  const message = objectOrNull(payload);
  return message?.type === "url_verification" ? optionalText(message.challenge) : null;
}

function describeEvent(message: JsonObject): Description {
  const { event } = message;
  const inner = isObject(event) ? event : message;
  return { id: optionalText(message.event_id), type: textMember(inner, "type", "Slack"), data: inner };
}

/** An interaction is JSON in the field `payload`; a slash command is the form itself. */
function describeForm(payload: Uint8Array): Description {
  const form = readForm(payload);
  if (typeof form.payload === "string") {
    const interaction = readObject(Buffer.from(form.payload), "Slack");
    const type = textMember(interaction, "type", "Slack");
    return { id: optionalText(interaction.trigger_id), type, data: interaction };
  }
  if (optionalText(form.command) === null) {
    throw invalidPayload("Slack", "is neither an event nor an interaction nor a slash command");
  }
  return { id: optionalText(form.trigger_id), type: "slash_command", data: form };
}
