/** The payload: the exact bytes sent, `{"type","timestamp","data"}`, built once at publish and never again. */

export interface Payload {
  readonly bytes: Uint8Array;
  /** `data` lies in bytes[dataStart, dataEnd). */
  readonly dataStart: number;
  readonly dataEnd: number;
}

/**
 * `eventType` and `timestamp` need no escaping: their syntax has no quote, backslash or control character.
 * `data` is taken over byte for byte, white space and number forms included.
 */
export function buildPayload(eventType: string, timestamp: string, data: Uint8Array): Payload {
  const head = headOf(eventType, timestamp);
  const dataStart = head.length;
  const dataEnd = dataStart + data.length;
  // A buffer of its own, never a slice of Node's pool: a slice posted to another thread would carry the whole pool along.
  const bytes = Buffer.allocUnsafeSlow(dataEnd + 1);
  bytes.write(head, 0, "latin1");
  bytes.set(data, dataStart);
  bytes[dataEnd] = 0x7d;
  return { bytes, dataStart, dataEnd };
}

/** What a payload was built of. */
export interface PayloadParts {
  readonly type: string;
  readonly timestamp: string;
  /** Within the payload's own bytes: nothing is copied. */
  readonly data: Uint8Array;
}

const QUOTE = 0x22;
const BEFORE_TYPE = '{"type":"'.length;
const BEFORE_TIMESTAMP = '","timestamp":"'.length;
const BEFORE_DATA = '","data":'.length;

/** Takes apart what `buildPayload` put together, by its head alone. @throws Error for other bytes */
export function readPayload(payload: Uint8Array): PayloadParts {
  const bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.length);
  const typeEnd = bytes.indexOf(QUOTE, BEFORE_TYPE);
  const timestampEnd = bytes.indexOf(QUOTE, typeEnd + BEFORE_TIMESTAMP);
  const type = bytes.toString("latin1", BEFORE_TYPE, typeEnd);
  const timestamp = bytes.toString("latin1", typeEnd + BEFORE_TIMESTAMP, timestampEnd);
  const dataStart = timestampEnd + BEFORE_DATA;
  if (bytes.toString("latin1", 0, dataStart) !== headOf(type, timestamp)) {
    throw new Error("The stored payload is not in the form that it is built in.");
  }
  return { type, timestamp, data: bytes.subarray(dataStart, bytes.length - 1) };
}

function headOf(eventType: string, timestamp: string): string {
  return `{"type":"${eventType}","timestamp":"${timestamp}","data":`;
}
