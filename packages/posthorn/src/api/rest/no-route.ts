/** Addresses and methods that the table does not have. */
import { PosthornError } from "../../base/errors.ts";
import type { Route } from "./route.ts";

/** The methods that a path knows, in the form of the header `Allow`; empty when there is no such path. */
export function allowedMethods(routes: readonly Route[], path: string): string[] {
  const methods = new Set<string>();
  for (const route of routes) {
    if (!matches(route.path, path)) continue;
    methods.add(route.method);
    if (route.method === "GET" && route.head !== false) methods.add("HEAD");
  }
  return [...methods];
}

function matches(pattern: string, path: string): boolean {
  const wanted = pattern.split("/");
  const given = path.split("/");
  return (
    wanted.length === given.length &&
    wanted.every((part, index) => part.startsWith("{") || part === given[index])
  );
}

export function methodNotAllowed(method: string, allowed: readonly string[]): PosthornError {
  return new PosthornError(
    "method_not_allowed",
    `${method} is not known at this address. Use ${allowed.join(" or ")}.`,
  );
}

export function noRoute(path: string): PosthornError {
  return new PosthornError(
    "not_found",
    `There is nothing at ${path.slice(0, 120)}. See /docs for the addresses of this API.`,
  );
}

export function noApi(path: string): PosthornError {
  return new PosthornError(
    "not_found",
    `This node does not serve ${path.slice(0, 120)}: it runs without the role "api". Ask a node that has it.`,
  );
}
