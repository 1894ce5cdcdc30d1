/** An endpoint's access as both stores keep it: one column of JSON. */
import type { Endpoint, EndpointAccess } from "../domain/endpoint.ts";

export function accessText({
  authentication,
  clientCertificate,
  certificateAuthorities,
  encryption,
  verification,
}: Pick<Endpoint, keyof EndpointAccess>): string {
  return JSON.stringify({
    authentication,
    clientCertificate,
    certificateAuthorities,
    encryption,
    verification,
  } satisfies EndpointAccess);
}

export function accessOf(text: string): EndpointAccess {
  return JSON.parse(text);
}
