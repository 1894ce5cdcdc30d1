/** Headers that are a secret, or hold one: no other server and no file gets them. Signatures are none; GitLab's plain `x-gitlab-token` is one. */
const SECRET_HEADER = /authorization|cookie|token|secret|passw|api-?key|credential|^x-auth/;

/** @param name in lower case */
export function isSecretHeader(name: string): boolean {
  return SECRET_HEADER.test(name);
}
