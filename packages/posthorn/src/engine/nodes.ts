import { notFound } from "../base/errors.ts";
import { isId } from "../base/ids.ts";
import type { Store } from "../store/store.ts";
import type { Nodes, PageQuery } from "./engine.ts";
import { pageOf } from "./window.ts";

export function createNodes({ read }: Pick<Store, "read">): Nodes {
  return {
    async get(id) {
      const found = isId("inc", id) ? await read.find("node", { id }) : undefined;
      if (found === undefined) throw notFound("node", id);
      return found;
    },
    list: (query: PageQuery = {}) => read.list("node", pageOf(query)),
  };
}
