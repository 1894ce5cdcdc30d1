/**
 * Keeps a key that is bound to one app within it. What belongs to another app is, for such a key, not there: the answer is
 * that to an unknown id, and nothing in it tells the two apart.
 */
import { notFound, unreachable } from "../../base/errors.ts";
import type { AppId } from "../../base/ids.ts";
import type { Engine } from "../../engine/engine.ts";
import type { Route, Scope } from "./route.ts";

export interface Asked {
  readonly params: Readonly<Record<string, string>>;
  readonly query: Readonly<Record<string, unknown>>;
}

/** @throws PosthornError `not_found` when it names another app, or one that is not there */
export type Narrow = (route: Route, within: AppId, asked: Asked) => Promise<Asked>;

export function createNarrow({ apps }: Pick<Engine, "apps">): Narrow {
  /** The id of the key's app, if that is the one that was named. */
  async function own(within: AppId, reference: unknown): Promise<AppId> {
    if (reference === undefined || reference === within) return within;
    // The same look for another app's uid and for one that nobody has.
    if ((await apps.get(within)).uid !== reference) throw notFound("app", String(reference));
    return within;
  }

  return async (route, within, { params, query }) => {
    const scope = scopeOf(route);
    switch (scope) {
      case "path":
        return { params: { ...params, app: await own(within, params.app) }, query };
      case "query":
        return { params, query: { ...query, app: await own(within, query.app) } };
      case "within":
      case "catalogue":
      case "caller":
        return { params, query };
      default:
        return unreachable(scope, "scope of a route");
    }
  };
}

/**
 * How a route keeps a key to its app.
 * @throws Error when it does not say how: a fault of the route table, found when the server is made
 */
export function scopeOf({ method, path, query, scope }: Route): Scope | "path" {
  const inPath = path.split("/").includes("{app}");
  const inQuery = query !== undefined && "app" in query.shape;
  if (inPath && !inQuery && scope === undefined) return "path";
  if (!inPath && scope !== undefined && inQuery === (scope === "query")) return scope;
  throw new Error(
    `${method} ${path} may be called with the key of an app, and does not say how it keeps to it: see Scope.`,
  );
}

/** Every route that an app's key may call says how it keeps to the app. */
export function checkScopes(routes: readonly Route[]): void {
  for (const route of routes) if (route.access !== "open" && route.access.includes("app")) scopeOf(route);
}
