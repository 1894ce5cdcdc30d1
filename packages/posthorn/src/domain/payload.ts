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
  const head = `{"type":"${eventType}","timestamp":"${timestamp}","data":`;
  const dataStart = head.length;
  const dataEnd = dataStart + data.length;
  // A buffer of its own, never a slice of Node's pool: a slice posted to another thread would carry the whole pool along.
  const bytes = Buffer.allocUnsafeSlow(dataEnd + 1);
  bytes.write(head, 0, "latin1");
  bytes.set(data, dataStart);
  bytes[dataEnd] = 0x7d;
  return { bytes, dataStart, dataEnd };
}
